"""What a scenario stands on: a folder, an agent, writers, and the judgement at the end."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from agent import Agent, Highwater, folder_url
from bucket import Bucket
from imager import Records
from states import walk
from verify import Judge, OracleFailure, check_user_database

HERE = os.path.dirname(os.path.abspath(__file__))
SCALE = float(os.environ.get("ORACLE_SCALE", "1"))


def commits(count):
    """How many commits a scenario makes, scaled."""
    return max(20, int(count * SCALE))


def group_members(group):
    """Live processes of a process group; those that only wait to be reaped do not count."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                members.append(int(name))
    return members


class Program:
    """A program of the harness in a process group of its own; its output is kept."""

    def __init__(self, log, *arguments):
        self.log_path = log
        self.output = open(log, "ab")
        self.process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdin=subprocess.PIPE, stdout=self.output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )

    def wait(self, seconds=120):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"a writer did not end in {seconds} s: {self.text()}") from None
        self._wait_for_group()
        if code != 0:
            raise AssertionError(f"a writer ended with {code}: {self.text()}")
        return self

    def release(self):
        """Lets a program that holds its connection open close it and end."""
        self.process.stdin.close()
        return self.wait()

    def kill(self):
        """kill -9 of the program alone; its imager ends by itself and is waited for."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._wait_for_group()

    def _wait_for_group(self):
        until = time.monotonic() + 20
        while members := group_members(self.process.pid):
            if time.monotonic() > until:
                for pid in members:
                    os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"{members} did not end with their writer: {self.text()}")
            time.sleep(0.002)

    def text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def is_running(self):
        return self.process.poll() is None


class Testbed:
    """One scenario's folder and processes. Leaving it ends and removes all of them."""

    def __init__(self, binary, keep=False, seed=1, over_s3=False, faults=0.0):
        self.seed = seed
        self.keep = keep
        self.folder = tempfile.mkdtemp(prefix="highwater-oracle-")
        os.chmod(self.folder, 0o755)
        self.application = self.path("app")
        self.store = self.path("store")
        self.scratch = self.path("scratch")
        for folder in (self.application, self.store, self.scratch):
            os.mkdir(folder)
        self.database = os.path.join(self.application, "app.db")
        self.url = folder_url(self.store)
        self.bucket, self.faults = None, faults
        if over_s3:
            self.bucket = Bucket(self.path("s3"))
            self.bucket.fail(faults, seed)
            self.store = self.bucket.path()
            self.url = self.bucket.url()
            os.environ.update(self.bucket.environment)
        self.highwater = Highwater(binary)
        self.records = Records(self.path("records"))
        self.agents, self.programs = [], []
        self.notes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for agent in self.agents:
            agent.kill()
        for program in self.programs:
            program.kill()
            program.output.close()
        if self.bucket:
            self.bucket.close()
        if self.keep or (kind and os.environ.get("ORACLE_KEEP")):
            print(f"kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def agent(self, options=(), prefix=(), store=None, database=None):
        """A new agent, not started yet."""
        agent = Agent(
            self.highwater.binary, database or self.database,
            folder_url(store) if store else self.url, self.path("agent.log"), options, prefix,
        )
        self.agents.append(agent)
        return agent

    def started_agent(self, **arguments):
        return self.agent(**arguments).start().wait_attached()

    def writer(self, name="a", **options):
        """Starts the application. Options are writer.py's, with underscores."""
        arguments = [f"{HERE}/writer.py", self.database, self.records.folder, "--name", name]
        options.setdefault("seed", self.seed)
        if os.environ.get("ORACLE_WHOLE"):
            options["whole"] = True
        for key, value in options.items():
            arguments.append("--" + key.replace("_", "-"))
            if value is not True:
                arguments.append(value)
        program = Program(self.path(f"writer-{name}.log"), *arguments)
        self.programs.append(program)
        return program

    def prepare(self, **options):
        """Makes the database: schema and no commit of a workload."""
        self.writer("setup", commits=0, **options).wait()

    def companion(self, *arguments):
        program = Program(
            self.path(f"companion-{arguments[0]}.log"), f"{HERE}/companion.py",
            self.database, *arguments,
        )
        self.programs.append(program)
        return program

    def sql(self, *statements):
        """Runs statements on the application's database, each a transaction of its own."""
        db = sqlite3.connect(self.database, isolation_level=None, timeout=10)
        try:
            return [db.execute(statement).fetchall() for statement in statements]
        finally:
            db.close()

    def seq(self):
        return self.sql("SELECT seq FROM state")[0][0][0]

    def generations(self):
        return self.highwater.generations(self.url)

    @contextlib.contextmanager
    def twin(self):
        """Inside, the testbed's database and records are others."""
        saved = self.database, self.records
        self.database = os.path.join(self.application, "twin.db")
        self.records = Records(self.path("twin-records"))
        try:
            yield
        finally:
            self.database, self.records = saved

    def has_snapshot(self, generation):
        folder = f"{self.store}/highwater-1/{generation}/ff"
        return os.path.isdir(folder) and any(n.endswith(".snapshot") for n in os.listdir(folder))

    def parent(self, generation):
        """(generation, TXID) that a generation goes on from, or None."""
        with open(f"{self.store}/highwater-1/{generation}/generation.json", encoding="utf-8") as f:
            parent = json.load(f).get("parent")
        return parent and (parent["generation"], int(parent["txid"], 16))

    def has_base(self, generation):
        """False for a generation whose agent died before its first snapshot was stored: nothing
        of it was ever durable, and a restore has to say that there is nothing."""
        if self.has_snapshot(generation) or self.parent(generation):
            return True
        self.highwater.run(
            "restore", "-generation", generation, "-o", f"{self.scratch}/nothing.db", self.url,
            expect=5,
        )
        return False

    def judge(
        self, generations=1, sample=30, sparse=False, tail=True, least=2, leaked=False, bridges=0,
        hazards=False,
    ):
        """The oracle: every TXID of every generation, a sample with the program's restore, and
        the user's database. `generations` is how many are allowed at most; with `tail` the last
        TXID has to be the last recorded state; `least` is how many TXIDs there must be; `bridges`
        is how many of them may stand for lost commits; `leaked`: the database has pages that
        integrity_check misses; `hazards`: the guards may have raised an alarm, which otherwise
        would be a false one."""
        for agent in self.agents:
            if not hazards and os.path.exists(agent.log_path):
                assert "verdict=fatal" not in agent.log(), agent.log()
        check_user_database(self.database, leaked)
        found = [g for g in self.generations() if self.has_base(g)]
        if not 1 <= len(found) <= generations:
            raise OracleFailure(f"{len(found)} generations, expected 1 to {generations}")
        if self.bucket:
            stats = self.bucket.check_signatures()
            failed = sum(stats["faults"].values())
            self.notes.append(f"{stats['requests']} requests, {failed} of them failed")
            sample = min(sample, 10) if self.faults else sample
        judge = Judge(self.highwater, self.store, self.records, self.scratch, walk, self.url)
        states = {}
        for generation in found:
            states = judge.generation(generation, sparse)
            listed = self.highwater.history(self.url, generation)
            unknown = sorted(set(listed) - set(states))
            missing = sorted(set(states) - set(listed))[1:]  # the base need not be listed
            if unknown or missing:
                raise OracleFailure(
                    f"history of {generation} and its segments differ: history alone "
                    f"{unknown[:5]}, segments alone {missing[:5]}"
                )
            last = generation == found[-1]
            judge.sample(generation, states, sample if last else 5, sparse, newest=last)
        if judge.bridges > bridges:
            raise OracleFailure(f"{judge.bridges} bridges, expected at most {bridges}")
        if judge.compared < least:
            raise OracleFailure(f"only {judge.compared} TXIDs were stored: too few to judge")
        newest = states[max(states)]
        expected = judge.known[-1]["seq" if sparse else "index"]
        if tail and newest != expected:
            raise OracleFailure(
                f"the newest TXID {max(states):016x} is state {newest}, the last commit {expected}"
            )
        self.notes.append(
            f"{len(judge.known)} states recorded, {len(found)} generations, "
            f"{judge.compared} TXIDs compared, {judge.restored} restored, {judge.bridges} bridges"
        )
        return states

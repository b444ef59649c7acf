"""Two live agents on copies of one database, with one destination.

Everything is copied with `cp -r`, the agent's local files too, while the first agent runs; then
applications write to both copies. Both agents have to say that there is another one, and all that
either of them called durable has to come back from the generation in which it said so.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

from agent import Agent, folder_url
from imager import Records, digest, file_state, page_hash
from layouts import Container, why_not
from recovery import runbook
from states import walk
from testbed import SCALE
from verify import OracleFailure

SCENARIOS = {}
HERE = os.path.dirname(os.path.abspath(__file__))
REPORTS = ("another agent stores into the place", "another agent goes on in generation")
SECONDS = 10 * SCALE


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Boxed(Agent):
    """An agent in a pid namespace of its own: it sees no processes of another machine's."""

    @property
    def pid(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

    def stop(self, seconds=20, expect=0):
        os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(seconds)
        assert code == expect, f"the agent ended with {code}\n{self.log()[-3000:]}"


class Side:
    """One database with its application, its agent, and what the agent called durable."""

    def __init__(self, bed, name, database, records, box=None, path=None):
        self.bed, self.name, self.database, self.records = bed, name, database, records
        self.socket = bed.path(f"{name}.sock")
        options = ["-socket", self.socket, "-sync-interval", "100ms"]
        kind, prefix = (Boxed, box) if box else (Agent, ())
        self.agent = kind(
            bed.highwater.binary, path or database, bed.url, bed.path(f"agent-{name}.log"),
            options, prefix,
        )
        bed.agents.append(self.agent)
        self.durable = {}

    def write(self, seed, **options):
        saved = self.bed.database, self.bed.records
        self.bed.database, self.bed.records = self.database, self.records
        try:
            return self.bed.writer(f"{self.name}-{seed}", seed=seed, **options)
        finally:
            self.bed.database, self.bed.records = saved

    def start(self):
        self.agent.start().wait_until(
            lambda: self.status().get("status") == "running", "the agent follows"
        )

    def status(self):
        done = self.bed.highwater.run(
            "status", "-json", "-socket", self.socket, expect={0, 5, 10}
        )
        if done.returncode == 5:
            return {}
        databases = json.loads(done.stdout)["databases"]
        return databases[0]["replicas"][0] if databases else {}

    def look(self):
        """Notes what the agent calls durable now; True when it says anything."""
        replica = self.status()
        generation, durable = replica.get("generation"), replica.get("durable_txid")
        if not generation or not durable or int(durable, 16) == 0:
            return False
        first, last = self.durable.get(generation, (int(durable, 16), 0))
        self.durable[generation] = first, max(last, int(durable, 16))
        return True

    def reported(self):
        return any(text in self.agent.log() for text in REPORTS)


class Rivals:
    """The original and its copy."""

    def __init__(self, bed, is_clone):
        self.bed = bed
        bed.prepare()
        box = Container(processes=True).prefix if is_clone else None
        self.first = Side(bed, "original", bed.database, bed.records, box)
        self.is_clone = is_clone

    def begin(self, together=False):
        """The original with some history, and its copy, each with a running agent. With `together`
        nobody ran while everything was copied, and both agents begin at once."""
        bed = self.bed
        self.first.start()
        self.first.write(1, commits=40, rate=100).wait()
        self.first.agent.wait_until(self.first.look, "the first commits are durable")
        if together:
            self.first.agent.stop(60)
            bed.notes.append("both begin at once")
        folder = bed.path("copy")
        subprocess.run(["cp", "-r", bed.application, folder], check=True)
        shutil.copytree(bed.records.folder, bed.path("copy-records"))
        copy = os.path.join(folder, "app.db")
        box, path = (self.clone(copy), bed.database) if self.is_clone else (None, copy)
        self.second = Side(
            bed, "copy", copy, Records(bed.path("copy-records")), box, path
        )
        self.common = {record["digest"] for record in bed.records.load()}
        if together:
            self.first.agent.start()
        self.second.start()
        return self

    def clone(self, copy):
        """What makes the copy look like the original to its agent: path, device, inode, birth."""
        library = self.bed.path("clone.so")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", "-o", library, f"{HERE}/clone.c", "-ldl"], check=True
        )
        like = self.bed.path("like")
        os.mkdir(like)
        box = Container(
            (self.bed.application, like), (os.path.dirname(copy), self.bed.application),
            processes=True,
        )
        return [
            *box.prefix, "env", f"LD_PRELOAD={library}", f"CLONE_COPY={os.stat(copy).st_ino}",
            f"CLONE_LIKE={like}/app.db",
        ]

    @property
    def sides(self):
        return self.first, self.second

    def run(self, killed=False):
        """Both applications write for a good while, until both agents have reported."""
        seed, chance = self.bed.seed * 10, random.Random(self.bed.seed)
        writers = [
            side.write(seed + n, seconds=600, rate=30, autocheckpoint=chance.choice([0, 50]))
            for n, side in enumerate(self.sides)
        ]
        began = time.monotonic()
        due = began + SECONDS / 3 if killed else None
        while time.monotonic() < began + SECONDS or not all(s.reported() for s in self.sides):
            assert time.monotonic() < began + SECONDS + 60, [s.reported() for s in self.sides]
            assert all(writer.is_running() for writer in writers)
            for side in self.sides:
                side.look()
            if due and time.monotonic() > due:
                due = None
                side = chance.choice(self.sides)
                self.bed.notes.append(f"the agent of the {side.name} killed")
                side.agent.kill()
                side.agent.start()
            time.sleep(0.05)
        for writer in writers:
            os.kill(writer.process.pid, signal.SIGUSR1)
        for side, writer in zip(self.sides, writers):
            writer.wait()
            side.agent.stop(60)

    def judge(self):
        listed = json.loads(
            self.bed.highwater.run("generations", "-json", self.bed.url).stdout
        )["generations"]
        status = {item["id"]: item["status"] for item in listed}
        self.bed.notes.append(", ".join(f"{status[name]}" for name in sorted(status)))
        for side in self.sides:
            assert side.durable, f"the agent of the {side.name} called nothing durable"
            last = {}
            for generation, (low, high) in side.durable.items():
                last[generation] = self.check(side, generation, low, high, status[generation])
            self.bed.notes.append(
                f"{side.name}: " + ", ".join(f"{h - l + 1} TXIDs" for l, h in
                                             side.durable.values())
            )
            self.check_end(side, last)

    def follow_runbook(self):
        """docs/RECOVERY.md, two writers: each history as the page says."""
        bed = self.bed
        (older, newer) = (list(side.durable)[0] for side in self.sides)
        runbook(bed, "two-writers-look")
        output = f"{bed.scratch}/none.db"
        if not self.is_clone:
            refused = bed.highwater.run("restore", "-o", output, bed.url, expect=2)
            assert older in refused.stderr and newer in refused.stderr, refused.stderr
            for side, generation in zip(self.sides, (older, newer)):
                runbook(bed, "two-writers-generation", GENERATION=generation)
                self.compare(side, bed.database + ".theirs")
            return
        # As if both had died before they noticed.
        folder = bed.path("forked")
        shutil.copytree(f"{bed.store}/highwater-1/{older}", f"{folder}/highwater-1/{older}")
        url = folder_url(folder)
        listed = json.loads(bed.highwater.run("generations", "-json", url).stdout)
        if listed["generations"][0]["status"] != "forked":
            # One agent looked before it had stored anything beside the other there.
            bed.notes.append("noticed before there was a fork")
            bed.highwater.run("restore", "-o", output, url)
            found = digest(*file_state(output))
            assert any(
                found in {record["digest"] for record in side.records.load()}
                for side in self.sides
            ), "the end of a generation without a fork is no state of either side"
            return
        refused = bed.highwater.run("restore", "-o", output, url, expect=8)
        writers = [tag for tag in self.tags(older) if tag in refused.stderr]
        assert len(writers) == 2, refused.stderr
        for writer in writers:
            runbook(bed, "two-writers", WRITER=writer, URL=url)
            os.remove(bed.database + ".ours")
            os.remove(bed.database + ".ours.highwater")

    def compare(self, side, path):
        found = digest(*file_state(path))
        assert found == side.records.load()[-1]["digest"], f"not the state of the {side.name}"
        os.remove(path)
        os.remove(path + ".highwater")

    def check_end(self, side, last):
        """After a stop everything is durable: the last state of the side is in its last
        generation, as the end of it."""
        newest = list(side.durable)[-1]
        if self.restored(newest, None, last[newest]) != side.records.load()[-1]["digest"]:
            raise OracleFailure(f"the end of {newest} is not the last state of the {side.name}")

    def check(self, side, generation, low, high, status):
        """Every TXID that a side called durable restores, to successive states of the side.
        Returns the writer tag that tells its history from the other's."""
        index = {record["digest"]: record["index"] for record in side.records.load()}
        if status != "forked":
            found = [
                (txid, page_size, pages)
                for txid, page_size, pages, _ in walk(self.bed.store, generation)
            ]
            self.check_walk(side, generation, low, high, found, index)
        tags = self.tags(generation) if status == "forked" else [None]
        chosen = [tag for tag in tags if self.restored(generation, high, tag) in index]
        if not chosen:
            raise OracleFailure(
                f"{generation} at {high:016x} is with no writer of {tags} a state of {side.name}"
            )
        txids = sorted(random.Random(1).sample(range(low, high), min(high - low, 12)) + [high])
        for txid in txids:
            if self.restored(generation, txid, chosen[-1]) not in index:
                raise OracleFailure(
                    f"{generation} at {txid:016x}, writer {chosen[-1]}, is no state of the "
                    f"{side.name}"
                )
        return chosen[-1]

    def check_walk(self, side, generation, low, high, found, index):
        successors, seen = None, set()
        for txid, page_size, pages in found:
            if not low <= txid <= high:
                continue
            state = index.get(digest(page_size, [page_hash(page) for page in pages]))
            if state is None:
                raise OracleFailure(f"{generation} at {txid:016x} is no state of {side.name}")
            if successors is not None and state != successors:
                raise OracleFailure(
                    f"{generation} at {txid:016x} is record {state}, expected {successors}"
                )
            successors = state + 1
            seen.add(txid)
        missing = set(range(low + 1, high + 1)) - seen
        if missing:
            raise OracleFailure(f"{generation} lacks {sorted(missing)[:5]}, durable was {high}")

    def tags(self, generation):
        folder = f"{self.bed.store}/highwater-1/{generation}/00"
        return sorted({name.split("-")[3].split(".")[0] for name in os.listdir(folder)})

    def restored(self, generation, txid, writer):
        output = f"{self.bed.scratch}/rival.db"
        more = ["-writer", writer] if writer else []
        done = self.bed.highwater.restore(
            self.bed.url, output, txid, generation, expect={0, 6, 8} if writer else 0, more=more
        )
        if done.returncode:
            return None
        state = digest(*file_state(output))
        for name in os.listdir(self.bed.scratch):
            os.remove(os.path.join(self.bed.scratch, name))
        return state


def rivals(bed, is_clone=False, killed=False, together=False):
    if is_clone and (reason := why_not() or (not shutil.which("cc") and "needs a C compiler")):
        bed.notes.append(f"skipped: {reason}")
        return
    both = Rivals(bed, is_clone).begin(together)
    both.run(killed)
    both.judge()
    if not killed and not bed.bucket:
        both.follow_runbook()


@scenario
def copied_alive(bed):
    """`cp -r` of everything while the agent runs, and a second agent on the copy."""
    rivals(bed)


@scenario
def cloned_alive(bed):
    """The same for a clone of the machine: the copy's agent takes itself for the owner, and goes
    on in the same generation."""
    rivals(bed, is_clone=True, killed=bed.seed % 2 == 0)


@scenario
def s3_cloned_alive(bed):
    """A cloned machine, and a bucket with conditional writes."""
    rivals(bed, is_clone=True, killed=bed.seed % 2 == 0)


@scenario
def s3_copied_alive_without_conditions(bed):
    """A copy, and a bucket that ignores conditions."""
    bed.bucket.settings(conditional="ignored")
    rivals(bed)


@scenario
def s3_cloned_alive_without_conditions(bed):
    """A cloned machine, and a bucket that ignores conditions, so that two agents that begin at once
    may make the same claim."""
    bed.bucket.settings(conditional="ignored")
    odd = bed.seed % 2 == 1
    rivals(bed, is_clone=True, killed=not odd, together=odd)

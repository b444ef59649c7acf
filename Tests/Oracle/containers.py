"""The agent as process 1, as in a container: a pid namespace of its own, made with unshare(1). The
image itself is tested by Tests/Image."""

import os
import signal
import sqlite3
import time

from layouts import Container, why_not
from testbed import commits

SCENARIOS = {}


def scenario(function):
    """Registers a scenario, which is skipped with the reason where there are no namespaces."""

    def run(bed):
        if reason := why_not():
            bed.notes.append(f"skipped: {reason}")
            return
        function(bed)

    run.__doc__ = function.__doc__
    SCENARIOS[function.__name__] = run
    return function


def children(pid):
    """Processes whose parent this is, with their states: Z has ended, and nobody waited for it."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found[int(name)] = fields[0]
    return found


class Contained:
    """An agent that is process 1 of its namespace."""

    def __init__(self, bed, *options, socket="control.sock"):
        self.socket = bed.path(socket)
        prefix = [*Container(processes=True).prefix, "env", f"HIGHWATER_SOCKET={self.socket}"]
        self.outer = bed.agent(options=options, prefix=prefix).start()
        binary = os.path.realpath(bed.highwater.binary)
        self.outer.wait_until(
            lambda: binary in [os.readlink(f"/proc/{pid}/exe") for pid in children(self.outer.pid)],
            "the agent begins",
        )
        (self.pid,) = children(self.outer.pid)

    def is_attached(self):
        """Whether it has the database's WAL open."""
        folder = f"/proc/{self.pid}/fd"
        return any(os.readlink(f"{folder}/{n}").endswith("-wal") for n in os.listdir(folder))

    def log(self):
        return self.outer.log()

    def wait_until(self, condition, what):
        self.outer.wait_until(condition, what, 30)

    def ends(self, number, expect, seconds=20):
        """Sends a signal; the exit code has to be this one."""
        if number:
            os.kill(self.pid, number)
        code = self.outer.process.wait(seconds)
        assert code == expect, f"it ended with {code}, expected {expect}\n{self.log()[-3000:]}"

    def in_its_namespace(self, line):
        """Runs a shell there, as `docker exec` does."""
        os.system(f"nsenter --target {self.pid} --pid sh -c '{line}'")


@scenario
def process_one(bed):
    """As process 1: SIGTERM makes the last commit durable and ends with 0, what others leave
    behind is waited for, and a second signal ends an upload that cannot succeed at once."""
    bed.prepare()
    agent = Contained(bed)
    agent.wait_until(agent.is_attached, "it follows the database")
    assert "running" in bed.highwater.run("status", "-socket", agent.socket).stdout
    writer = bed.writer(commits=commits(80), close="hold")
    for _ in range(5):
        agent.in_its_namespace("(sleep 0.2 &)")
    agent.wait_until(lambda: "done" in writer.text(), "the commits")
    agent.wait_until(lambda: not children(agent.pid), "orphans are waited for")
    agent.ends(signal.SIGTERM, 0)
    writer.release()
    bed.judge(generations=1, least=20)
    agent = Contained(bed)
    agent.wait_until(agent.is_attached, "it goes on")
    bed.sql("INSERT INTO items(body, crc) VALUES('', 0)")
    bed.highwater.run("sync", "-wait", "-socket", agent.socket, bed.database)
    os.rename(bed.store, bed.store + ".away")
    with open(bed.store, "w", encoding="utf-8") as f:
        f.write("not a folder")
    bed.sql("INSERT INTO items(body, crc) VALUES('', 0)")
    time.sleep(0.3)
    os.kill(agent.pid, signal.SIGTERM)
    time.sleep(0.5)
    assert agent.outer.is_running(), agent.log()
    agent.ends(signal.SIGTERM, 130, seconds=2)


APPLICATION = """
trap "echo told; exit 7" TERM
echo works
while :; do (sleep 0.2 &); sleep 0.02; done
"""


@scenario
def exec_as_process_one(bed):
    """With an application as process 1: its orphans are waited for, signals reach it, its exit code
    is the agent's, and so is the number of the signal that killed it. A control socket that only
    the environment names, and cannot be, is a warning."""
    sqlite3.connect(bed.database).execute("PRAGMA journal_mode=WAL").connection.close()
    program = bed.path("application.sh")
    with open(program, "w", encoding="utf-8") as f:
        f.write(APPLICATION)
    agent = Contained(bed, "-exec", f"sh {program}", socket="none/control.sock")
    agent.wait_until(lambda: "works" in agent.log(), "the application works")
    assert "there is no control socket" in agent.log(), agent.log()
    most, seen = 0, set()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        found = children(agent.pid)
        seen |= set(found)
        most = max(most, list(found.values()).count("Z"))
        time.sleep(0.01)
    agent.ends(signal.SIGTERM, 7)
    assert "told" in agent.log(), agent.log()
    assert len(seen) > 20 and most < 10, (len(seen), most)
    killed = Contained(bed, "-exec", "sleep 100")
    killed.wait_until(lambda: len(children(killed.pid)) == 1, "it runs")
    time.sleep(0.2)
    os.kill(next(iter(children(killed.pid))), signal.SIGKILL)
    killed.ends(None, 137)
    bed.notes.append(f"{len(seen)} orphans, at most {most} of them not yet waited for")

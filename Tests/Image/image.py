"""Runs the image of the Dockerfile as people do: image.py --engine COMMAND --image NAME [CHECK...]

scripts/image.sh makes the image first. Every command line of etc/docker-compose.yml and
etc/kubernetes is taken from there and runs in it; a bucket is the strict server on 127.0.0.1.
"""

import argparse
import os
import signal
import sqlite3
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "Oracle"))
sys.path.insert(0, HERE)

import examples
from engine import USER, Bed, Engine, Writer

CHECKS = dict(examples.CHECKS)


def check(function):
    CHECKS[function.__name__] = function
    return function


def same_bytes(bed, database, mounts, url="file:///backup"):
    """What a container of the image restores is the database, byte for byte; its size."""
    with sqlite3.connect(database) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    out = bed.share(f"out-{len(bed.names)}")
    bed.run("restore", "-o", "/out/app.db", url, options=[*mounts, "-v", f"{out}:/out"])
    restored, original = (open(p, "rb").read() for p in (f"{out}/app.db", database))
    assert restored == original, "the restored file is another one"
    return len(original)


@check
def contents(bed):
    """Small, not root, no compiler; the program runs with nothing but its own files."""
    facts = bed.engine.inspect("image", bed.image)
    assert facts["Config"]["User"] == str(USER), facts["Config"]["User"]
    assert facts["Config"]["StopSignal"] == "SIGTERM"
    options = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
    version = bed.run("version", options=options).stdout.strip()
    shell = ["--entrypoint", "/bin/sh", *options]
    words = bed.run("-c", "id -u; command -v swift gcc cc || true", options=shell).stdout.split()
    assert words == [str(USER)], words
    size = facts["Size"] / 2**20
    assert size < 200, f"{size:.0f} MiB"
    return f"version {version}, {size:.0f} MiB, {len(facts['RootFS']['Layers'])} layers"


@check
def writer_outside(bed):
    """The agent as process 1, the application elsewhere: healthy, SIGTERM makes the last commit
    durable, and what another container restores is the database."""
    data, backup = bed.share("data"), bed.share("backup")
    mounts = ["-v", f"{data}:/data", "-v", f"{backup}:/backup"]
    agent = bed.start("replicate", "/data/app.db", "file:///backup", options=mounts)
    agent.until(lambda: agent.health() == 0, "healthy while there is no database yet")
    writer = Writer(f"{data}/app.db", 500)
    done = agent.execute("highwater", "sync", "-wait", "/data/app.db")
    assert "synced" in done.stdout, done.stdout
    status = agent.execute("highwater", "status").stdout
    assert "running" in status and "nothing waits" in status, status
    listed = len(bed.run("history", "file:///backup", options=mounts).stdout.splitlines())
    writer.end()
    Writer(f"{data}/app.db", 20).end()
    started = time.monotonic()
    agent.stop()
    took = time.monotonic() - started
    size = same_bytes(bed, f"{data}/app.db", mounts)
    return f"{listed} lines of history, ended in {took:.1f} s, {size} bytes restored"


@check
def unhealthy(bed):
    """An agent that is stopped, one without a socket, and one whose database cannot be backed up
    are not healthy."""
    data, backup = bed.share("data"), bed.share("backup")
    mounts = ["-v", f"{data}:/data", "-v", f"{backup}:/backup"]
    Writer(f"{data}/app.db", 5).end()
    agent = bed.start("replicate", "/data/app.db", "file:///backup", options=mounts)
    agent.until(lambda: agent.health() == 0, "healthy")
    os.kill(agent.pid(), signal.SIGSTOP)
    assert agent.health() != 0, "healthy, though it is stopped"
    os.kill(agent.pid(), signal.SIGCONT)
    agent.until(lambda: agent.health() == 0, "healthy again")
    agent.stop()
    none = bed.start(
        "replicate", "/data/app.db", "file:///backup", options=[*mounts, "--read-only"]
    )
    none.until(lambda: "no control socket" in none.log(), "a warning")
    assert none.health() == 5, none.health()
    none.stop()
    with sqlite3.connect(f"{data}/old.db") as db:
        db.execute("CREATE TABLE t(x)")
    os.chown(f"{data}/old.db", USER, USER)
    failed = bed.start(
        "replicate", "-exec", "sleep 60", "/data/old.db", "file:///backup/old", options=mounts
    )
    failed.until(lambda: failed.health() == 10, "unhealthy: not in WAL mode")
    failed.stop(expect=143)
    return "a stopped agent, one without a socket, a database not in WAL mode"


@check
def store_away(bed):
    """A store that is away is no reason to start anything again. The last upload cannot succeed,
    and the second signal does not wait for it."""
    data, backup = bed.share("data"), bed.share("backup")
    mounts = ["-v", f"{data}:/data", "-v", f"{backup}:/backup"]
    writer = Writer(f"{data}/app.db", 5)
    agent = bed.start("replicate", "/data/app.db", "file:///backup/app", options=mounts)
    agent.until(lambda: agent.health() == 0, "healthy")
    agent.execute("highwater", "sync", "-wait", "/data/app.db")
    os.rename(f"{backup}/app", f"{backup}/away")
    with open(f"{backup}/app", "w", encoding="utf-8") as f:
        f.write("not a folder")
    Writer(f"{data}/app.db", 5).end()
    time.sleep(3)
    assert agent.health() == 0, agent.log()
    status = agent.execute("highwater", "status").stdout
    assert "problem" in status, status
    agent.signal("TERM")
    time.sleep(1)
    assert agent.running(), agent.log()
    started = time.monotonic()
    agent.signal("TERM")
    agent.wait(5, expect=130)
    writer.end()
    return f"the second signal took {time.monotonic() - started:.2f} s"


APPLICATION = """
trap 'echo told; exit 7' TERM
echo works
while :; do (sleep 0.3 &); sleep 0.05; done
"""


def zombies(pid):
    """Children of a process that nobody has waited for, and all of its children."""
    states = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            states.append(fields[0])
    return states.count("Z"), len(states)


@check
def process_one(bed):
    """As process 1 the agent waits for orphans, with and without an application; signals reach the
    application, and its exit code is the container's."""
    data, backup = bed.share("data"), bed.share("backup")
    mounts = ["-v", f"{data}:/data", "-v", f"{backup}:/backup"]
    Writer(f"{data}/app.db", 5).end()
    with open(f"{data}/app.sh", "w", encoding="utf-8") as f:
        f.write(APPLICATION)
    line = ["replicate", "-exec", "sh /data/app.sh", "/data/app.db", "file:///backup"]
    agent = bed.start(*line, options=mounts)
    agent.until(lambda: "works" in agent.log(), "the application works")
    pid, most, seen = agent.pid(), 0, 0
    until = time.monotonic() + 4
    while time.monotonic() < until:
        dead, children = zombies(pid)
        most, seen = max(most, dead), max(seen, children)
        time.sleep(0.02)
    assert seen > 2 and most < 5, (seen, most)
    agent.stop(expect=7)
    assert "told" in agent.log()
    size = same_bytes(bed, f"{data}/app.db", mounts)
    killed = bed.start("replicate", "-exec", "sleep 100", *line[3:], options=mounts)
    killed.until(lambda: "the application runs" in killed.log(), "it runs")
    killed.execute("sh", "-c", 'for d in /proc/[0-9]*; do case "$(cat $d/comm)" in sleep) '
                   'kill -9 "${d#/proc/}";; esac; done', expect=None)
    killed.wait(30, expect=137)
    alone = bed.start("replicate", *line[3:], options=mounts)
    alone.until(lambda: alone.health() == 0, "healthy")
    for _ in range(5):
        alone.execute("sh", "-c", "(sleep 0.2 &)")
    time.sleep(1)
    assert zombies(alone.pid()) == (0, 0), zombies(alone.pid())
    alone.stop()
    return f"at most {most} zombies among {seen} children, {size} bytes restored"


@check
def hazards(bed):
    """The doctor in the image: a shared folder is fine, the database's file alone is not."""
    data, backup = bed.share("data"), bed.share("backup")
    writer = Writer(f"{data}/app.db", 5)
    folder = ["-v", f"{data}:/data", "-v", f"{backup}:/backup"]
    report = bed.run("doctor", "/data/app.db", options=folder).stdout
    file = ["-v", f"{data}/app.db:/data/app.db", "-v", f"{backup}:/backup"]
    bed.run("doctor", "/data/app.db", options=file, expect=9)
    refused = bed.run("replicate", "/data/app.db", "file:///backup", options=file, expect=9)
    assert "mount the folder" in refused.stderr, refused.stderr
    assert os.listdir(backup) == [], "something was stored"
    writer.end()
    return report.strip().splitlines()[-1].strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("names", nargs="*", metavar="CHECK")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CHECKS):
        raise SystemExit(f"no check {sorted(unknown)}; there are {' '.join(CHECKS)}")
    failed = 0
    for name in options.names or CHECKS:
        started = time.monotonic()
        try:
            with Bed(Engine(options.engine), options.image) as bed:
                note = CHECKS[name](bed)
            print(f"ok {name}: {note} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"FAILED {name}", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

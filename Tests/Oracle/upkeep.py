"""What an agent does for its store while it follows a database, by name."""

import glob
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

from fleet import Fleet, check_equal
from verify import OracleFailure

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def kept_levels(bed, levels, options=()):
    """An agent whose levels have windows of so many seconds."""
    windows = "".join(f"\n  - interval: {seconds}s" for seconds in levels)
    return Fleet(
        bed,
        f"levels:{windows}\nsync-interval: 100ms\n"
        f"dbs:\n  - path: {bed.database}\n    replica: '{bed.url}'\n",
        options,
    )


def segments(bed, kind):
    found = json.loads(bed.highwater.run("segments", "-json", bed.url).stdout)["segments"]
    return [segment for segment in found if segment["kind"] == kind]


def planned(bed, txid):
    """The kinds of the objects that a restore of `txid` fetches."""
    done = bed.highwater.run(
        "restore", "-dry-run", "-json", "-txid", txid, "-o", bed.path("none.db"), bed.url
    )
    plan = json.loads(done.stdout.splitlines()[-1])
    return {slice["kind"] for slice in plan["slices"]}


@scenario
def levels_are_built(bed):
    """The agent builds levels while commits, checkpoints and resets go on; restores use them."""
    bed.prepare()
    agent = kept_levels(bed, [2, 6])
    agent.start().wait_attached()
    bed.writer(seconds=15, rate=150, rows=400, exact_every=5).wait()
    agent.stop()
    levels = segments(bed, "level")
    numbers = {level["level"] for level in levels if level["status"] == "used"}
    bed.notes.append(f"{len(levels)} levels")
    if numbers != {1, 2}:
        raise OracleFailure(f"levels {sorted(numbers)} are in use, not 1 and 2: {levels}")
    kinds = planned(bed, max(level["last_txid"] for level in levels))
    assert "level" in kinds, f"a restore does without the levels: {kinds}"
    assert "is not proven" not in agent.log(), agent.log()
    bed.judge(sample=60, sparse=True)


@scenario
def snapshot_in_slices(bed):
    """The base of a larger database while a writer at full speed never checkpoints: the snapshot
    lets go of its pin again and again, so that the WAL stays small. What the program restores is
    what a reader of docs/FORMAT.md makes of the store."""
    bed.prepare()
    bed.sql(
        "CREATE TABLE filler(body BLOB)",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60) "
        "INSERT INTO filler SELECT randomblob(1000000) FROM n",
        "DROP TABLE filler",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    writer = bed.writer(exact_every=10**9, seconds=5, autocheckpoint=0, rows=100)
    wal = bed.database + "-wal"
    while not os.path.exists(wal) or os.path.getsize(wal) < 2**20:
        time.sleep(0.01)
    agent = bed.started_agent()
    largest = os.path.getsize(wal)
    while writer.is_running():
        largest = max(largest, os.path.getsize(wal))
        time.sleep(0.01)
    writer.wait()
    agent.stop()
    base = segments(bed, "snapshot")[0]
    first, last = int(base["first_txid"], 16), int(base["last_txid"], 16)
    bed.notes.append(f"slices from {first} to {last}, WAL up to {largest / 2**20:.1f} MiB")
    assert first < last, f"the base has one slice: {base}"
    newest = bed.highwater.history(bed.url)[-1]
    for txid in (last, random.Random(1).randint(last, newest), newest):
        compare_with_format(bed, txid)
    bed.highwater.restore(bed.url, bed.path("early.db"), txid=last - 1, expect=6)
    check_equal(bed, bed.database, bed.url, "-integrity-check", "full")


def compare_with_format(bed, txid):
    """What the program makes of the store, and what restore.py makes of it."""
    ours, theirs = bed.path("ours.db"), bed.path("theirs.db")
    bed.highwater.restore(bed.url, ours, txid=txid)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "restore.py")
    subprocess.run(
        [sys.executable, program, bed.store, theirs, "--txid", f"{txid:016x}"],
        check=True, capture_output=True, timeout=300,
    )
    with open(ours, "rb") as a, open(theirs, "rb") as b:
        if a.read() != b.read():
            raise OracleFailure(f"two restores of {txid:016x} differ")
    os.remove(ours)
    os.remove(theirs)


@scenario
def levels_survive_kills(bed):
    """The agent is killed again and again while it builds levels."""
    bed.prepare()
    agent = kept_levels(bed, [1, 3])
    agent.start().wait_attached()
    writer = bed.writer(seconds=15, rate=150, rows=400, exact_every=5, autocheckpoint=200)
    for round in range(6):
        time.sleep(random.Random(round).uniform(1.2, 2.2))  # within a window, or at its end
        agent.kill()
        agent.start().wait_attached()
    writer.wait()
    agent.stop()
    bed.notes.append(f"{len(segments(bed, 'level'))} levels")
    bed.judge(generations=7, sample=60, sparse=True, bridges=7)


VERIFYING = """
sync-interval: 50ms
verify-interval: 1s
verify-level: restore
{more}
dbs:
  - path: {path}
    replica: '{url}'
"""


def verification(agent):
    """The metrics about verification, by name and result."""
    client = http.client.HTTPConnection("localhost")
    client.sock = socket.socket(socket.AF_UNIX)
    client.sock.connect(agent.socket)
    client.request("GET", "/metrics")
    text = client.getresponse().read().decode()
    client.close()
    line = r'^highwater_verify_(\w+)\{database="[^"]*",replica=""(?:,result="(\w+)")?\} (.*)$'
    found = re.findall(line, text, re.M)
    return {result or name: float(value) for name, result, value in found}


def wait_for_next(agent, result):
    """Until one more verification has come to `result`."""
    before = verification(agent)[result]
    agent.wait_until(lambda: verification(agent)[result] > before, f"verification: {result}", 60)


def log_objects(bed):
    return sorted(glob.glob(f"{bed.store}/highwater-1/*/00/*.log"))


def spoil(bed):
    """A bit of one log segment flips, another one is deleted; what undoes it."""
    logs = log_objects(bed)
    flipped, deleted = logs[len(logs) // 3], logs[len(logs) // 2]
    contents = {}
    for path in (flipped, deleted):
        with open(path, "rb") as f:
            contents[path] = f.read()
    spoilt = bytearray(contents[flipped])
    spoilt[random.Random(bed.seed).randrange(len(spoilt))] ^= 1
    with open(flipped, "wb") as f:
        f.write(spoilt)
    os.remove(deleted)

    def undo():
        for path, content in contents.items():
            with open(path, "wb") as f:
                f.write(content)

    return os.path.basename(flipped), undo


def damage_is_found(bed, agent):
    """In log, status and metrics; and it holds nothing up."""
    agent.wait_until(lambda: len(log_objects(bed)) >= 9, "two objects to spoil, and more")
    name, undo = spoil(bed)
    wait_for_next(agent, "doubt")  # which may have begun before all was spoilt
    wait_for_next(agent, "doubt")
    replica = agent.status()[bed.database, ""]
    assert replica["status"] == "running" and replica["verify_findings"] > 1, replica
    assert verification(agent)["findings"] > 1, verification(agent)
    log = agent.log()
    assert "the backup is in doubt" in log and name in log and "are missing" in log, log[-3000:]
    assert "problem: the backup is in doubt" in agent.ask("status").stdout
    agent.ask("sync", "-wait", bed.database)
    assert int(agent.status()[bed.database, ""]["durable_txid"], 16) > int(
        replica["durable_txid"], 16
    ), "nothing was stored while the backup was in doubt"
    undo()
    wait_for_next(agent, "ok")
    assert "the backup is in doubt no more" in agent.log()
    assert agent.status()[bed.database, ""]["verify_findings"] == 0
    assert verification(agent)["findings"] == 0


@scenario
def verify_in_the_agent(bed):
    """The agent verifies its backup by schedule: damage is found, said in log, status and metrics,
    and holds nothing up; once it is undone nothing is wrong any more. What is pruned while it looks
    is no damage, a store that is away neither, and SIGTERM waits for no verification."""
    bed.prepare()
    agent = Fleet(bed, VERIFYING.format(more="", path=bed.database, url=bed.url))
    agent.arguments[:0] = ["env", f"TMPDIR={bed.scratch}"]
    agent.start().wait_attached()
    writer = bed.writer(seconds=600, rate=100, autocheckpoint=100, rows=100, exact_every=10**9)
    agent.wait_until(lambda: os.path.exists(agent.socket), "the control socket")
    agent.wait_until(lambda: agent.status()[bed.database, ""].get("verified_at"), "verified", 40)
    damage_is_found(bed, agent)

    # New snapshots, and all that they make needless goes while the agent looks: no finding.
    more = "snapshot: {interval: 1s}\nretention: {window: 1s, check-interval: 500ms}"
    agent.write(VERIFYING.format(more=more, path=bed.database, url=bed.url))
    verified_at = agent.status()[bed.database, ""]["verified_at"]
    agent.ask("reload")
    agent.wait_for(bed.database)
    assert agent.status()[bed.database, ""]["verified_at"] >= verified_at
    before, chance = verification(agent), random.Random(bed.seed)
    deleted, until = 0, time.monotonic() + 8
    while time.monotonic() < until:
        done = bed.highwater.run(
            "prune", "-yes", "-pack", "-json", "-retention", "1s", "-grace", "0s", bed.url
        )
        deleted += len(json.loads(done.stdout)["objects"])
        time.sleep(chance.uniform(0, 0.5))
    wait_for_next(agent, "ok")
    after = verification(agent)
    assert after["doubt"] == before["doubt"] and after["failed"] == before["failed"], after
    assert deleted > 20, f"only {deleted} objects were deleted"

    # A store that is away is no finding.
    os.rename(bed.store, bed.store + ".away")
    with open(bed.store, "w", encoding="utf-8"):
        pass
    wait_for_next(agent, "failed")
    assert "could not be verified" in agent.log()
    os.remove(bed.store)
    os.rename(bed.store + ".away", bed.store)
    wait_for_next(agent, "ok")
    assert verification(agent)["doubt"] == before["doubt"], agent.log()[-3000:]
    writer.kill()
    began = time.monotonic()
    agent.stop()
    bed.notes.append(
        f"{after}, {deleted} objects deleted, stopped in {time.monotonic() - began:.1f} s"
    )
    left = [name for name in os.listdir(bed.scratch) if "highwater-verify" in name]
    assert not left, f"scratch files are left: {left}"
    check_equal(bed, bed.database, bed.url)

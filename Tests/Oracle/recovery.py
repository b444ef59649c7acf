"""The runbook of docs/RECOVERY.md, run as it stands there, and what restore, verify and rewind do
with a store that others have been at."""

import glob
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

from agent import folder_url

SCENARIOS = {}
HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "RECOVERY.md")
BLOCK = re.compile(r"^```sh (\S+)(?: exit-(\d+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DENIED, NOTHING, OUTSIDE, DAMAGED, FORKED, UNSAFE = 4, 5, 6, 7, 8, 9


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def blocks():
    with open(DOCUMENT, encoding="utf-8") as f:
        return {name: (int(code or 0), text) for name, code, text in BLOCK.findall(f.read())}


def runbook(bed, name, **variables):
    """Runs one block of docs/RECOVERY.md with the shell, and returns its output."""
    expected, text = blocks()[name]
    folder = bed.path("bin")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, "highwater")
    if not os.path.exists(link):
        os.symlink(bed.highwater.binary, link)
    environment = {
        **os.environ, "PATH": folder + ":" + os.environ["PATH"], "URL": bed.url,
        "DB": bed.database, **variables,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=120,
    )
    assert done.returncode == expected, (
        f"{name}: exit {done.returncode}, not {expected}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def backed_up(bed, count=40, rate=200, **options):
    """A database with a backup of all its commits; the agent has stopped."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=count, rate=rate, **options).wait()
    agent.stop()
    return bed.highwater.history(bed.url)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def dump(path):
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


def remove_database(bed):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(bed.database + suffix):
            os.remove(bed.database + suffix)


def refused(bed, arguments, code, *words):
    done = bed.highwater.run(*arguments, expect=code, timeout=30)
    for word in words:
        assert word.lower() in done.stderr.lower(), f"{arguments}: no '{word}' in {done.stderr}"
    assert "fatal error" not in done.stderr.lower(), done.stderr
    return done


def segments(bed, *extensions):
    pattern = os.path.join(bed.store, "highwater-1", "*", "*", "*")
    return sorted(path for path in glob.glob(pattern) if path.endswith(extensions))


@scenario
def runbook_lost_machine(bed):
    """docs/RECOVERY.md, lost machine: the newest commit is back; a start script does nothing when
    the database is there, and nothing when there is no backup."""
    backed_up(bed)
    before = dump(bed.database)
    remove_database(bed)
    runbook(bed, "lost-machine")
    assert dump(bed.database) == before
    assert os.path.exists(bed.database + ".highwater"), "no hint"
    runbook(bed, "lost-machine-start")
    assert dump(bed.database) == before
    remove_database(bed)
    runbook(bed, "lost-machine-start", URL=folder_url(bed.path("empty")))
    assert not os.path.exists(bed.database)


@scenario
def runbook_bad_deploy(bed):
    """docs/RECOVERY.md, bad deploy: rewind to the moment before, into a new file while the
    application runs, and in place when it has stopped; a database in use is refused."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=30, rate=100).wait()
    agent.wait_until(lambda: len(bed.highwater.history(bed.url)) >= 31, "30 commits stored")
    good = dump(bed.database)
    time.sleep(0.2)
    moment = time.time()
    time.sleep(0.2)
    bed.sql("CREATE TABLE nonsense(x)", "INSERT INTO nonsense VALUES('oops')", "DELETE FROM state")
    agent.stop()
    bad = dump(bed.database)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    stamp += f".{int(moment % 1 * 1000):03}Z"
    listed = runbook(bed, "bad-deploy-look", AROUND=stamp)
    assert "nonsense" in listed, listed
    reader = sqlite3.connect(bed.database)
    reader.execute("SELECT count(*) FROM nonsense").fetchone()
    runbook(bed, "bad-deploy-new-file", TIME=stamp)
    assert dump(bed.database + ".good") == good
    refused(
        bed, ["rewind", "-in-place", "-timestamp", stamp, bed.database, bed.url], UNSAFE, "in use",
    )
    reader.close()
    assert dump(bed.database) == bad
    runbook(bed, "bad-deploy-in-place", TIME=stamp)
    assert dump(bed.database) == good
    assert content(bed.database) == content(bed.database + ".good")


@scenario
def runbook_dropped_table(bed):
    """docs/RECOVERY.md, dropped table: history -table finds the commit, -before-txid the rows."""
    if shutil.which("sqlite3") is None:
        bed.notes.append("skipped: needs the sqlite3 shell")
        return
    bed.prepare()
    bed.sql(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT)",
        "CREATE INDEX orders_by_what ON orders(what)",
        "CREATE TABLE other(x)",
    )
    agent = bed.started_agent()
    for n in range(20):
        bed.sql(f"INSERT INTO orders VALUES({n}, hex(randomblob(600)))")
        bed.sql(f"INSERT INTO other VALUES({n})")
    orders = bed.sql("SELECT * FROM orders")[0]
    bed.sql("DROP TABLE orders")
    for n in range(5):
        bed.sql(f"INSERT INTO other VALUES({n})")
    agent.stop()
    lines = runbook(bed, "dropped-table-find").strip().splitlines()
    assert len(lines) == 5 and all("orders" in line for line in lines), lines
    runbook(bed, "dropped-table-restore", TXID=lines[-1].split()[0])
    assert bed.sql("SELECT * FROM orders")[0] == orders
    misspelt = bed.highwater.run("history", "-table", "order", bed.url)
    assert not misspelt.stdout and "named 'order'" in misspelt.stderr, misspelt
    done = bed.highwater.run("history", "-json", "-tables", bed.url)
    items = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {(part["kind"], part["name"]) for item in items for part in item.get("touched") or []}
    assert ("index", "orders_by_what") in kinds and ("table", "other") in kinds, kinds
    unknown = [part for part in kinds if part[0] == "unknown"]
    assert not unknown, kinds


@scenario
def runbook_corrupted_volume(bed):
    """docs/RECOVERY.md, corrupted volume: pages that went bad are fetched, the others kept."""
    backed_up(bed, count=60)
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    right = content(bed.database)
    bad = bytearray(right)
    for page in range(3, len(bad) // 4096, 5):
        bad[page * 4096 + 100:page * 4096 + 200] = os.urandom(100)
    with open(bed.database, "wb") as f:
        f.write(bad)
    runbook(bed, "corrupted-volume-verify")
    out = runbook(bed, "corrupted-volume-repair")
    assert content(bed.database) == right, out


@scenario
def runbook_damaged_backup(bed):
    """docs/RECOVERY.md, damaged backup: verify says what is left, restore gets it out."""
    txids = backed_up(bed, count=80, rate=30)
    logs = segments(bed, ".log")
    assert len(logs) >= 2, logs
    data = bytearray(content(logs[-1]))
    data[len(data) // 2] ^= 1
    with open(logs[-1], "wb") as f:
        f.write(data)
    last = int(os.path.basename(logs[-1]).split("-")[0], 16) - 1
    said = runbook(bed, "damaged-backup-verify")
    assert os.path.basename(logs[-1]) in said and f"{last:016x}" in said, said
    done = bed.highwater.restore(
        bed.url, os.path.join(bed.scratch, "out.db"), txids[-1], expect=DAMAGED,
    )
    assert f"{last:016x}" in done.stderr, done.stderr
    assert os.listdir(bed.scratch) == []
    runbook(bed, "damaged-backup-restore", LAST=f"{last:016x}")
    assert dump(bed.database + ".saved")


@scenario
def runbook_deleted_prefix(bed):
    """docs/RECOVERY.md, deleted prefix: after the objects came back everything restores."""
    backed_up(bed)
    saved = bed.path("saved")
    shutil.copytree(bed.store, saved)
    shutil.rmtree(os.path.join(bed.store, "highwater-1"))
    refused(bed, ["verify", bed.url], NOTHING, "no backup")
    shutil.copytree(saved, bed.store, dirs_exist_ok=True)
    assert "ok" in runbook(bed, "deleted-prefix", TMPDIR=bed.scratch)
    assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)


@scenario
def runbook_ahead(bed):
    """docs/RECOVERY.md, the backup is ahead: what the database lost is restored from it."""
    backed_up(bed)
    before = dump(bed.database)
    runbook(bed, "ahead")
    assert dump(bed.database + ".ahead") == before


@scenario
def verify_live(bed):
    """verify -level live: a running database is in its backup; one that nobody follows is not."""
    bed.prepare()
    agent = bed.started_agent()
    writer = bed.writer(commits=200, rate=60)
    for _ in range(3):
        bed.highwater.run("verify", "-level", "live", "-db", bed.database, bed.url)
    writer.wait()
    agent.stop()
    bed.highwater.run("verify", "-level", "live", "-db", bed.database, bed.url)
    bed.sql("CREATE TABLE unseen(x)")
    done = bed.highwater.run(
        "verify", "-level", "live", "-wait", "0", "-db", bed.database, "-json", bed.url,
        expect=DAMAGED,
    )
    assert json.loads(done.stdout)["findings"], done.stdout
    done = bed.highwater.run("verify", "-level", "restore", "-json", bed.url)
    assert json.loads(done.stdout)["restored"]["digest"], done.stdout


@scenario
def hostile_store(bed):
    """restore, verify: object names that lead out of the store, absurd sizes and numbers, a folder
    in the place of an object, half a generation: nothing is written outside, nothing crashes."""
    txids = backed_up(bed)
    generation = bed.generations()[0]
    folder = os.path.join(bed.store, "highwater-1", generation)
    output = os.path.join(bed.scratch, "out.db")
    for name in ("..%2f..%2fetc", "-rf", "ffffffffffffffff-ffffffffffffffff-0-0.log", "a" * 200):
        with open(os.path.join(folder, "00", name), "wb") as f:
            f.write(b"x" * 300)
    huge = "7fffffffffffffff-7fffffffffffffff-ffffffffffff-ffffffffffffffff"
    for level, extension in (("00", "log"), ("ff", "snapshot"), ("00", "pack"), ("03", "level")):
        os.makedirs(os.path.join(folder, level), exist_ok=True)
        with open(os.path.join(folder, level, f"{huge}.{extension}"), "wb") as f:
            f.write(b"HWsegm\x1a\n" + b"\xff" * 1000)
    os.makedirs(os.path.join(folder, "00", f"{huge[:-1]}e.log"))
    bed.highwater.restore(bed.url, output, txids[-1])
    bed.highwater.run("verify", bed.url, expect=DAMAGED)
    bed.highwater.run("restore", "-o", output + ".2", bed.url, expect={0, DAMAGED, OUTSIDE})
    other = os.path.join(bed.store, "highwater-1", "20200101T000000000Z-00000000")
    shutil.copytree(folder, other)
    refused(bed, ["restore", "-o", output + ".3", "-generation", os.path.basename(other), bed.url],
            DAMAGED, "describes")
    os.remove(os.path.join(other, "generation.json"))
    refused(bed, ["restore", "-o", output + ".3", "-generation", os.path.basename(other), bed.url],
            DAMAGED, "generation.json")
    refused(bed, ["restore", "-o", output + ".3", "-generation", "../../etc", bed.url], 2)


@scenario
def two_databases(bed):
    """Two databases in one store that have nothing in common: restore asks which one (exit 2), and
    -generation says."""
    backed_up(bed)
    first = set(bed.generations())
    with bed.twin():
        bed.prepare(page_size=8192)
        agent = bed.agent(database=bed.database).start().wait_attached()
        bed.writer("twin", commits=10).wait()
        agent.stop()
        both = set(bed.generations())
        if len(both) < 2:
            bed.notes.append("skipped: the agent refused a store of another database")
            return
        output = os.path.join(bed.scratch, "out.db")
        refused(bed, ["restore", "-o", output, bed.url], {2, FORKED}, "-generation")
        for generation in both:
            bed.highwater.restore(bed.url, f"{output}.{generation}", generation=generation)
        assert first < both


@scenario
def targets_outside(bed):
    """restore: before the window, in the future, beyond the end, inside a hole: exit 6 with the
    window; a time without a zone: exit 2."""
    txids = backed_up(bed, count=80, rate=30)
    output = os.path.join(bed.scratch, "out.db")
    window = f"{txids[0]:016x} to {txids[-1]:016x}"
    for option, value in (
        ("-timestamp", "2001-01-01T00:00:00Z"), ("-timestamp", "2999-01-01T00:00:00+02:00"),
        ("-timestamp", "52w"), ("-txid", f"{txids[-1] + 1:016x}"),
        ("-before-txid", f"{txids[-1] + 2:016x}"),
    ):
        refused(bed, ["restore", "-o", output, option, value, bed.url], OUTSIDE, window)
    refused(
        bed, ["restore", "-o", output, "-timestamp", "2026-11-25T12:00:00", bed.url], 2, "zone",
    )
    refused(bed, ["restore", "-o", output, "-before-txid", "0x0", bed.url], OUTSIDE)
    logs = segments(bed, ".log")
    assert len(logs) >= 3, logs
    first = os.path.basename(logs[1]).split("-")[0]
    os.remove(logs[1])
    refused(bed, ["restore", "-o", output, "-txid", first, bed.url], OUTSIDE, "hole", first)
    last = f"{int(first, 16) - 1:016x}"
    for target in ([], ["-timestamp", "0s"]):
        refused(bed, ["restore", "-o", output, *target, bed.url], OUTSIDE, "hole", last)
    assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)


@scenario
def target_in_use(bed):
    """restore -force and -delta refuse a database that a process uses; a read-only folder is
    named."""
    backed_up(bed)
    before = dump(bed.database)
    db = sqlite3.connect(bed.database)
    db.execute("SELECT count(*) FROM state").fetchone()
    for option in ("-force", "-delta"):
        refused(bed, ["restore", option, "-o", bed.database, bed.url], UNSAFE, "in use")
    db.close()
    assert dump(bed.database) == before
    bed.highwater.run("restore", "-force", "-o", bed.database, bed.url)
    assert dump(bed.database) == before
    if os.getuid() == 0:
        folder = bed.path("locked")
        os.mkdir(folder)
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
        done = subprocess.run(
            [*prefix, bed.highwater.binary, "restore", "-o", f"{folder}/out.db", bed.url],
            capture_output=True, text=True, check=False,
        )
        assert done.returncode == DENIED, (done.returncode, done.stderr)
        assert os.listdir(folder) == []


@scenario
def interrupted_restore(bed):
    """restore: SIGINT ends with exit 130 and leaves nothing behind, not even beside the output."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(workload="large_transaction", commits=7, size=20_000_000).wait()
    agent.stop()
    output = os.path.join(bed.scratch, "out.db")
    for wait in (0.0, 0.05, 0.1, 0.2, 0.4):
        process = subprocess.Popen(
            [bed.highwater.binary, "restore", "-o", output, bed.url], stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        until = time.monotonic() + wait
        while time.monotonic() < until and not os.listdir(bed.scratch):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        left = os.listdir(bed.scratch)
        if process.returncode == 0:
            assert sorted(left) == ["out.db", "out.db.highwater"], left
            os.remove(output)
            os.remove(output + ".highwater")
        else:
            # Before the handler is installed the signal itself ends the process.
            assert process.returncode in (130, -signal.SIGINT), (process.returncode, error)
            assert left == [], left


@scenario
def restore_events(bed):
    """restore -json: a result in JSON; -dry-run names objects, bytes and requests and writes
    nothing."""
    txids = backed_up(bed)
    output = os.path.join(bed.scratch, "out.db")
    done = bed.highwater.run("restore", "-json", "-dry-run", "-o", output, bed.url)
    plan = json.loads(done.stdout.splitlines()[-1])
    assert plan["dry_run"] and plan["requests"] >= len(plan["slices"]) >= 2, plan
    assert plan["bytes"] == sum(item["bytes"] for item in plan["slices"]), plan
    for text in (plan["notes"][-1], done.stderr):
        assert "not read" in text and "highwater verify" in text, text
    assert os.listdir(bed.scratch) == []
    done = bed.highwater.run("restore", "-json", "-o", output, bed.url)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["event"] == "result" and result["restored"], result
    assert int(result["txid"], 16) == txids[-1], result
    with open(output + ".highwater", encoding="utf-8") as f:
        hint = json.load(f)
    assert hint["digest"] == result["digest"] and hint["txid"] == result["txid"], hint
    done = bed.highwater.run("restore", "-json", "-if-db-not-exists", "-o", output, bed.url)
    assert json.loads(done.stdout)["restored"] is False, done.stdout

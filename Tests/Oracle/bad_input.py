"""What the program does with bad input: the exit codes of DESIGN, words that help, no harm."""

import os
import shutil
import signal
import sqlite3
import time

from agent import folder_url

SCENARIOS = {}
USAGE, UNREACHABLE, DENIED, NOTHING, OUTSIDE, DAMAGED, UNSAFE = 2, 3, 4, 5, 6, 7, 9


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def refused(bed, arguments, codes, words=(), seconds=10):
    """Runs a command that has to fail by itself with one of `codes` and say one of `words`."""
    done = bed.highwater.run(*arguments, expect=codes, timeout=seconds)
    text = done.stderr.lower()
    assert done.stderr.strip(), f"{arguments}: no message"
    assert "fatal error" not in text and "stack dump" not in text, done.stderr[-2000:]
    if words:
        assert any(word.lower() in text for word in words), (
            f"{arguments}: the message has none of {words}:\n{done.stderr[-2000:]}"
        )
    return done


def stored(bed, count=30, options=()):
    """A backup with some commits; their TXIDs."""
    bed.prepare()
    agent = bed.started_agent(options=options)
    bed.writer(commits=count, rate=100).wait()
    agent.stop()
    return bed.highwater.history(bed.url)


def files(folder, *extensions):
    found = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith(extensions)
    ]
    return sorted(found)


def discard(output):
    """Removes a restored database and the hint beside it."""
    os.remove(output)
    os.remove(output + ".highwater")


def unchanged(path):
    """The bytes of a file, to compare later."""
    with open(path, "rb") as f:
        return f.read()


@scenario
def not_a_database(bed):
    """replicate: a text file, random bytes (an encrypted database), a folder."""
    for content in (b"hello, this is not a database" * 200, os.urandom(8192)):
        with open(bed.database, "wb") as f:
            f.write(content)
        refused(
            bed, ["replicate", bed.database, bed.url], {1, USAGE, UNSAFE},
            ["not a database", "not an SQLite database", "encrypted"],
        )
        assert unchanged(bed.database) == content, "the file was written to"
        assert sorted(os.listdir(bed.application)) == ["app.db"]
    os.remove(bed.database)
    os.mkdir(bed.database)
    refused(bed, ["replicate", bed.database, bed.url], {1, USAGE, UNSAFE})
    assert os.listdir(bed.store) == [], "something was stored"


@scenario
def missing_folder(bed):
    """replicate: the folder of the database does not exist."""
    path = os.path.join(bed.application, "missing", "app.db")
    refused(bed, ["replicate", path, bed.url], {1, USAGE, NOTHING}, ["missing"])
    assert not os.path.exists(os.path.dirname(path)), "the folder was made"


@scenario
def missing_store_is_no_backup(bed):
    """restore, history: a folder without a backup is exit 5; nothing is written."""
    output = os.path.join(bed.scratch, "out.db")
    for url in (bed.url, folder_url(bed.path("nowhere"))):
        refused(bed, ["restore", "-o", output, url], {NOTHING, UNREACHABLE})
        refused(bed, ["history", url], {NOTHING, UNREACHABLE})
    bed.highwater.run("restore", "-o", output, bed.url, expect=NOTHING)
    assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)
    assert not os.path.exists(bed.path("nowhere"))


@scenario
def permission_denied(bed):
    """replicate as a user who may not read the database."""
    if os.getuid() != 0:
        bed.notes.append("skipped: needs root to run as another user")
        return
    bed.prepare()
    os.chmod(bed.database, 0o600)
    os.chmod(bed.store, 0o777)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    agent = bed.agent(prefix=prefix).start()
    deadline = time.monotonic() + 5
    while agent.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    text = agent.log().lower()
    assert "permission" in text or "denied" in text, agent.log()
    if not agent.is_running():
        assert agent.process.returncode in (DENIED, 1), agent.process.returncode
    agent.stop(expect=None)
    assert os.listdir(bed.store) == [], "something was stored"


@scenario
def rollback_journal(bed):
    """replicate: a database in rollback-journal mode is never converted; the message says what
    to do."""
    db = sqlite3.connect(bed.database)
    db.execute("CREATE TABLE t(x)")
    db.execute("INSERT INTO t VALUES(1)")
    db.commit()
    db.close()
    before = unchanged(bed.database)
    agent = bed.agent().start()
    deadline = time.monotonic() + 2
    while agent.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "journal_mode" in agent.log(), f"the log does not say what to do\n{agent.log()}"
    if not agent.is_running():
        assert agent.process.returncode in (1, USAGE, UNSAFE), agent.process.returncode
    agent.stop(expect=None)
    assert unchanged(bed.database) == before, "the database was written to"
    assert os.listdir(bed.application) == ["app.db"], os.listdir(bed.application)


@scenario
def exclusive_locking_mode(bed):
    """replicate: an application in locking_mode=EXCLUSIVE holds the database; the log says so,
    and SIGTERM ends the agent."""
    bed.prepare()
    db = sqlite3.connect(bed.database, isolation_level=None)
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("UPDATE state SET seq = seq")
    agent = bed.agent().start()
    deadline = time.monotonic() + 8
    while agent.is_running() and time.monotonic() < deadline:
        if "exclusive" in agent.log().lower():
            break
        time.sleep(0.05)
    assert "exclusive" in agent.log().lower(), f"the log does not say why\n{agent.log()}"
    db.execute("UPDATE state SET seq = seq")
    agent.stop(expect=None)
    db.close()


@scenario
def output_exists(bed):
    """restore never overwrites without -force, and -force leaves no stale -wal or -shm."""
    newest = stored(bed)[-1]
    output = os.path.join(bed.scratch, "out.db")
    with open(output, "w", encoding="utf-8") as f:
        f.write("precious")
    refused(bed, ["restore", "-o", output, bed.url], {UNSAFE, USAGE}, ["exists", "-force"])
    assert unchanged(output) == b"precious"
    for suffix in ("-wal", "-shm", "-journal"):
        with open(output + suffix, "w", encoding="utf-8") as f:
            f.write("stale")
    bed.highwater.restore(bed.url, output, newest, more=["-force"])
    left = [n for n in os.listdir(bed.scratch) if n.endswith(("-wal", "-shm", "-journal"))]
    assert left == [], left
    assert unchanged(output)[:16] == b"SQLite format 3\0"
    os.remove(output)
    with open(output + "-wal", "w", encoding="utf-8") as f:
        f.write("stale")
    bed.highwater.restore(bed.url, output, newest, expect={0, UNSAFE})
    both = os.path.exists(output) and os.path.exists(output + "-wal")
    assert not both, "a stale -wal lies beside a restored database"


@scenario
def output_folder_missing(bed):
    """restore into a folder that does not exist or cannot be one."""
    stored(bed)
    refused(
        bed, ["restore", "-o", os.path.join(bed.database, "out.db"), bed.url],
        {1, USAGE, DENIED, NOTHING, UNSAFE},
    )


@scenario
def txid_syntax(bed):
    """-txid: 16 hex digits or 0x…; anything else is exit 2. Beyond the end is exit 6 or 5."""
    txids = stored(bed)
    output = os.path.join(bed.scratch, "out.db")
    for text in ("12", "000000000000001g", "-1", "", "00000000000000001", "1e3"):
        refused(bed, ["restore", "-o", output, "-txid", text, bed.url], USAGE)
    beyond = f"{txids[-1] + 1000:016x}"
    refused(
        bed, ["restore", "-o", output, "-txid", beyond, bed.url], {OUTSIDE, NOTHING},
        [f"{txids[-1]:016x}"],
    )
    assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)
    bed.highwater.run("restore", "-o", output, "-txid", hex(txids[-1]), bed.url)
    os.remove(output)
    before = f"{txids[-1]:016x}"
    bed.highwater.run("restore", "-o", output, "-before-txid", before, bed.url)
    shutil.copy(output, output + ".2")
    os.remove(output)
    bed.highwater.restore(bed.url, output, txids[-2])
    assert unchanged(output) == unchanged(output + ".2"), "-before-txid is not -txid minus one"


@scenario
def usage_errors(bed):
    """Unknown options, unknown commands, missing arguments: exit 2 with a message."""
    for arguments in (
        ["restore", "-nonsense", bed.url],
        ["replicate"],
        ["replicate", bed.database],
        ["restore", "-o", "out.db"],
        ["nonsense"],
        ["history"],
        ["restore", "-o", "out.db", "-timestamp", "yesterday", bed.url],
        ["restore", "-o", "out.db", "ftp://example.org/x"],
        ["replicate", bed.database, "gs://bucket/prefix"],
        ["history", "file://relative/path"],
    ):
        refused(bed, arguments, USAGE)
    assert bed.highwater.run("--help").stdout.strip()
    assert bed.highwater.run("restore", "--help").stdout.strip()


@scenario
def damaged_segments(bed):
    """restore: a flipped byte, a cut, an empty or a foreign file in the place of a segment is
    exit 7 or is not needed; never a wrong file."""
    txids = stored(bed)
    output = os.path.join(bed.scratch, "out.db")
    bed.highwater.restore(bed.url, output, txids[-1])
    right = unchanged(output)
    discard(output)
    segments = files(bed.store, ".snapshot", ".log")
    assert segments, "the store holds no segments"
    for path in segments[:2] + segments[-1:]:
        data = unchanged(path)
        middle = len(data) // 2
        damages = [data[:middle], b"", b"not a segment" * 50, data + b"tail"]
        for position in (0, 9, 20, 130, 150, middle, len(data) - 130, len(data) - 1):
            flipped = bytearray(data)
            flipped[position] ^= 0x40
            damages.append(bytes(flipped))
        for damage in damages:
            with open(path, "wb") as f:
                f.write(damage)
            done = bed.highwater.restore(
                bed.url, output, txids[-1], expect={0, NOTHING, OUTSIDE, DAMAGED}
            )
            if done.returncode == 0:
                assert unchanged(output) == right, f"{path}: a wrong file was handed over"
                discard(output)
            else:
                assert done.stderr.strip(), f"{path}: no message"
            assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)
        with open(path, "wb") as f:
            f.write(data)
    bed.highwater.restore(bed.url, output, txids[-1])
    assert unchanged(output) == right


@scenario
def foreign_objects(bed):
    """Files of others in the store's folder are left alone and hurt nothing."""
    with open(os.path.join(bed.store, "README.txt"), "w", encoding="utf-8") as f:
        f.write("mine")
    os.makedirs(os.path.join(bed.store, "generations", "0123456789abcdef", "wal"))
    stored(bed)
    generation = bed.generations()[0]
    folder = next(
        os.path.join(parent, name)
        for parent, names, _ in os.walk(bed.store)
        for name in names
        if name == generation
    )
    with open(os.path.join(folder, "note.txt"), "w", encoding="utf-8") as f:
        f.write("also mine")
    bed.judge(least=20)
    assert unchanged(os.path.join(folder, "note.txt")) == b"also mine"
    assert unchanged(os.path.join(bed.store, "README.txt")) == b"mine"


@scenario
def missing_segment(bed):
    """A log segment is gone: commits before the hole restore, those after it do not."""
    txids = stored(bed, 60, ["-sync-interval", "20ms"])
    logs = files(bed.store, ".log")
    assert len(logs) >= 3, logs
    gone = logs[len(logs) // 2]
    first = int(os.path.basename(gone).split("-")[0], 16)
    last = int(os.path.basename(gone).split("-")[1], 16)
    os.remove(gone)
    output = os.path.join(bed.scratch, "out.db")
    bed.highwater.restore(bed.url, output, first - 1)
    discard(output)
    for txid in (first, last, txids[-1], None):
        bed.highwater.restore(bed.url, output, txid, expect=OUTSIDE)
        assert os.listdir(bed.scratch) == [], os.listdir(bed.scratch)


@scenario
def store_not_writable(bed):
    """replicate: the store's folder cannot be made; the agent says so and does not claim a
    backup."""
    bed.prepare()
    with open(bed.path("file"), "w", encoding="utf-8") as f:
        f.write("not a folder")
    agent = bed.agent(store=os.path.join(bed.path("file"), "store")).start()
    bed.writer(commits=10).wait()
    deadline = time.monotonic() + 3
    while agent.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bed.path("file") in agent.log(), f"the log does not name the store\n{agent.log()}"
    if agent.is_running():
        agent.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        if agent.is_running():
            agent.process.send_signal(signal.SIGTERM)
        agent.process.wait(10)
    assert agent.process.returncode != 0, "exit 0 although nothing was stored"


@scenario
def disk_full_while_restoring(bed):
    """restore onto a file system that is too small: an error, and nothing left behind."""
    if os.getuid() != 0 or os.system("command -v mount >/dev/null") != 0:
        bed.notes.append("skipped: needs root to mount a small file system")
        return
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(workload="large_transaction", commits=7, size=4_000_000).wait()
    agent.stop()
    target = bed.path("small")
    os.mkdir(target)
    if os.system(f"mount -t tmpfs -o size=1m tmpfs {target} 2>/dev/null") != 0:
        bed.notes.append("skipped: may not mount")
        return
    try:
        output = f"{target}/out.db"
        done = refused(bed, ["restore", "-o", output, bed.url], UNSAFE, ["make room"])
        assert output in done.stderr and os.listdir(target) == [], done.stderr
        # As much as would be enough for the base.
        with open(output, "wb") as f:
            f.write(b"old" * 1000)
        for arguments in (
            ["restore", "-delta", "-o", output, bed.url],
            ["rewind", "-o", f"{target}/back.db", "-txid", "0x3", bed.database, bed.url],
            ["verify", "-level", "restore", "-scratch", target, bed.url],
        ):
            done = refused(bed, arguments, UNSAFE, ["make room"])
            assert target in done.stderr, done.stderr
            assert os.listdir(target) == ["out.db"], os.listdir(target)
        assert unchanged(output) == b"old" * 1000
    finally:
        os.system(f"umount {target}")

"""Many databases in one agent: configuration, folders, control socket, application, by name.

Exactness here is always the same: the agent has ended, the test checkpoints the database, and the
file that a restore makes has to have the same bytes.
"""

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import urllib.request

from agent import Agent, folder_url
from verify import OracleFailure

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Fleet(Agent):
    """`highwater replicate` with a configuration file."""

    def __init__(self, bed, text, options=()):
        self.bed = bed
        self.config = bed.path("highwater.yml")
        self.socket = bed.path("control.sock")
        self.write(text)
        super().__init__(
            bed.highwater.binary, bed.database, "", bed.path("agent.log"),
        )
        self.arguments = [
            bed.highwater.binary, "replicate", "-config", self.config, "-socket", self.socket,
            *options,
        ]
        bed.agents.append(self)

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(text)

    def ask(self, command, *arguments, expect=0):
        return self.bed.highwater.run(
            command, "-socket", self.socket, "-config", self.config, *arguments, expect=expect
        )

    def status(self, expect={0, 10}):
        """Replicas by (path, name)."""
        return self.replicas(self.ask("status", "-json", expect=expect))

    @staticmethod
    def replicas(done):
        """What `status -json` printed, as replicas by (path, name)."""
        return {
            (database["path"], replica["name"]): replica
            for database in json.loads(done.stdout)["databases"]
            for replica in database["replicas"]
        }

    def wait_for(self, *paths, status="running", seconds=20):
        """Until exactly these databases are there, and all their replicas have a status."""
        def holds():
            # The file outlives an agent that was killed: nobody listens there for a moment.
            done = self.ask("status", "-json", expect={0, 5, 10})
            if done.returncode == 5:
                return False
            found = self.replicas(done)
            return {path for path, _ in found} == set(paths) and all(
                replica["status"] == status for replica in found.values()
            )
        self.wait_until(holds, f"{paths} {status}", seconds)


def make(path, rows=3):
    """A database as an application makes it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
    for _ in range(rows):
        commit(db)
    return db


def commit(db):
    db.execute("INSERT INTO t(x) VALUES(randomblob(?))", (random.randint(1, 3000),))


def image(path):
    """The database's bytes once everything is in its file."""
    db = sqlite3.connect(path, isolation_level=None)
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0, f"{path} is still in use"
    db.close()
    with open(path, "rb") as f:
        return f.read()


def check_equal(bed, path, url, *options):
    """What a restore makes is the database, byte for byte."""
    output = bed.path(f"restored-{len(os.listdir(bed.folder))}.db")
    bed.highwater.run("restore", "-o", output, *options, url)
    with open(output, "rb") as f:
        restored = f.read()
    expected = image(path)
    if restored != expected:
        raise OracleFailure(f"{path} and its restore from {url} differ")
    os.remove(output)


@scenario
def two_replicas(bed):
    """A database goes to two places; one of them is away for a while. Each commit can be restored
    from both in the end, and the first place never waited for the second."""
    bed.prepare()
    second = bed.path("second")
    os.mkdir(second)
    fleet = Fleet(bed, f"""
        sync-interval: 50ms
        dbs:
          - path: {bed.database}
            replicas:
              - {{name: near, url: "{bed.url}"}}
              - {{name: far, url: "{folder_url(second)}"}}
    """).start()
    fleet.wait_for(bed.database)
    writer = bed.writer(rate=200, autocheckpoint=50, seconds=8, close="hold")
    time.sleep(1)
    # A file where the folder was: root ignores permissions.
    os.rename(second, second + ".away")
    with open(second, "w", encoding="utf-8"):
        pass
    fleet.wait_until(lambda: fleet.status()[bed.database, "far"].get("problem"), "away")
    for _ in range(5):
        far = fleet.status()[bed.database, "far"]["durable_txid"]
        near = fleet.status()[bed.database, "near"]
        assert near["unsynced_seconds"] < 2, near
    assert int(near["durable_txid"], 16) > int(far, 16), (near, far)
    fleet.ask("sync", "-wait", "-timeout", "1", bed.database, expect=3)
    os.remove(second)
    os.rename(second + ".away", second)
    writer.release()
    fleet.ask("sync", "-wait", bed.database)
    assert fleet.status()[bed.database, "far"]["unsynced_seconds"] == 0
    fleet.stop()
    for store in (bed.store, second):
        bed.store, bed.url = store, folder_url(store)
        bed.judge(least=500)


@scenario
def two_replicas_killed(bed):
    """kill -9 of an agent with two replicas, 20 rounds: both go on without a gap."""
    bed.prepare()
    second = bed.path("second")
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        dbs:
          - path: {bed.database}
            replicas: [{{url: "{bed.url}"}}, {{url: "{folder_url(second)}"}}]
    """).start()
    fleet.wait_for(bed.database)
    chance = random.Random(bed.seed)
    writer = bed.writer(rate=150, autocheckpoint=0, seconds=600, close="hold")
    for _ in range(20):
        time.sleep(chance.uniform(0, 0.3))
        fleet.kill()
        fleet.start()
    fleet.wait_for(bed.database)
    os.kill(writer.process.pid, signal.SIGUSR1)
    writer.release()
    fleet.stop()
    for store in (bed.store, second):
        bed.store, bed.url = store, folder_url(store)
        bed.judge(least=20)


def _outage(bed, policy):
    """A fleet with a small spool whose store has been away until the spool was full; what brings
    the store back."""
    path = bed.path("dbs/a.db")
    db = make(path)
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        dbs:
          - {{path: {path}, spool-limit: 4MiB, outage-policy: {policy}, replica: "{bed.url}"}}
    """).start()
    fleet.wait_for(path)
    fleet.ask("sync", "-wait", path)
    away = bed.store + ".away"
    os.rename(bed.store, away)
    with open(bed.store, "w", encoding="utf-8"):
        pass

    def come_back():
        os.remove(bed.store)
        os.rename(away, bed.store)

    # More than a WAL may hold, so that the spool is needed.
    for _ in range(120):
        db.execute("INSERT INTO t(x) VALUES(randomblob(500000))")
    return fleet, path, db, come_back


@scenario
def outage_is_few_objects(bed):
    """What is committed while the store is away is sent in a few objects, not in one for each sync
    interval; and the agent's descriptors do not grow with the outage."""
    path = bed.path("dbs/a.db")
    db = make(path)
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        dbs:
          - {{path: {path}, replica: "{bed.url}"}}
    """).start()
    fleet.wait_for(path)
    fleet.ask("sync", "-wait", path)
    stored = len(bed.highwater.run("segments", "-json", bed.url).stdout.split('"name"'))
    away = bed.store + ".away"
    os.rename(bed.store, away)
    with open(bed.store, "w", encoding="utf-8"):
        pass
    descriptors = f"/proc/{fleet.process.pid}/fd"
    before = len(os.listdir(descriptors))
    for number in range(150):
        commit(db)
        time.sleep(0.02)  # the interval: each commit would be an object of its own
        if number % 50 == 49:
            # Makes what waits urgent, so that it goes to the spool.
            db.execute("PRAGMA busy_timeout=2000")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert len(os.listdir(descriptors)) <= before + 4, os.listdir(descriptors)
    os.remove(bed.store)
    os.rename(away, bed.store)
    fleet.ask("sync", "-wait", "-timeout", "60", path)
    now = len(bed.highwater.run("segments", "-json", bed.url).stdout.split('"name"'))
    assert now - stored <= 15, f"{now - stored} objects for 150 commits"
    db.close()
    fleet.stop()
    check_equal(bed, path, bed.url)
    assert len(bed.highwater.history(bed.url)) >= 150


@scenario
def outage_protects_the_backup(bed):
    """The store is away until the spool is over its limit: an alarm, and nothing is lost."""
    fleet, path, db, come_back = _outage(bed, "protect-backup")
    fleet.wait_until(lambda: fleet.status()[path, ""]["spool_over_limit"], "the alarm", 30)
    assert "the spool is over its limit" in fleet.log()
    status = fleet.status()[path, ""]
    assert status["spooled_bytes"] > 4 << 20 and status["unsynced_seconds"] > 0, status
    wal = os.path.getsize(path + "-wal")
    assert wal < 64 << 20, f"the WAL has {wal} bytes"
    come_back()
    fleet.ask("sync", "-wait", "-timeout", "60", path)
    status = fleet.status()[path, ""]
    assert not status["spool_over_limit"] and status["spooled_bytes"] == 0, status
    db.close()
    fleet.stop()
    check_equal(bed, path, bed.url)
    assert len(bed.highwater.history(bed.url)) >= 120


@scenario
def outage_protects_the_application(bed):
    """With protect-app what waits is given up when the spool is over its limit, and the database
    let go of. When the store is back the difference is one commit; what was durable still is."""
    fleet, path, db, come_back = _outage(bed, "protect-app")
    fleet.wait_until(lambda: "is let go of" in fleet.log(), "it is given up", 30)
    durable = max(bed_history(bed))
    fleet.ask("sync", "-wait", "-timeout", "1", path, expect=3)
    # Nothing of the agent's is on the disk, or in the way of the application.
    def spooled():
        return [name for _, _, names in os.walk(bed.path("dbs")) for name in names
                if name.endswith(".log")]
    fleet.wait_until(lambda: not spooled(), "the spool is empty")
    fleet.wait_until(lambda: leaves_wal_mode(db), "the database is let go of")
    db.execute("PRAGMA journal_mode=WAL")
    commit(db)
    assert "info the store is back" not in fleet.log()
    come_back()
    fleet.wait_for(path, seconds=90)
    fleet.ask("sync", "-wait", "-timeout", "60", path)
    commit(db)
    db.close()
    fleet.stop()
    check_equal(bed, path, bed.url)
    history = bed.highwater.history(bed.url)
    assert set(range(min(history), durable + 1)) <= set(history), "what was durable is gone"
    assert len(history) < 100 and "stored as one" in fleet.log(), history


def leaves_wal_mode(db):
    """Whether nobody else has the database open."""
    try:
        return db.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    except sqlite3.OperationalError:
        return False


def bed_history(bed):
    """What is durable while the store is away."""
    return bed.highwater.history(folder_url(bed.store + ".away"))


@scenario
def watched_folder(bed):
    """Databases appear, are replaced, renamed and removed in a watched folder; each can be restored
    by its path."""
    folder = bed.path("many")
    os.makedirs(f"{folder}/sub")
    one, two, three = f"{folder}/1.db", f"{folder}/sub/2.db", f"{folder}/3.db"
    make(one).close()
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        dbs:
          - {{dir: {folder}, pattern: "*.db", recursive: true, watch: true, replica: {bed.url}}}
    """).start()
    fleet.wait_for(one)
    with open(f"{folder}/no.db", "w", encoding="utf-8") as f:
        f.write("no database at all " * 50)
    make(two).close()
    fleet.wait_for(one, two)
    # An application makes the file first and writes it later.
    with open(three, "w", encoding="utf-8"):
        pass
    time.sleep(1.5)
    make(three).close()
    fleet.wait_for(one, two, three)
    renamed = f"{folder}/4.db"
    fleet.ask("sync", "-wait", three)
    os.rename(three, renamed)
    for ending in ("-wal", "-shm"):
        if os.path.exists(three + ending):
            os.rename(three + ending, renamed + ending)
    fleet.wait_for(one, two, renamed)
    # Another database takes the place of the first.
    make(f"{folder}/.new", rows=20).close()
    os.rename(f"{folder}/.new", one)
    for path in (one + "-wal", one + "-shm", two, two + "-wal", two + "-shm"):
        if os.path.exists(path):
            os.remove(path)
    fleet.wait_for(one, renamed)
    db = sqlite3.connect(one, isolation_level=None)
    commit(db)
    db.close()
    fleet.wait_for(one, renamed)
    fleet.ask("sync", "-wait", one)
    fleet.stop()
    for path in (one, renamed):
        check_equal(bed, path, path, "-config", fleet.config)
    # What is gone can be had by its path, too.
    bed.highwater.run("restore", "-config", fleet.config, two)
    assert sqlite3.connect(two).execute("SELECT count(*) FROM t").fetchone() == (3,)


@scenario
def reload_disturbs_nobody(bed):
    """SIGHUP adds, changes and removes databases; the others are not attached to anew. A broken
    file changes nothing and is named with its line."""
    paths = [bed.path(f"dbs/{name}.db") for name in "abc"]
    held = [make(path) for path in paths]
    entries = [f'  - {{path: {p}, replica: "{folder_url(p)}.backup"}}\n' for p in paths]
    fleet = Fleet(bed, "sync-interval: 20ms\ndbs:\n" + entries[0] + entries[1]).start()
    fleet.wait_for(*paths[:2])
    fleet.write("sync-interval: 20ms\ndbs:\n  - {path: /x, replca: y}\n" + "".join(entries))
    fleet.process.send_signal(signal.SIGHUP)
    fleet.wait_until(lambda: "highwater.yml:3:" in fleet.log(), "the broken line is named")
    assert "did you mean 'replica'?" in fleet.log()
    fleet.ask("reload", expect=2)
    commit(held[0])
    fleet.ask("sync", "-wait", paths[0])
    changed = entries[1].replace("{path", "{sync-interval: 5s, path")
    fleet.write("sync-interval: 20ms\ndbs:\n" + entries[0] + changed + entries[2])
    fleet.ask("reload")
    fleet.wait_for(*paths)
    found = fleet.status()
    assert found[paths[0], ""]["attachments"] == 1, found
    fleet.write("sync-interval: 20ms\ndbs:\n" + entries[0])
    fleet.process.send_signal(signal.SIGHUP)
    fleet.wait_for(paths[0])
    assert fleet.status()[paths[0], ""]["attachments"] == 1
    for db in held:
        commit(db)
        db.close()
    fleet.ask("sync", "-wait", paths[0])
    fleet.stop()
    check_equal(bed, paths[0], folder_url(paths[0]) + ".backup")


@scenario
def one_failing_database(bed):
    """Databases that cannot be backed up, for several reasons, hold up none of the others."""
    good, rollback, text = (bed.path(f"dbs/{name}.db") for name in ("good", "rollback", "text"))
    db = make(good)
    other = sqlite3.connect(rollback)
    other.execute("CREATE TABLE t(x)")
    other.close()
    with open(text, "w", encoding="utf-8") as f:
        f.write("no database at all " * 50)
    nowhere = bed.path("dbs/nowhere.db")
    make(nowhere).close()
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        access-key-id: key
        secret-access-key: secret
        dbs:
          - {{path: {rollback}, replica: "file://{bed.folder}/b/1"}}
          - {{path: {text}, replica: "file://{bed.folder}/b/2"}}
          - {{path: {nowhere}, replica: "s3://bucket/x?endpoint=http://127.0.0.1:9"}}
          - {{path: {bed.folder}/missing/x.db, replica: "file://{bed.folder}/b/3"}}
          - {{path: {good}, replica: "file://{bed.folder}/b/4"}}
    """).start()
    fleet.wait_until(
        lambda: os.path.exists(fleet.socket) and fleet.status()[good, ""]["status"] == "running",
        "the good one runs",
    )
    for _ in range(20):
        commit(db)
        fleet.ask("sync", "-wait", "-timeout", "5", good)
    found = fleet.status(expect=10)
    assert "journal_mode=WAL" in found[rollback, ""]["problem"], found
    assert found[text, ""]["status"] == "failed", found
    assert found[nowhere, ""]["status"] == "starting", found
    # What was wrong is mended without a restart.
    other = sqlite3.connect(rollback)
    other.execute("PRAGMA journal_mode=WAL")
    other.close()
    fleet.wait_until(
        lambda: fleet.status()[rollback, ""]["status"] == "running", "it is tried again", 30
    )
    db.close()
    fleet.stop(expect=10)
    check_equal(bed, good, f"file://{bed.folder}/b/4")
    assert "text.db" in fleet.log() and "is not a SQLite database" in fleet.log()


@scenario
def few_descriptors(bed):
    """With files for 10 of 13 databases 10 are backed up, and the others say what to do. When one
    goes, another one takes its place."""
    dbs = {bed.path(f"dbs/{n}.db"): make(bed.path(f"dbs/{n}.db")) for n in range(13)}
    fleet = Fleet(bed, f"""
        sync-interval: 20ms
        dbs:
          - {{dir: {bed.folder}/dbs, pattern: "*.db", watch: true, replica: "{bed.url}"}}
    """)
    fleet.arguments = ["prlimit", "--nofile=128:128", "--", *fleet.arguments]
    fleet.start()

    def running():
        if not os.path.exists(fleet.socket):
            return []
        found = fleet.status()
        return [path for (path, _), r in found.items() if r["status"] == "running"]

    fleet.wait_until(lambda: len(running()) == 10, "10 run", 30)
    for path in running():
        for _ in range(10):
            commit(dbs[path])
        fleet.ask("sync", "-wait", "-timeout", "10", path)
    for (path, _), replica in fleet.status(expect=10).items():
        if path not in running():
            assert "128 files" in replica["problem"] and "LimitNOFILE" in replica["problem"]
    gone = running()[0]
    dbs.pop(gone).close()
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(gone + ending):
            os.remove(gone + ending)
    fleet.wait_until(
        lambda: len(running()) == 10 and gone not in running(), "another takes its place", 90
    )
    kept = running()
    fleet.stop(expect=10)
    for path, db in dbs.items():
        db.close()
        if path in kept:
            check_equal(bed, path, f"{bed.url}/{os.path.basename(path)}")


@scenario
def once(bed):
    """A single round sends what is there and ends; what cannot be sent is an error."""
    paths = [bed.path(f"dbs/{name}.db") for name in "ab"]
    for path in paths:
        make(path).close()
    text = "".join(f'  - {{path: {p}, replica: "{folder_url(p)}.backup"}}\n' for p in paths)
    config = bed.path("once.yml")
    with open(config, "w", encoding="utf-8") as f:
        f.write("dbs:\n" + text)
    bed.highwater.run("replicate", "-once", "-config", config)
    for path in paths:
        check_equal(bed, path, folder_url(path) + ".backup")
    db = make(paths[0])
    db.close()
    bed.highwater.run("replicate", "-once", paths[0], folder_url(paths[0]) + ".backup")
    check_equal(bed, paths[0], folder_url(paths[0]) + ".backup")
    os.remove(paths[1])
    for ending in ("-wal", "-shm"):
        if os.path.exists(paths[1] + ending):
            os.remove(paths[1] + ending)
    done = bed.highwater.run("replicate", "-once", "-config", config, expect=10)
    assert "does not exist" in done.stderr, done.stderr
    done = bed.highwater.run("replicate", "-once", paths[1], folder_url(paths[1]), expect=5)


APPLICATION = """
import os, signal, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
got, parent = [], os.getppid()
signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
signal.signal(signal.SIGUSR1, lambda *_: db.execute("INSERT INTO t VALUES(777, 1)"))
print("application works", flush=True)
while not got and os.getppid() == parent:
    db.execute("INSERT INTO t(x) VALUES(1)")
    time.sleep(0.005)
db.execute("INSERT INTO t(x) VALUES('last words')")
os._exit(7)
"""


@scenario
def exec_application(bed):
    """The application runs beside the agent: signals reach it, its last commit is durable when the
    agent ends, its code is the agent's. When its database is missing it is restored first."""
    program = bed.path("application.py")
    with open(program, "w", encoding="utf-8") as f:
        f.write(APPLICATION)
    command = f"{sys.executable} {program} {bed.database}"
    options = ["-restore-if-db-not-exists", "-exec", command]
    agent = bed.agent(options=options).start()

    def rows():
        try:
            return bed.sql("SELECT count(*), max(id) FROM t")[0][0]
        except sqlite3.OperationalError:  # it has just begun
            return (0, 0)

    agent.wait_until(
        lambda: "application works" in agent.log() and rows()[0] > 20, "the application works"
    )
    agent.process.send_signal(signal.SIGUSR1)
    agent.wait_until(lambda: rows()[1] >= 777, "the signal arrived")
    agent.stop(expect=7)
    check_equal(bed, bed.database, bed.url)
    count = rows()[0]
    assert bed.sql("SELECT count(*) FROM t WHERE x='last words'")[0] == [(1,)]
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(bed.database + ending):
            os.remove(bed.database + ending)
    agent.start()
    agent.wait_until(
        lambda: agent.log().count("application works") == 2 and rows()[0] > count,
        "it goes on with its data",
    )
    agent.stop(expect=7)
    check_equal(bed, bed.database, bed.url)
    # A store that cannot be asked must not make an empty database.
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(bed.database + ending):
            os.remove(bed.database + ending)
    nobody = "s3://bucket/x?endpoint=http://127.0.0.1:9&anonymous=true"
    down = bed.highwater.run(
        "replicate", *options, bed.database, nobody, expect=3, timeout=90,
    )
    assert "application works" not in down.stdout and not os.path.exists(bed.database)


@scenario
def exec_application_is_brief(bed):
    """The application makes its database and ends at once: what it committed is in the backup."""
    program = bed.path("application.py")
    with open(program, "w", encoding="utf-8") as f:
        f.write(
            "import sqlite3, sys, os\n"
            "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "db.execute('PRAGMA journal_mode=WAL')\n"
            "db.execute('CREATE TABLE t(x)')\n"
            "db.execute('INSERT INTO t VALUES(1)')\n"
            "db.close() if sys.argv[2] == 'closes' else os._exit(7)\n"
            "sys.exit(7)\n"
        )
    for number in range(8):
        path, store = bed.path(f"brief-{number}.db"), bed.path(f"store-{number}")
        how = ("closes", "dies")[number % 2]
        command = f"{sys.executable} {program} {path} {how}"
        bed.highwater.run("replicate", "-exec", command, path, folder_url(store), expect=7)
        check_equal(bed, path, folder_url(store))


@scenario
def hostile_control_clients(bed):
    """Clients of the control socket that hang, send without end, or send nonsense cost nobody
    anything; the metrics address changes nothing."""
    path = bed.path("dbs/a.db")
    db = make(path)
    fleet = Fleet(
        bed,
        "sync-interval: 20ms\nverify-interval: 1s\n"
        f'dbs:\n  - {{path: {path}, replica: "{bed.url}"}}\n',
        options=["-addr", "127.0.0.1:0"],
    )
    # A port that is free just now.
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    fleet.arguments[-1] = f"127.0.0.1:{port}"
    fleet.start()
    fleet.wait_for(path)
    hanging = []
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.connect(fleet.socket)
        client.sendall(b"POST /sync HTTP/1.1\r\nContent-Length: 20\r\n\r\n{")
        hanging.append(client)
    endless = socket.socket(socket.AF_UNIX)
    endless.connect(fleet.socket)
    endless.sendall(b"POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
    sent = 0
    try:
        for _ in range(16_000):
            endless.sendall(b"x" * 65536)
            sent += 65536
    except OSError:
        pass
    assert sent < 64 << 20, f"{sent} bytes were taken"
    commit(db)
    fleet.ask("sync", "-wait", path)
    resident = int(re.search(
        r"VmRSS:\s+(\d+)", open(f"/proc/{fleet.pid}/status", encoding="utf-8").read()
    )[1])
    assert resident < 150_000, f"{resident} KiB in use"
    for body in (b"", b"{", b"[]", b'{"path": 5}', b'{"path": "relative"}', b"\xff\x00"):
        client = http.client.HTTPConnection("localhost")
        client.sock = socket.socket(socket.AF_UNIX)
        client.sock.connect(fleet.socket)
        client.request("POST", "/sync", body)
        answer = client.getresponse()
        assert answer.status == 400, (body, answer.status)
        assert json.loads(answer.read())["error"], body
        client.close()
    fleet.ask("sync", "/no/such.db", expect=5)
    fleet.ask("stop", bed.path("other.db"), expect=5)
    fleet.wait_until(lambda: fleet.status()[path, ""].get("verified_at"), "verified")
    base = f"http://127.0.0.1:{port}"
    assert urllib.request.urlopen(f"{base}/healthz").read() == b"ok\n"
    assert urllib.request.urlopen(f"{base}/readyz").read() == b"ok\n"
    text = urllib.request.urlopen(f"{base}/metrics").read().decode()
    assert f'highwater_up{{database="{path}",replica=""}} 1\n' in text, text
    assert re.search(r"highwater_upload_seconds_count\{[^}]*\} [1-9]", text), text
    check_observers(text)
    for target in ("/stop", "/sync", "/status", "/debug/pprof/"):
        for method in ("GET", "POST"):
            request = urllib.request.Request(base + target, method=method, data=None)
            try:
                urllib.request.urlopen(request)
                raise AssertionError(f"{method} {target} was answered")
            except urllib.error.HTTPError as error:
                assert error.code in (404, 405), error
    for client in hanging:
        client.close()
    db.close()
    fleet.stop()
    assert not os.path.exists(fleet.socket), "the socket was left"
    check_equal(bed, path, bed.url)


def check_observers(text):
    """Alert rules and dashboard ask for metrics that exist; each alert is explained."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    exported = set(re.findall(r"^# TYPE (\w+)", text, re.M)) | {
        # Without a failure or hazard these have no line.
        "highwater_upload_errors_total", "highwater_hazard",
    }
    with open(f"{root}/docs/OPERATIONS.md", encoding="utf-8") as f:
        guide = f.read()
    for name in ("prometheus/highwater.rules.yml", "grafana/highwater.json"):
        with open(f"{root}/etc/{name}", encoding="utf-8") as f:
            used = f.read()
        asked = {re.sub("_(bucket|sum|count)$", "", m) for m in re.findall(r"highwater_\w+", used)}
        assert asked and asked <= exported, asked - exported
        for alert in re.findall(r"alert: (\w+)", used):
            assert alert in guide, f"{alert} is not explained in docs/OPERATIONS.md"
    for metric in exported:
        assert metric in guide, f"{metric} is not in docs/OPERATIONS.md"


@scenario
def start_stop_register(bed):
    """Databases are stopped, started, registered and unregistered while others go on."""
    paths = [bed.path(f"dbs/{name}.db") for name in "ab"]
    a, b = (make(path) for path in paths)
    fleet = Fleet(
        bed,
        "sync-interval: 20ms\nsocket: {permissions: 0660}\n"
        f'dbs:\n  - {{path: {paths[0]}, replica: "{bed.url}"}}\n',
    ).start()
    fleet.wait_for(paths[0])
    mode = stat.S_IMODE(os.stat(fleet.socket).st_mode)
    assert mode == 0o660, f"the control socket has the mode {mode:o}"
    commit(a)
    fleet.ask("stop", paths[0])
    status = fleet.status()[paths[0], ""]
    assert status["status"] == "stopped", status
    # It was let go: the application may even leave WAL mode.
    assert a.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    a.execute("PRAGMA journal_mode=WAL")
    assert "already stopped" in fleet.ask("stop", paths[0]).stdout
    assert "started" in fleet.ask("start", paths[0]).stdout
    fleet.wait_for(paths[0])
    assert "already running" in fleet.ask("start", paths[0]).stdout
    second = folder_url(bed.path("second"))
    fleet.ask("register", paths[1], "-replica", second)
    fleet.wait_for(*paths)
    assert "already registered" in fleet.ask("register", paths[1], "-replica", second).stdout
    fleet.ask("register", paths[1], "-replica", "ftp://x", expect=2)
    commit(b)
    fleet.ask("unregister", paths[1])
    fleet.wait_for(paths[0])
    fleet.ask("unregister", paths[1], expect=5)
    info = json.loads(fleet.ask("info", "-json").stdout)
    assert info["pid"] == fleet.pid and info["databases"] == 1, info
    commit(a)
    a.close()
    b.close()
    fleet.stop()
    check_equal(bed, paths[0], bed.url)
    check_equal(bed, paths[1], second)


@scenario
def configuration_errors(bed):
    """Mistakes in a configuration file are exit 2 and name the line; secrets are never shown."""
    config = bed.path("bad.yml")

    def check(text, *expected, code=2):
        with open(config, "w", encoding="utf-8") as f:
            f.write(text)
        for command in (["config", "check"], ["replicate", "-once"]):
            done = bed.highwater.run(*command, "-config", config, expect=code)
            for part in expected:
                assert part in done.stderr, (text, done.stderr)
            assert "TOPSECRET" not in done.stderr + done.stdout, done
            if code == 0:
                break
        return done

    check("dbs: [\n", "bad.yml:2:")
    check("dbs:\n  - path: /a\n    replicas:\n      - {url: 'file:///b', regoin: x}\n",
          "bad.yml:4:", "did you mean 'region'?")
    check("dbs:\n  - {path: /a, replica: 'file:///b'}\n  - {path: /c, replica: 'file:///b/'}\n",
          "the destination of line 2")
    check("secret-access-key: TOPSECRET\ndbs: []\n", "go together")
    check("dbs:\n  - {path: /a, replica: 's3://k:TOPSECRET@b/x'}\n", "credentials")
    check("access-key-id: a\nsecret-access-key: TOPSECRET\ndbs:\n"
          "  - {path: /a, replica: 's3://b/x?sse-customer-key=TOPSECRET'}\n", code=0)
    done = bed.highwater.run("config", "show", "-config", config)
    assert "TOPSECRET" not in done.stdout and "s3://b/x" in done.stdout, done.stdout
    bed.highwater.run("config", "check", "-config", bed.path("none.yml"), expect=2)
    with open(config, "w", encoding="utf-8") as f:
        f.write("dbs:\n  - path: /a\n    monitor-interval: 1s\n    replica: {path: /b}\n")
    done = bed.highwater.run("config", "check", "-config", config)
    assert "monitor-interval (line 3)" in done.stdout, done.stdout
    for arguments in (["-exec", "true", "-once"], ["-config", config, "/a", "file:///b"], ["/a"]):
        done = subprocess.run(
            [bed.highwater.binary, "replicate", *arguments], capture_output=True, text=True,
        )
        assert done.returncode == 2, (arguments, done)

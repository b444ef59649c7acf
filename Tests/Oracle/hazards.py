"""Set-ups that break WAL mode, made for real: the loss is shown without the guard where it can be,
and the guard has to see it before any harm. And set-ups that are fine, which it must leave alone.

Nothing of Docker is needed: layouts.py makes containers from mount and pid namespaces, and two
kernels from two bindfs mounts of one folder.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

from agent import folder_url
from layouts import Container, bindfs, mounted, why_not

SCENARIOS = {}
OK, UNSAFE = 0, 9


def scenario(*needed):
    """Registers a scenario, which is skipped with the reason where the machine cannot run it."""

    def register(function):
        def run(bed):
            if reason := why_not(*needed):
                bed.notes.append(f"skipped: {reason}")
                return
            function(bed)

        run.__doc__ = function.__doc__
        SCENARIOS[function.__name__] = run
        return function

    return register


# Opens the database, with "held" waits for a line, inserts rows, optionally lets the WAL start
# over, and holds the connection until its input ends.
WRITER = """
import sqlite3, sys
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None, timeout=10)
def run(statements):
    for statement in statements:
        try:
            db.execute(statement)
        except sqlite3.DatabaseError as error:
            print("error", error)
run(["PRAGMA journal_mode=WAL", "CREATE TABLE IF NOT EXISTS t(who, n)"])
if sys.argv[4:] == ["held"]:
    print("open", flush=True)
    sys.stdin.readline()
inserts = [f"INSERT INTO t VALUES('{name}', {n})" for n in range(count)]
run(inserts)
if name == "truncating":
    run(["PRAGMA wal_checkpoint(TRUNCATE)", inserts[-1]])
print("wrote", flush=True)
sys.stdin.read()
db.close()
"""


class Application:
    """A program that writes and keeps its connection, inside a container or not. One that is held
    has the database open before it writes, and waits for `go`."""

    def __init__(self, path, name="a", count=20, container=None, held=False):
        prefix = container.prefix if container else []
        more = ["held"] if held else []
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", WRITER, path, name, str(count), *more], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.errors, self.held = [], held

    def go(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def wait(self, word="wrote"):
        """Until everything is written; or, with `open`, until the database is open."""
        while (line := self.process.stdout.readline().strip()) != word:
            if not line:
                # SQLite cuts -shm when it is the first to open it; who has it mapped through
                # another file system ends there.
                code = self.process.wait()
                assert self.held and code == -signal.SIGBUS, (code, self.errors)
                self.errors.append("ended by SIGBUS")
                break
            self.errors.append(line)
        return self

    def __enter__(self):
        return self.wait()

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()
        self.process.stdout.close()


def together(*applications):
    """All have the database open, then write, and keep their connections until the last one is
    done. The errors that they saw."""
    for application in applications:
        application.wait("open")
    for application in applications:
        application.go()
    for application in applications:
        application.wait()
    for application in applications:
        application.__exit__()
    return [error for application in applications for error in application.errors]


def doctor(bed, path, container=None, expect=None, options=()):
    """The report of `doctor -json`, after a check that the exit code fits the verdict."""
    command = [bed.highwater.binary, "doctor", "-json", *options, path]
    done = subprocess.run(
        [*(container.prefix if container else []), *command], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )
    assert done.stdout, f"doctor ended with {done.returncode}\n{done.stderr}"
    report = json.loads(done.stdout)
    unsafe = report["verdict"] in ("high", "fatal")
    assert done.returncode == (UNSAFE if unsafe else OK), (done.returncode, report["verdict"])
    for finding in report["findings"]:
        if finding["verdict"] != "ok":
            assert finding.get("remedy"), f"no remedy: {finding}"
    if expect is not None:
        bad = [f for f in report["findings"] if f["verdict"] != "ok"]
        assert report["verdict"] in expect, json.dumps(bad or report, indent=1)
    return report


def codes(report, *verdicts):
    return {f["code"] for f in report["findings"] if f["verdict"] in verdicts}


def probe(bed, *sides, timeout=20, more=()):
    """`doctor probe` on two sides, (folder, container) each; the reports and exit codes."""
    running = [
        subprocess.Popen(
            [
                *(container.prefix if container else []), bed.highwater.binary, "doctor", "probe",
                "-json", "-timeout", str(timeout), *more, folder,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for folder, container in sides
    ]
    results = []
    for process in running:
        out, err = process.communicate(timeout=90)
        assert out, f"probe ended with {process.returncode}\n{err}"
        results.append((json.loads(out), process.returncode))
    return results


def coherent(bed, *sides):
    for report, code in probe(bed, *sides):
        assert (report["answer"], code) == ("coherent", OK), report
        assert report["own"]["rounds"] >= 20 and report["other"]["rounds"] >= 20


def incoherent(bed, *sides):
    for report, code in probe(bed, *sides, more=["-round-timeout", "0.5"]):
        assert (report["answer"], code) == ("not coherent", UNSAFE), report


def refused(bed, path, container=None, words=()):
    """replicate must end with 9 by itself, name the remedy, and leave no file."""
    folder = os.path.dirname(path)
    before = set(os.listdir(folder))
    command = [bed.highwater.binary, "replicate", path, bed.url]
    done = subprocess.run(
        [*(container.prefix if container else []), *command], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=40,
    )
    assert done.returncode == UNSAFE, (done.returncode, done.stderr)
    assert "What to do" in done.stderr and "-allow-hazard" in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert set(os.listdir(folder)) == before, set(os.listdir(folder)) ^ before
    assert os.listdir(bed.store) == [], "something was stored"


def rows(path):
    """Rows that are left, or the error; and what integrity_check says."""
    db = sqlite3.connect(path, timeout=10)
    try:
        count = db.execute("SELECT count(*) FROM t").fetchone()[0]
        return count, db.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error), str(error)
    finally:
        db.close()


@contextlib.contextmanager
def two_mounts(bed):
    """One folder through two file systems."""
    with bindfs(bed.application, bed.path("m1")) as m1:
        with bindfs(bed.application, bed.path("m2")) as m2:
            yield m1, m2


# What is fine


@scenario()
def local_folders_are_fine(bed):
    """A disk, a bind-mounted folder under another name (named volume, hostPath), tmpfs; another
    pid namespace: verdict ok, the probe coherent."""
    inside = bed.path("inside")
    os.mkdir(inside)
    container = Container((bed.application, inside), processes=True)
    with Application(bed.database):
        report = doctor(bed, bed.database, expect=["ok", "warn"])
        assert codes(report, "warn") <= {"free-space"}, report
        assert len(report["openers"]) == 1 and "DMS" in report["openers"][0]["locks"]
        # From the container the application's process cannot be seen, its locks can.
        report = doctor(bed, f"{inside}/app.db", container, expect=["ok", "warn"])
        assert report["openers"] == [] and not report["openers_complete"]
        assert "another container" in json.dumps(report["findings"])
    with Application(f"{inside}/app.db", container=container):
        report = doctor(bed, bed.database, expect=["ok", "warn"])
        assert report["openers"][0]["same_pid_namespace"] is False
        assert report["openers"][0]["same_mounts"] is False
    coherent(bed, (bed.application, None), (inside, container))
    with mounted("-t", "tmpfs", "tmpfs", at=bed.path("memory")) as memory:
        with Application(f"{memory}/app.db"):
            report = doctor(bed, f"{memory}/app.db", expect=["ok", "warn"])
        assert report["file_system_family"] == "memory"
        coherent(bed, (memory, None), (memory, Container(processes=True)))
    assert not os.path.exists(f"{bed.application}/.highwater-probe")


@scenario("overlay")
def one_overlay_is_a_warning(bed):
    """A container's layer: coherent inside, and lost with the container."""
    for name in ("lower", "upper", "work"):
        os.mkdir(bed.path(name))
    options = f"lowerdir={bed.path('lower')},upperdir={bed.path('upper')},workdir="
    with mounted(
        "-t", "overlay", "overlay", "-o", options + bed.path("work"), at=bed.path("layer")
    ) as layer:
        with Application(f"{layer}/app.db"):
            report = doctor(bed, f"{layer}/app.db", expect=["warn"])
            assert codes(report, "warn") <= {"file-system", "free-space"}
        coherent(bed, (layer, None), (layer, None))


@scenario()
def sidecar_in_a_container(bed):
    """The agent in mount and pid namespaces of its own, the folder mounted there under another
    name: every commit is backed up."""
    inside = bed.path("inside")
    os.mkdir(inside)
    bed.prepare()
    container = Container((bed.application, inside), processes=True)
    agent = bed.agent(prefix=container.prefix, database=f"{inside}/app.db").start()
    agent.wait_until(lambda: bed.generations(), "a generation")
    bed.writer(commits=60, rate=100).wait()
    seq = bed.seq()
    agent.wait_until(lambda: len(bed.highwater.history(bed.url)) > seq, "all commits are stored")
    text = agent.log()
    assert "hazard" not in text, text
    agent.kill()
    bed.judge(least=20)


# What is not


@scenario()
def mounted_file(bed):
    """`-v ./app.db:/data/app.db`: two containers with the file and folders of their own. Commits
    vanish; the doctor sees it from inside and outside, and the agent refuses before any harm."""
    sides = []
    for name in ("one", "two"):
        os.mkdir(bed.path(name))
        inner = f"{bed.path(name)}/app.db"
        open(inner, "w").close()
        sides.append((Container((bed.database, inner)), inner))

    def fresh():
        for suffix in ("-wal", "-shm", ""):
            for path in (bed.database, *(inner for _, inner in sides)):
                if suffix and os.path.exists(path + suffix):
                    os.remove(path + suffix)
        open(bed.database, "w").close()

    fresh()
    with Application(bed.database, "setup", 0):
        pass
    errors = together(
        *(Application(inner, f"c{n}", 80, c, held=True) for n, (c, inner) in enumerate(sides))
    )
    left, integrity = rows(bed.database)
    assert left != 160, "no commit was lost: the hazard was not produced"
    bed.notes.append(f"unguarded: {left} of 160 rows left, {len(errors)} errors, {integrity}")

    fresh()
    with Application(bed.database, "setup", 5):
        pass
    content = open(bed.database, "rb").read()
    container, inner = sides[0]
    report = doctor(bed, inner, container, expect=["fatal"])
    assert codes(report, "fatal") == {"file-mount"}, report
    refused(bed, inner, container, ["mount the folder"])
    assert open(bed.database, "rb").read() == content, "the database was written to"
    # From outside nothing is mounted, but somebody uses another -wal.
    with Application(inner, "c", 3, container), Application(bed.database, "host", 3):
        report = doctor(bed, bed.database, expect=["fatal"])
        assert "other-wal" in codes(report, "fatal"), report
        refused(bed, bed.database, words=["another -wal"])
    # Who insists gets a backup without a single checkpoint.
    fresh()
    with Application(inner, "c", 3, container):
        agent = bed.agent(
            ["-allow-hazard"], container.prefix, database=inner
        ).start()
        agent.wait_until(lambda: bed.generations(), "a generation")
        assert "file-mount" in agent.log()
        agent.stop(expect=None)


@scenario("fuse")
def two_file_systems(bed):
    """Two bindfs mounts of one folder, as host and virtual machine, or two virtual machines, see
    it: neither memory nor locks are shared. One mount alone is coherent."""
    with two_mounts(bed) as (m1, m2):
        coherent(bed, (m1, None), (m1, Container(processes=True)))
        incoherent(bed, (m1, None), (m2, None))
        incoherent(bed, (m1, None), (bed.application, None))

        with Application(f"{m1}/app.db", "setup", 0):
            pass
        errors = together(*(Application(f"{m}/app.db", m[-2:], 60, held=True) for m in (m1, m2)))
        left, integrity = rows(bed.database)
        assert left != 120, "no commit was lost: the hazard was not produced"
        bed.notes.append(f"unguarded: {left} of 120 rows left, {len(errors)} errors, {integrity}")

        with Application(f"{m1}/new.db"):
            report = doctor(bed, f"{m1}/new.db", expect=["warn"])
            expected = {"file-system", "second-mount"}
            assert expected <= codes(report, "warn") <= expected | {"free-space"}, report
            report = doctor(bed, f"{m2}/new.db", expect=["fatal"])
            assert "other-superblock" in codes(report, "fatal"), report
            refused(bed, f"{m2}/new.db", words=["share neither memory nor locks"])


@scenario("fuse")
def heartbeats_of_two_kernels(bed):
    """Agents that see nothing of each other but the folder: another file system, or another boot
    id. The second one refuses; a heartbeat that a dead one left is no hazard."""
    fake = bed.path("boot_id")
    with open(fake, "w", encoding="utf-8") as f:
        f.write("00000000-1111-2222-3333-444444444444\n")
    boot = "/proc/sys/kernel/random/boot_id"
    with two_mounts(bed) as (m1, m2):
        with Application(f"{m1}/app.db"):
            first = bed.agent(
                prefix=Container(processes=True).prefix, database=f"{m1}/app.db"
            ).start()
            first.wait_until(lambda: bed.generations(), "a generation")
            peers = f"{bed.application}/.app.db-highwater/peers"
            first.wait_until(lambda: os.path.isdir(peers) and os.listdir(peers), "a heartbeat")
            beat = open(f"{peers}/{os.listdir(peers)[0]}", encoding="utf-8").read()
            for path, container, code in (
                (f"{m2}/app.db", Container(processes=True), "other-superblock"),
                (f"{m1}/app.db", Container((fake, boot)), "other-kernel"),
            ):
                report = doctor(bed, path, container, expect=["fatal"])
                assert code in codes(report, "fatal"), report
                done = container.run(
                    bed.highwater.binary, "replicate", path, folder_url(bed.path("other"))
                )
                assert done.returncode == UNSAFE, (done.returncode, done.stderr)
                assert "kernel" in done.stderr or "file system" in done.stderr, done.stderr
            first.kill()
            # What is left of it: a note that nobody renews. Its time does not matter.
            with open(f"{peers}/dead.peer", "w", encoding="utf-8") as f:
                f.write(beat.replace(beat.split("\n")[1], "id=dead").replace("device=", "device=9"))
            os.utime(f"{peers}/dead.peer", (4e9, 4e9))
            report = doctor(bed, f"{m1}/app.db", Container((fake, boot)))
            assert report["verdict"] != "fatal" and report["peers"] == [], report
            second = bed.agent(
                prefix=Container((fake, boot), processes=True).prefix, database=f"{m1}/app.db"
            ).start()
            second.wait_until(lambda: "resuming" in second.log(), "a start", seconds=30)
            second.kill()


@scenario("fuse")
def caught_at_run_time(bed):
    """An application on a second file system comes when the agent already runs, unseen: no
    heartbeats, no common processes. The run-time guard sees it under the write lock and says so.
    The agent goes on without a checkpoint, or ends where SQLite finds no database any more."""
    with two_mounts(bed) as (m1, m2), Application(f"{m1}/app.db"):
        agent = bed.agent(
            ["-no-heartbeat"], Container(processes=True).prefix, database=f"{m1}/app.db"
        ).start()
        agent.wait_until(lambda: bed.generations(), "a generation")
        with Application(f"{m2}/app.db", "truncating", 30):
            agent.wait_until(
                lambda: "verdict=fatal" in agent.log(), "the alarm", seconds=40, ends_early=True
            )
            text = agent.log()
            assert "code=wal-index" in text or "code=locks-ignored" in text, text
            size = os.path.getsize(bed.database)
            time.sleep(1)
            assert agent.is_running() or "not a database" in agent.log(), agent.log()
            assert os.path.getsize(bed.database) == size, "something was checkpointed"


@scenario()
def replaced_file(bed):
    """mv over a database that is open: two inodes under one name."""
    with Application(bed.database, count=5):
        sqlite3.connect(bed.path("new.db")).execute("PRAGMA journal_mode=WAL").close()
        os.rename(bed.path("new.db"), bed.database)
        report = doctor(bed, bed.database, expect=["fatal"])
        assert "replaced-file" in codes(report, "fatal"), report
        refused(bed, bed.database, words=["restart that process"])


@scenario()
def two_names(bed):
    """A hard link is a second name, and the second name has a second -wal."""
    with Application(bed.database, count=5):
        pass
    other = f"{bed.application}/other.db"
    os.link(bed.database, other)
    report = doctor(bed, bed.database, expect=["warn"])
    assert "hard-links" in codes(report, "warn")
    with Application(other, count=1):
        report = doctor(bed, bed.database, expect=["fatal"])
        assert "other-wal" in codes(report, "fatal"), report
        refused(bed, bed.database)


@scenario()
def lost_locks(bed):
    """An application that opens and closes -shm by itself has dropped its locks."""
    program = WRITER.replace('print("wrote"', 'open(path + "-shm").close(); print("wrote"')
    process = subprocess.Popen(
        [sys.executable, "-c", program, bed.database, "a", "5"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline().strip() == "wrote"
        report = doctor(bed, bed.database, expect=["high"])
        assert "missing-locks" in codes(report, "high"), report
    finally:
        process.communicate("")


@scenario()
def damaged_index(bed):
    """The run-time guard: a WAL-index that claims more checkpointed frames than there are, the
    sign of SQLite's WAL-reset bug. The alarm comes in log, status and metrics, nothing is
    checkpointed any more, and what is committed is still backed up."""
    bed.prepare()
    control = bed.path("control.sock")
    agent = bed.started_agent(options=["-socket", control])
    holder = bed.writer("holder", commits=5, close="hold", autocheckpoint=0)
    agent.wait_until(lambda: len(bed.highwater.history(bed.url)) > 3, "commits")
    with open(bed.database + "-shm", "r+b") as f:
        f.seek(128)
        f.write((100_000).to_bytes(4, sys.byteorder))
    agent.wait_until(lambda: "hazard" in agent.log(), "the alarm", seconds=20)
    text = agent.log()
    assert "code=wal-reset verdict=fatal" in text and "remedy=" in text, text
    assert "hazard: wal-reset" in bed.highwater.run("status", "-socket", control).stdout
    metrics = subprocess.run(
        ["curl", "-s", "--unix-socket", control, "http://localhost/metrics"],
        capture_output=True, text=True, check=True,
    ).stdout
    alarm = [line for line in metrics.splitlines() if line.startswith("highwater_hazard{")]
    assert any('"wal-reset"' in line and line.endswith(" 1") for line in alarm), alarm
    writer = bed.writer(commits=150, autocheckpoint=0, rate=200)
    writer.wait()
    size = os.path.getsize(bed.database + "-wal")
    time.sleep(1.5)
    assert os.path.getsize(bed.database + "-wal") == size > 100_000, "the WAL was reset"
    agent.stop()
    holder.release()
    bed.judge(least=20, hazards=True)


# Bad input


@scenario()
def probe_partner_dies(bed):
    """kill -9 in the middle: not proven, exit 9, nothing left behind."""
    command = [bed.highwater.binary, "doctor", "probe", "-json", "-rounds", "1000000"]
    sides = [
        subprocess.Popen(
            [*command, "-round-timeout", "1", bed.application], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for _ in range(2)
    ]
    folder = f"{bed.application}/.highwater-probe"
    until = time.monotonic() + 20
    while not (os.path.isdir(folder) and any(n.endswith("scratch") for n in os.listdir(folder))):
        assert time.monotonic() < until, "the two did not find each other"
        time.sleep(0.01)
    sides[0].send_signal(signal.SIGKILL)
    sides[0].communicate()
    out, _ = sides[1].communicate(timeout=60)
    report = json.loads(out)
    assert (report["answer"], sides[1].returncode) == ("not proven", UNSAFE), report
    assert "ended" in report["reasons"][0], report
    assert os.listdir(bed.application) == [], os.listdir(bed.application)
    # A second try is not disturbed by anything that the dead one left.
    coherent(bed, (bed.application, None), (bed.application, None))


@scenario()
def doctor_bad_paths(bed):
    """No permission, links, FIFO, device, folder, missing folder: exit codes and words."""
    def run(*arguments, prefix=()):
        done = subprocess.run(
            [*prefix, bed.highwater.binary, "doctor", *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30,
        )
        return done.returncode, done.stdout + done.stderr

    with Application(bed.database, count=1):
        pass
    os.symlink("app.db", f"{bed.application}/link.db")
    os.symlink("nothing.db", f"{bed.application}/dangling.db")
    os.mkfifo(f"{bed.application}/fifo.db")
    for name, code, word in (
        ("link.db", 0, "is a link to"), ("dangling.db", 0, "points to nothing"),
        ("fifo.db", 2, "FIFO"), ("/dev/null", 2, "device"), (".", 2, "folder"),
        ("none/app.db", 2, "does not exist"), ("new.db", 0, "does not exist yet"),
    ):
        done = run(os.path.join(bed.application, name))
        assert done[0] == code and word in done[1], (name, done)
    for arguments in (
        [], ["-peer-wait", "-1", bed.database], ["probe"], ["probe", "-rounds", "3", "."],
    ):
        assert run(*arguments)[0] == 2, arguments
    fifo = f"{bed.application}/fifo.db"
    done = bed.highwater.run("replicate", fifo, bed.url, expect=2, timeout=20)
    assert "not a SQLite database" in done.stderr, done.stderr
    os.chmod(bed.application, 0o700)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    code, text = run(bed.database, prefix=nobody)
    assert code == 4 and "ermission denied" in text, (code, text)
    code, text = run("probe", "-timeout", "1", bed.application, prefix=nobody)
    assert code == 4, (code, text)
    os.chmod(bed.application, 0o755)
    code, text = run(bed.database, prefix=nobody)
    assert code == 0 and "run Highwater as user 0" in text, (code, text)

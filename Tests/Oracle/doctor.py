"""What the doctor says about a database and its machine: each finding is produced for real. What
breaks WAL mode is in hazards.py."""

import os
import sqlite3
import sys

from hazards import Application, codes, doctor
from layouts import Container, mounted, why_not

SCENARIOS = {}


def scenario(function):
    """Registers a scenario, which is skipped with the reason where the machine cannot run it."""

    def run(bed):
        if reason := why_not():
            bed.notes.append(f"skipped: {reason}")
            return
        function(bed)

    run.__doc__ = function.__doc__
    SCENARIOS[function.__name__] = run
    return function


def connected(path, *statements):
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement).fetchall()
    return db


def said(report, code):
    """The finding with a code: its verdict and its words."""
    found = next((f for f in report["findings"] if f["code"] == code), None)
    assert found, f"no {code} among {sorted(f['code'] for f in report['findings'])}"
    return found["verdict"], found["message"] + " " + found.get("remedy", "")


@scenario
def doctor_database(bed):
    """The database's own findings: journal, locking mode, page size, auto_vacuum, versions, what
    Litestream left, readers that stay, and a WAL that is large."""
    path = f"{bed.application}/journal.db"
    connected(path, "CREATE TABLE t(x)").close()
    verdict, words = said(doctor(bed, path, expect=["warn"]), "journal-mode")
    assert verdict == "warn" and "rollback journal" in words, words

    path = f"{bed.application}/exclusive.db"
    db = connected(
        path, "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "CREATE TABLE t(x)"
    )
    verdict, words = said(doctor(bed, path, expect=["warn"]), "locking-mode")
    assert verdict == "warn" and "locking_mode=NORMAL" in words, words
    db.close()

    db = connected(
        bed.database, "PRAGMA page_size=8192", "PRAGMA auto_vacuum=INCREMENTAL",
        "PRAGMA journal_mode=WAL", "CREATE TABLE _litestream_seq(x)", "CREATE TABLE t(x)",
        "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_autocheckpoint=0",
        "INSERT INTO t VALUES(1)",
    )
    os.mkdir(f"{bed.application}/.app.db-litestream")
    reader = connected(bed.database, "BEGIN", "SELECT * FROM t")
    for number in range(20):
        db.execute(f"INSERT INTO t VALUES({number})")
    report = doctor(bed, bed.database, expect=["ok"])
    assert report["facts"]["page_size"] == 8192 and report["facts"]["journal_mode"] == "wal"
    assert report["facts"]["writer_version"] == sqlite3.sqlite_version, report["facts"]
    assert report["facts"]["wal_frames"] >= 20, report["facts"]
    for code, word in (
        ("journal-mode", "page size 8192"), ("auto-vacuum", "incremental"),
        ("litestream", "_litestream_seq"), ("litestream", ".app.db-litestream"),
        ("sqlite-version", f"last writer {sqlite3.sqlite_version}"), ("wal-size", "the WAL has"),
        ("long-reader", f"(process {os.getpid()})"),
    ):
        verdict, words = said(report, code)
        assert verdict == "ok" and word in words, (code, words)
    # What is behind the last frame does not matter to SQLite, the size of the file does.
    os.truncate(f"{bed.database}-wal", 300 << 20)
    report = doctor(bed, bed.database, expect=["warn"])
    assert {"long-reader", "wal-size"} <= codes(report, "warn"), report
    reader.close()
    db.close()


@scenario
def doctor_machine(bed):
    """Limits of descriptors and watches, room, a read-only mount, a WAL that is mounted or lies
    elsewhere, and Litestream beside it."""
    with Application(bed.database, count=3):
        container = Container()
        container.prefix += ["prlimit", "--nofile=200:200"]
        verdict, words = said(doctor(bed, bed.database, container), "descriptor-limit")
        assert verdict == "warn" and "200 files" in words, words

        limit = bed.path("watches")
        with open(limit, "w", encoding="utf-8") as f:
            f.write("100\n")
        container = Container((limit, "/proc/sys/fs/inotify/max_user_watches"))
        verdict, words = said(doctor(bed, bed.database, container), "watch-limit")
        assert verdict == "warn" and "100 watches" in words, words

        with mounted("--bind", "-o", "ro", bed.application, at=bed.path("read")) as folder:
            report = doctor(bed, f"{folder}/app.db", expect=["warn"])
            assert {"mount-options", "permissions"} & codes(report, "warn"), report

        container = Container((bed.path("watches"), f"{bed.database}-wal"))
        report = doctor(bed, bed.database, container, expect=["fatal"])
        assert "file-mount" in codes(report, "fatal"), report

    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", at=bed.path("small")) as folder:
        with Application(f"{folder}/app.db", count=1):
            with open(f"{folder}/ballast", "wb") as f:
                f.write(bytes(890_000))
            verdict, _ = said(doctor(bed, f"{folder}/app.db", expect=["warn"]), "free-space")
            assert verdict == "warn"

    other = f"{bed.application}/other.db"
    # The same program, by the name that the doctor goes by.
    os.symlink(os.path.realpath(sys.executable), bed.path("litestream"))
    container = Container()
    container.prefix += ["sh", "-c", f'exec {bed.path("litestream")} "$@"']
    with Application(other, container=container):
        verdict, words = said(doctor(bed, other, expect=["warn"]), "other-agent")
        assert verdict == "warn" and "itestream" in words, words

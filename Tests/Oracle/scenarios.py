"""What an application does to its database while an agent follows, by name.

Each scenario is a function of a Testbed; its docstring says what it shows.
"""

import os
import sqlite3
import struct
import time

from testbed import commits

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def follow(bed, judge=None, setup=None, companions=(), **options):
    """Database, agent, one writer until it is done, clean stop, judgement."""
    bed.prepare(**(setup or {}))
    agent = bed.started_agent()
    others = [bed.companion(*arguments) for arguments in companions]
    bed.writer(**options).wait()
    for other in others:
        assert other.is_running(), f"a companion ended: {other.text()}"
        other.kill()
    agent.stop()
    bed.judge(**(judge or {"least": 20}))


# Checkpoints by the application.


@scenario
def autocheckpoint_1(bed):
    """The application checkpoints after every commit."""
    follow(bed, commits=commits(300), autocheckpoint=1)


@scenario
def autocheckpoint_1000(bed):
    """SQLite's default."""
    follow(bed, commits=commits(600), autocheckpoint=1000)


@scenario
def autocheckpoint_off(bed):
    """Only the agent checkpoints."""
    follow(bed, commits=commits(500), autocheckpoint=0)


def _application_checkpoints(mode):
    def run(bed):
        follow(
            bed, workload=f"checkpoint_{mode}", commits=commits(250), autocheckpoint=1000,
            rate=200, companions=[("checkpointer", mode.upper(), 0.004)],
        )

    run.__doc__ = f"The application and a second process call wal_checkpoint({mode}) in a loop."
    run.__name__ = f"checkpoint_{mode}"
    return scenario(run)


for _mode in ("passive", "full", "restart", "truncate"):
    _application_checkpoints(_mode)


# Other processes of the application.


@scenario
def busy_timeout_0(bed):
    """A writer without any busy timeout."""
    follow(bed, commits=commits(500), busy_timeout=0, autocheckpoint=100, rate=400)


@scenario
def long_readers(bed):
    """Readers whose snapshots stay open while the writer goes on."""
    follow(
        bed, commits=commits(500), autocheckpoint=50, rate=200,
        companions=[("reader", 0.3, 1.5), ("reader", 0.05, 0.3)],
    )


@scenario
def two_writers(bed):
    """Two writer processes, each commit recorded."""
    bed.prepare()
    agent = bed.started_agent()
    writers = [
        bed.writer(name, seed=n, commits=commits(250), autocheckpoint=100)
        for n, name in enumerate(["a", "b"])
    ]
    for writer in writers:
        writer.wait()
    agent.stop()
    bed.judge(least=20)


def _full_speed(autocheckpoint):
    def run(bed):
        bed.prepare()
        agent = bed.started_agent()
        writers = [
            bed.writer(
                name, seed=n, commits=commits(1200), autocheckpoint=autocheckpoint,
                exact_every=50, rows=60,
            )
            for n, name in enumerate(["a", "b"])
        ]
        for writer in writers:
            writer.wait()
        agent.stop()
        bed.judge(sparse=True, least=100)

    run.__doc__ = (
        f"Two writers at full speed, autocheckpoint {autocheckpoint}: a pre-image read in the "
        "wrong order is wrong in 2 to 3 % of reads."
    )
    run.__name__ = f"full_speed_autocheckpoint_{autocheckpoint}"
    return scenario(run)


for _count in (20, 1000):
    _full_speed(_count)


# What SQL can do to pages.


@scenario
def vacuum(bed):
    """VACUUM between small transactions."""
    follow(bed, workload="vacuum", commits=commits(250))


@scenario
def auto_vacuum_full(bed):
    """auto_vacuum = full: each commit may shrink the file."""
    follow(
        bed, setup={"auto_vacuum": "full"}, workload="savepoints", commits=commits(150),
        cache_size=-2000,
    )


@scenario
def auto_vacuum_incremental(bed):
    """auto_vacuum = incremental, with commits of incremental_vacuum."""
    follow(
        bed, setup={"auto_vacuum": "incremental"}, workload="incremental_vacuum",
        commits=commits(250),
    )


def _page_size(size):
    def run(bed):
        follow(
            bed, setup={"page_size": size}, commits=commits(200), autocheckpoint=200,
            rows=60 if size == 65536 else 150,
        )

    run.__doc__ = f"Pages of {size} bytes."
    run.__name__ = f"page_size_{size}"
    return scenario(run)


for _size in (512, 1024, 4096, 65536):
    _page_size(_size)


@scenario
def large_transaction(bed):
    """Transactions that are larger than the agent's memory budget."""
    follow(
        bed, workload="large_transaction", commits=24, size=int(48e6), cache_size=-1000,
        judge={"least": 20, "sample": 4},
    )


@scenario
def savepoints(bed):
    """Savepoints released and rolled back, and transactions rolled back."""
    follow(bed, workload="savepoints", commits=commits(150))


@scenario
def unchecked_frames(bed):
    """Rolled back savepoints of spilled pages: SQLite 3.40.1 then commits frames that have
    neither salts nor checksums. Its readers see them, so they belong to the backup."""
    follow(bed, workload="savepoints", commits=commits(150), cache_size=10, autocheckpoint=0)


@scenario
def repeated_commit_frames(bed):
    """Commit frames that repeat the one before: padding of one commit (psow=0, synchronous=FULL),
    or commits that change nothing. Each commit is one TXID, and padding is none."""
    bed.prepare(autocheckpoint=0)
    bed.sql("CREATE TABLE plain(x)", "INSERT INTO plain VALUES(0)")
    agent = bed.started_agent()
    nothing = "BEGIN; INSERT INTO plain VALUES(1); DELETE FROM plain WHERE x = 1; COMMIT"
    for psow, script in ((0, "UPDATE plain SET x = x + 2"), (1, nothing)):
        db = sqlite3.connect(f"file:{bed.database}?psow={psow}", uri=True, isolation_level=None)
        db.execute("PRAGMA synchronous = FULL")

        def newest():
            return max(bed.highwater.history(bed.url), default=1)

        before, size = newest(), os.path.getsize(bed.database + "-wal")
        for _ in range(25):
            db.executescript(script)
            time.sleep(0.003)
        frames = (os.path.getsize(bed.database + "-wal") - size) // 4120
        bed.notes.append(f"psow={psow}: {frames} frames in 25 commits")
        assert frames == (25 if psow else 50), f"psow={psow}: {frames} frames in 25 commits"
        # One more commit that has another page: were padding counted, it would show by now.
        db.execute("INSERT INTO items(body, crc) VALUES('', 0)")
        agent.wait_until(lambda: newest() >= before + 26, "26 commits", 20)
        assert newest() - before == 26, f"psow={psow}: 26 commits, {newest() - before} TXIDs"
        db.close()
    agent.stop()


@scenario
def spilled_frames(bed):
    """Frames spilled by a transaction that ends smaller than it was."""
    follow(bed, workload="spill", commits=commits(120), cache_size=8)


@scenario
def shrink_then_growth(bed):
    """The file shrinks and grows again over the same pages, without a checkpoint between."""
    follow(bed, workload="shrink_grow", commits=commits(150), autocheckpoint=0)


@scenario
def shrink_checkpoint_growth(bed):
    """The same with checkpoints between."""
    follow(bed, workload="shrink_grow_checkpoint", commits=commits(150), autocheckpoint=0)


@scenario
def unwritten_growth(bed):
    """Growth by pages that no frame was written for."""
    follow(bed, workload="unwritten_growth", commits=commits(150), cache_size=10)


@scenario
def lock_page(bed):
    """Over the lock page at 1 GiB and back. The file is sparse: its header claims pages that
    were never written, which SQLite takes for pages that have leaked."""
    bed.prepare(page_size=65536, auto_vacuum="full", autocheckpoint=0)
    _claim_pages(bed.database, 65536, 0x40000000 // 65536 - 6)
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(workload="lock_page", commits=6, autocheckpoint=0).wait(240)
    agent.stop(60)
    bed.judge(least=6, sample=1, leaked=True)


def _claim_pages(path, page_size, count):
    """Lets the database have `count` pages: what is beyond its own end is a hole."""
    with open(path, "r+b") as f:
        head = f.read(100)
        counter = head[24:28]
        f.seek(28)
        f.write(struct.pack(">I", count))
        f.seek(92)
        f.write(counter)
        f.truncate(count * page_size)

"""What the application does, by name. Each function takes the Writer and makes transactions."""

import os
import time


def oltp(w):
    """Small transactions: inserts, updates, deletes of a few rows."""
    while w.goes_on():
        w.transaction(lambda w: w.some_changes())


def vacuum(w):
    """OLTP with a VACUUM every now and then, after a part of the rows has gone."""
    for n in range(w.options.commits):
        if n % 40 == 39:
            w.transaction(lambda w: w.delete_all(keep=w.random.randint(0, 60)), "delete")
            w.statement("VACUUM", "vacuum")
        else:
            w.transaction(lambda w: w.some_changes())


def incremental_vacuum(w):
    """OLTP on auto_vacuum=incremental, with incremental_vacuum as its own commit."""
    for n in range(w.options.commits):
        if n % 25 == 24:
            w.transaction(lambda w: w.delete_all(keep=w.random.randint(0, 60)), "delete")
            for pages in (3, 0):
                w.statement(f"PRAGMA incremental_vacuum({pages})", "incremental_vacuum")
        else:
            w.transaction(lambda w: w.some_changes())


def shrink_grow(w, checkpoint=None):
    """Rows come and go in bulk: the file shrinks and grows again over the same pages."""
    while w.goes_on():
        w.transaction(lambda w: sum(w.insert(3000) for _ in range(40)), "grow")
        w.transaction(lambda w: w.some_changes())
        w.transaction(lambda w: w.delete_all(keep=w.random.randint(0, 5)), "shrink")
        w.statement("VACUUM", "vacuum")
        if checkpoint and w.random.random() < 0.7:
            w.retry(lambda: w.db.execute(f"PRAGMA wal_checkpoint({checkpoint})").fetchall())
            time.sleep(0.02)
        w.transaction(lambda w: w.some_changes())


def shrink_grow_checkpoint(w):
    """The same with a checkpoint between shrinking and growing."""
    shrink_grow(w, "PASSIVE")


def savepoints(w):
    """Nested savepoints, released and rolled back; whole transactions rolled back between."""

    def body(w):
        change = w.some_changes()
        for depth in range(w.random.randint(1, 3)):
            w.db.execute(f"SAVEPOINT s{depth}")
            inner = sum(w.insert(2500) for _ in range(w.random.randint(1, 15)))
            if w.random.random() < 0.5:
                w.db.execute(f"ROLLBACK TO s{depth}")
                inner = 0
            w.db.execute(f"RELEASE s{depth}")
            change += inner
        return change

    while w.goes_on():
        if w.random.random() < 0.3:
            w.retry(lambda: w.db.execute("BEGIN IMMEDIATE"))
            for _ in range(w.random.randint(1, 40)):
                w.insert(2500)
            w.db.execute("ROLLBACK")
        w.transaction(body)


def unwritten_growth(w):
    """A table is created, filled and dropped in one transaction: the file grows by pages that no
    frame is written for, because they are free again at the commit."""

    def body(w):
        w.db.execute("CREATE TABLE scratch(x)")
        for _ in range(w.random.randint(5, 60)):
            w.db.execute("INSERT INTO scratch VALUES(?)", (w.random.randbytes(3500),))
        change = w.some_changes()
        w.db.execute("DROP TABLE scratch")
        return change

    while w.goes_on():
        w.transaction(body, "grow unwritten")
        w.transaction(lambda w: w.some_changes())
        w.transaction(lambda w: sum(w.insert(3000) for _ in range(8)), "fill")
        if w.random.random() < 0.3:
            w.transaction(lambda w: w.delete_all(keep=3), "delete")
            w.statement("VACUUM", "vacuum")


def spill(w):
    """A tiny page cache: pages go to the WAL before the commit, several times, and the
    transaction ends smaller than it was in between."""

    def body(w):
        change = w.some_changes()
        w.db.execute("SAVEPOINT large")
        for _ in range(w.random.randint(20, 80)):
            w.insert(3000)
        w.db.execute("ROLLBACK TO large")
        w.db.execute("RELEASE large")
        w.db.execute("CREATE TABLE scratch(x)")
        for _ in range(30):
            w.db.execute("INSERT INTO scratch VALUES(?)", (w.random.randbytes(3500),))
        w.db.execute("DROP TABLE scratch")
        return change + w.some_changes()

    while w.goes_on():
        w.transaction(body, "spill")
        if w.random.random() < 0.2:
            w.transaction(lambda w: sum(w.insert(3000) for _ in range(20)), "grow")
            w.transaction(lambda w: w.delete_all(keep=2), "delete")
            w.statement("VACUUM", "vacuum")


def large_transaction(w):
    """Transactions of --size bytes between small ones."""
    rows = max(1, w.options.size // 100_000)
    for n in range(w.options.commits):
        if n % 8 == 5:
            w.transaction(lambda w: sum(w.insert(100_000) for _ in range(rows)), "large")
        elif n % 8 == 7:
            w.transaction(lambda w: w.delete_all(keep=5), "delete")
        else:
            w.transaction(lambda w: w.some_changes())


def lock_page(w):
    """Over the page that holds the lock bytes at 1 GiB, and back below it."""
    size = os.path.getsize(w.options.database)
    assert size < 2**30 + 65536, "the database begins below the lock page"
    for n in range(max(2, w.options.commits // 6)):
        w.transaction(lambda w: sum(w.insert(300_000) for _ in range(3)), "grow")
        w.transaction(lambda w: w.some_changes())
        w.transaction(lambda w: sum(w.insert(500_000) for _ in range(2)), "grow")
        w.transaction(lambda w: w.update())
        w.transaction(lambda w: w.delete_all(keep=2), "shrink")
        w.transaction(lambda w: w.some_changes())


def slow_transaction(w):
    """Transactions that stay open for a while, so that a kill finds one."""

    def body(w):
        change = w.some_changes()
        for _ in range(w.random.randint(0, 30)):
            change += w.insert(3000)
            time.sleep(0.0005)
        if w.random.random() < 0.3:
            change += w.delete_all(keep=5)
        return change

    while w.goes_on():
        w.transaction(body)


def checkpoints(mode):
    """OLTP of an application that calls wal_checkpoint(mode) itself, again and again."""

    def run(w):
        while w.goes_on():
            w.transaction(lambda w: w.some_changes())
            if w.random.random() < 0.2:
                try:
                    w.db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
                except Exception as error:  # a busy checkpoint is the application's business
                    if "locked" not in str(error):
                        raise

    return run


WORKLOADS = {
    "oltp": oltp,
    "vacuum": vacuum,
    "incremental_vacuum": incremental_vacuum,
    "shrink_grow": shrink_grow,
    "shrink_grow_checkpoint": shrink_grow_checkpoint,
    "savepoints": savepoints,
    "unwritten_growth": unwritten_growth,
    "spill": spill,
    "large_transaction": large_transaction,
    "lock_page": lock_page,
    "slow_transaction": slow_transaction,
    "checkpoint_passive": checkpoints("PASSIVE"),
    "checkpoint_full": checkpoints("FULL"),
    "checkpoint_restart": checkpoints("RESTART"),
    "checkpoint_truncate": checkpoints("TRUNCATE"),
}

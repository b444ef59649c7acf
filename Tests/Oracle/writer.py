"""The application of the scenarios: a process that writes a database and records its states.

Every transaction adds one to `state.seq`, so a restored file tells which commit it is, and keeps
`state.sum`, the sum of the checksums of all rows of `items`, so that its content can be checked
without an image. Runs of this program are told apart by --name.

    writer.py DB RECORDS --workload oltp --commits 300 --autocheckpoint 1000 ...

With --exact-every 1 (the default) an image is recorded after each commit, while a lock file keeps
other writers of this program from committing. With N > 1 writers run at full speed and only every
Nth commit is recorded.
"""

import argparse
import fcntl
import os
import random
import signal
import sqlite3
import sys
import time
import zlib

from imager import Recorder
from workloads import WORKLOADS

SCHEMA = [
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id = 1), seq INTEGER, sum INTEGER)",
    "CREATE TABLE items(id INTEGER PRIMARY KEY, body BLOB, crc INTEGER)",
    "CREATE INDEX items_crc ON items(crc)",
    "INSERT INTO state VALUES(1, 0, 0)",
]


def crc(identifier, body):
    return zlib.crc32(body, identifier & 0xFFFFFFFF)


class Writer:
    """One connection of the application."""

    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.recorder = Recorder(options.database, options.records)
        self.lock = os.open(options.records + "/commit.lock", os.O_RDWR | os.O_CREAT, 0o666)
        self.busy = 0
        self.attempts = 0
        self.commits = 0
        self.since_image = 0
        self.db = sqlite3.connect(
            options.database, isolation_level=None, timeout=options.busy_timeout / 1000
        )
        signal.signal(signal.SIGUSR1, self.end)
        self.set_up()

    def end(self, *_):
        """SIGUSR1: no further transactions."""
        self.options.commits = self.options.until = 0

    def set_up(self):
        """Pragmas, schema where there is none, and an image of what is there."""
        o = self.options
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.retry(lambda: self.pragmas(o))
        if not self.has_schema():
            self.record("empty")
            self.retry(self.create)
        self.record("opened")
        fcntl.flock(self.lock, fcntl.LOCK_UN)

    def pragmas(self, o):
        if o.page_size:
            self.db.execute(f"PRAGMA page_size = {o.page_size}")
        if o.auto_vacuum:
            self.db.execute(f"PRAGMA auto_vacuum = {o.auto_vacuum}")
        mode = self.db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise SystemExit(f"journal_mode is {mode}")
        self.db.execute(f"PRAGMA synchronous = {o.synchronous}")
        self.db.execute(f"PRAGMA wal_autocheckpoint = {o.autocheckpoint}")
        self.db.execute(f"PRAGMA cache_size = {o.cache_size}")

    def has_schema(self):
        query = "SELECT 1 FROM sqlite_schema WHERE name = 'state'"
        return self.retry(lambda: self.db.execute(query).fetchone()) is not None

    def create(self):
        self.db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            self.db.execute(statement)
        self.db.execute("COMMIT")

    def retry(self, action):
        """Runs `action` until the database is not busy; counts the refusals."""
        until = time.monotonic() + 30
        while True:
            try:
                self.attempts += 1
                return action()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise
                self.busy += 1
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                if time.monotonic() > until:
                    raise
                time.sleep(0.0005)

    def record(self, label, whole=False):
        """An image of the state as it is; the caller holds the lock exclusively."""
        known = self.has_schema()
        seq = self.db.execute("SELECT seq FROM state").fetchone()[0] if known else 0
        self.recorder.record(seq, label, whole or self.options.whole)
        return seq

    def transaction(self, body, label=""):
        """`body` and the new `seq`, committed as one transaction, and its image."""
        self.since_image += 1
        exact = self.since_image >= self.options.exact_every
        fcntl.flock(self.lock, fcntl.LOCK_EX if exact else fcntl.LOCK_SH)
        try:
            self.retry(lambda: self._transaction(body))
            self.commits += 1
            if exact:
                self.since_image = 0
                self.record(label)
        finally:
            fcntl.flock(self.lock, fcntl.LOCK_UN)
        if self.options.rate:
            time.sleep(self.random.expovariate(self.options.rate))

    def _transaction(self, body):
        self.db.execute("BEGIN IMMEDIATE")
        change = body(self) or 0
        self.db.execute("UPDATE state SET seq = seq + 1, sum = sum + ?", (change,))
        self.db.execute("COMMIT")

    def statement(self, sql, label):
        """One statement that is a transaction of its own (VACUUM): recorded under the same seq."""
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self.retry(lambda: self.db.execute(sql).fetchall())
            self.record(label)
        finally:
            fcntl.flock(self.lock, fcntl.LOCK_UN)

    # The pieces of which the workloads are made. Each returns the change of `state.sum`.

    def insert(self, size=None):
        body = self.random.randbytes(self.random.randint(10, 1500) if size is None else size)
        row = self.db.execute("INSERT INTO items(body, crc) VALUES(?, 0)", (body,)).lastrowid
        value = crc(row, body)
        self.db.execute("UPDATE items SET crc = ? WHERE id = ?", (value, row))
        return value

    def some_row(self):
        last = self.db.execute("SELECT max(id) FROM items").fetchone()[0] or 0
        target = self.random.randint(0, last)
        return self.db.execute(
            "SELECT id, crc, length(body) FROM items WHERE id >= ? ORDER BY id LIMIT 1", (target,)
        ).fetchone()

    def update(self):
        row = self.some_row()
        if row is None:
            return self.insert()
        body = self.random.randbytes(row[2])
        value = crc(row[0], body)
        self.db.execute("UPDATE items SET body = ?, crc = ? WHERE id = ?", (body, value, row[0]))
        return value - row[1]

    def delete(self):
        row = self.some_row()
        if row is None:
            return 0
        self.db.execute("DELETE FROM items WHERE id = ?", (row[0],))
        return -row[1]

    def delete_all(self, keep=0):
        total = self.db.execute(
            "SELECT coalesce(sum(crc), 0) FROM items WHERE id > ?", (keep,)
        ).fetchone()[0]
        self.db.execute("DELETE FROM items WHERE id > ?", (keep,))
        return -total

    def some_changes(self):
        """What a small business transaction does."""
        change = 0
        for _ in range(self.random.randint(1, 3)):
            count = self.db.execute("SELECT count(*) FROM items").fetchone()[0]
            choice = self.random.random()
            if count < self.options.rows and choice < 0.6:
                change += self.insert()
            elif choice < 0.85:
                change += self.update()
            else:
                change += self.delete()
        return change

    def run(self):
        WORKLOADS[self.options.workload](self)
        if self.options.exact_every > 1:
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            self.record("last")
            fcntl.flock(self.lock, fcntl.LOCK_UN)
        if self.options.close == "hold":
            print("done", flush=True)
            sys.stdin.readline()
        self.recorder.close()
        self.db.close()
        print(
            f"commits {self.commits} busy {self.busy} attempts {self.attempts}", flush=True
        )

    def goes_on(self):
        """False when the number of commits or the time is used up."""
        o = self.options
        return self.commits < o.commits and time.monotonic() < o.until


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("records")
    parser.add_argument("--name", default="a")
    parser.add_argument("--workload", default="oltp", choices=sorted(WORKLOADS))
    parser.add_argument("--commits", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0, help="commits per second, at most")
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--page-size", type=int, default=0)
    parser.add_argument("--auto-vacuum", default="")
    parser.add_argument("--autocheckpoint", type=int, default=1000)
    parser.add_argument("--synchronous", default="NORMAL")
    parser.add_argument("--cache-size", type=int, default=-2000)
    parser.add_argument("--busy-timeout", type=int, default=5000, help="milliseconds")
    parser.add_argument("--exact-every", type=int, default=1)
    parser.add_argument("--whole", action="store_true", help="keep each image whole")
    parser.add_argument("--close", default="close", choices=["close", "hold"])
    parser.add_argument("--size", type=int, default=0, help="of what a workload makes large")
    options = parser.parse_args()
    options.until = time.monotonic() + options.seconds
    return options


if __name__ == "__main__":
    Writer(arguments()).run()

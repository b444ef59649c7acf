"""The load of the benchmarks: `load.py DB setup|oltp [options]`; prints what it did as JSON.

The OLTP mix: 100,000 accounts with a secondary index and a history table. A transaction updates
three accounts, moves one in the index, and appends one row of history.
"""

import argparse
import json
import os
import random
import sqlite3
import struct
import time


def setup(db, _):
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN")
    db.execute("CREATE TABLE accounts(id INTEGER PRIMARY KEY, branch INT, balance INT, note TEXT)")
    db.execute("CREATE INDEX accounts_branch ON accounts(branch)")
    db.execute("CREATE TABLE history(id INTEGER PRIMARY KEY, account INT, amount INT, at REAL)")
    db.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB)")
    db.executemany(
        "INSERT INTO accounts VALUES(?, ?, 0, ?)",
        ((n, n % 997, f"account number {n} of the benchmark's bank") for n in range(1, 100_001)),
    )
    db.executemany("INSERT INTO rows VALUES(?, randomblob(200))", ((n,) for n in range(1, 501)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {}


class FrameCount:
    """Frames that this connection's commits appended, from the WAL-index header."""

    def __init__(self, path):
        self.path, self.last, self.total = path, None, 0

    def look(self):
        """Once after each commit; a change of salts means that the WAL began anew."""
        salts, frames = self.read()
        if self.last and self.last[0] == salts:
            self.total += max(0, frames - self.last[1])
        else:
            self.total += frames
        self.last = salts, frames

    def read(self):
        data = os.pread(self.descriptor, 48, 0)
        return data[32:40], struct.unpack_from("=I", data, 16)[0]


def transaction(db, chance):
    db.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        db.execute(
            "UPDATE accounts SET balance = balance + ? WHERE id = ?",
            (chance.randint(-500, 500), chance.randint(1, 100_000)),
        )
    account = chance.randint(1, 100_000)
    db.execute(
        "UPDATE accounts SET branch = ? WHERE id = ?", (chance.randint(0, 996), account)
    )
    db.execute(
        "INSERT INTO history(account, amount, at) VALUES(?, ?, ?)", (account, 7, time.time())
    )
    db.execute("COMMIT")


def oltp(db, options):
    db.execute(f"PRAGMA wal_autocheckpoint = {options.autocheckpoint}")
    db.execute("PRAGMA synchronous = NORMAL")
    chance = random.Random(options.seed)
    db.execute("SELECT count(*) FROM rows").fetchone()
    frames = FrameCount(options.database)
    # Never closed while SQLite has the file open: closing would drop the process's locks.
    frames.descriptor = os.open(options.database + "-shm", os.O_RDONLY)
    frames.last = frames.read()
    commits = busy = attempts = refused = 0
    longest = 0.0
    started = time.perf_counter()
    due = started
    while (now := time.perf_counter()) - started < options.seconds:
        if options.rate:
            if now < due:
                time.sleep(due - now)
            due += 1 / options.rate
        begun = time.perf_counter()
        refusals = busy
        while True:
            attempts += 1
            try:
                transaction(db, chance)
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                busy += 1
                if db.in_transaction:
                    db.execute("ROLLBACK")
                time.sleep(0.0002)
        refused += busy > refusals
        longest = max(longest, time.perf_counter() - begun)
        commits += 1
        frames.look()
    seconds = time.perf_counter() - started
    page_size = db.execute("PRAGMA page_size").fetchone()[0]
    return {
        "commits": commits, "refused": refused, "busy": busy, "attempts": attempts,
        "seconds": seconds,
        "longest_ms": longest * 1e3, "wal_bytes": frames.total * (page_size + 24),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("database")
    parser.add_argument("role", choices=["setup", "oltp"])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--busy-timeout", type=int, default=5000)
    parser.add_argument("--autocheckpoint", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    db = sqlite3.connect(
        options.database, isolation_level=None, timeout=options.busy_timeout / 1000
    )
    result = {"setup": setup, "oltp": oltp}[options.role](db, options)
    # A hard exit instead of a close: the descriptor of -shm above must not be closed first.
    print(json.dumps(result), flush=True)
    if options.role == "setup":
        db.close()
    else:
        os._exit(0)


if __name__ == "__main__":
    main()

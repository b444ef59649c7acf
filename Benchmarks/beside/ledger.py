"""An application whose state at each commit can be recognised, whatever tool restored it.

ledger.py DB setup [--rows N]
ledger.py DB run --record FILE [--rate R] [--seconds S] [--commits N] [--apart A]

Commit n changes rows, appends a row with 16 random bytes, and stores n and a digest of the whole
content in the table `state`; tables that a tool adds are not looked at. The record has a line for
each commit: number, times before and after COMMIT, the random bytes, the digest.
"""

import argparse
import hashlib
import os
import random
import sqlite3
import time


def hashed(*parts):
    text = hashlib.blake2b(digest_size=8)
    for part in parts:
        text.update(part if isinstance(part, bytes) else str(part).encode())
        text.update(b"\0")
    return int.from_bytes(text.digest(), "big")


def setup(path, rows):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN")
    db.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB)")
    db.execute("CREATE TABLE log(seq INTEGER PRIMARY KEY, marker BLOB)")
    db.execute("CREATE TABLE state(seq INTEGER, digest TEXT)")
    total = 0
    for number in range(rows):
        body = os.urandom(100) + b"text that compresses " * 5
        db.execute("INSERT INTO rows VALUES(?, ?)", (number, body))
        total ^= hashed("row", number, body)
    db.execute("INSERT INTO state VALUES(0, ?)", (f"{total:016x}",))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def state_of(path):
    """The last commit in a database: its number, and the digest of the content.

    The digest is None when the content is not what that commit left, or the file is damaged.
    """
    db = sqlite3.connect(path)
    try:
        seq, digest = db.execute("SELECT seq, digest FROM state").fetchone()
        total = 0
        for number, body in db.execute("SELECT id, body FROM rows"):
            total ^= hashed("row", number, body)
        for number, marker in db.execute("SELECT seq, marker FROM log"):
            total ^= hashed("log", number, marker)
        sound = db.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        return seq, digest if sound and f"{total:016x}" == digest else None
    finally:
        db.close()


def commit(db, seq, total, rows, chance):
    marker = os.urandom(16)
    before = time.time()
    db.execute("BEGIN IMMEDIATE")
    for number in chance.sample(range(rows), 3):
        (old,) = db.execute("SELECT body FROM rows WHERE id = ?", (number,)).fetchone()
        new = os.urandom(20) + old[20:]
        db.execute("UPDATE rows SET body = ? WHERE id = ?", (new, number))
        total ^= hashed("row", number, old) ^ hashed("row", number, new)
    db.execute("INSERT INTO log VALUES(?, ?)", (seq, marker))
    total ^= hashed("log", seq, marker)
    db.execute("UPDATE state SET seq = ?, digest = ?", (seq, f"{total:016x}"))
    db.execute("COMMIT")
    return total, f"{seq} {before:.6f} {time.time():.6f} {marker.hex()} {total:016x}\n"


def run(options):
    db = sqlite3.connect(options.database, isolation_level=None, timeout=10)
    db.execute("PRAGMA synchronous = NORMAL")
    seq, digest = db.execute("SELECT seq, digest FROM state").fetchone()
    (rows,) = db.execute("SELECT count(*) FROM rows").fetchone()
    total, chance = int(digest, 16), random.Random(options.seed)
    began = due = time.monotonic()
    with open(options.record, "a", encoding="utf-8", buffering=1) as record:
        for _ in range(options.commits or 1 << 60):
            if options.apart:
                due = time.monotonic() + options.apart * chance.uniform(0.7, 1.3)
            elif options.rate:
                due += chance.expovariate(options.rate)
            if options.seconds and due - began > options.seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            seq += 1
            total, line = commit(db, seq, total, rows, chance)
            record.write(line)
    db.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("role", choices=["setup", "run"])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--record")
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--commits", type=int, default=0)
    parser.add_argument("--apart", type=float, default=0, help="seconds between two commits")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.role == "setup":
        setup(options.database, options.rows)
    else:
        run(options)


if __name__ == "__main__":
    main()

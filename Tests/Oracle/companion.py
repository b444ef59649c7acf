"""Other processes of an application: checkpointers and long readers.

companion.py DB checkpointer MODE INTERVAL | reader SECONDS_LEAST SECONDS_MOST
"""

import random
import signal
import sqlite3
import sys
import time

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def checkpointer(db, mode, interval):
    db.execute("PRAGMA busy_timeout = 200")
    while True:
        try:
            db.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
        time.sleep(float(interval))


def reader(db, least, most):
    """Read transactions that stay open, and see the same from their first to their last look."""
    query = "SELECT (SELECT seq FROM state), (SELECT coalesce(sum(crc), 0) FROM items)"
    while True:
        db.execute("BEGIN")
        first = db.execute(query).fetchone()
        until = time.monotonic() + random.uniform(float(least), float(most))
        while time.monotonic() < until:
            time.sleep(0.02)
            again = db.execute(query).fetchone()
            if again != first:
                raise SystemExit(f"a reader's snapshot changed from {first} to {again}")
        total = db.execute("SELECT sum FROM state").fetchone()[0]
        if total != first[1]:
            raise SystemExit(f"a reader saw rows that sum to {first[1]}, expected {total}")
        db.execute("COMMIT")


def main():
    database, role = sys.argv[1:3]
    db = sqlite3.connect(database, isolation_level=None, timeout=10)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("SELECT * FROM sqlite_schema").fetchall()
    {"checkpointer": checkpointer, "reader": reader}[role](db, *sys.argv[3:])


if __name__ == "__main__":
    main()

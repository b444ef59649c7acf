"""Applications that do one thing a line: the writers of Tests/SimulationTests.

This process never opens SQLite. For each application it forks a worker, passes lines on to it, and
can kill it or cut its power, so that a simulation owns every step of every writer:

    ID start PATH SEED OPTIONS   ->  state HASH PAGES     (OPTIONS: a JSON object)
    ID ACTION …                  ->  state HASH PAGES | done | busy
    ID kill                      ->  done
    cut PATH SHARE               ->  cut KEPT OF          (the power, once nobody has it open)
    mixes PATH                   ->  yes | no (whether SQLite's recovery may mix states)
    unchecked PATH               ->  yes | no (whether it may stop before the last commit)
    copy FROM TO                 ->  done
    remove FOLDER                ->  done

HASH is the SHA-256 of the database as its last commit left it, read through SQLite.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import sys


class Application:
    """One connection that writes and one that reads."""

    def __init__(self, path, seed, options):
        self.path = path
        self.random = random.Random(seed)
        self.options = options
        self.reader = None
        fresh = not os.path.exists(path)
        self.open()
        if fresh:
            self.connection.execute(f"PRAGMA page_size={options['page_size']}")
            self.connection.execute(f"PRAGMA auto_vacuum={options['auto_vacuum']}")
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("BEGIN")
            self.connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, k INT, body BLOB)")
            self.connection.execute("CREATE INDEX item_k ON item(k)")
            self.write(options["rows"])
            self.connection.execute("COMMIT")
            # States before this one are nobody's business.
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def open(self):
        self.connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        self.connection.execute(f"PRAGMA wal_autocheckpoint={self.options['autocheckpoint']}")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute("PRAGMA cache_size=10")

    def state(self):
        # What others read: free pages are not always written, and the cache may hold something
        # else for them (sqlite3PagerDontWrite).
        self.connection.execute("PRAGMA shrink_memory")
        image = self.connection.serialize()
        size = self.options["page_size"]
        return f"state {hashlib.sha256(image).hexdigest()} {len(image) // size}"

    def write(self, count):
        for _ in range(count):
            body = self.random.randbytes(self.random.choice((20, 80, 300, 900)))
            if self.random.random() < 0.3:
                body = body[:8] * (len(body) // 8)
            self.connection.execute(
                "INSERT INTO item(k, body) VALUES(?, ?)", (self.random.randrange(1000), body)
            )

    def change(self, count):
        for _ in range(count):
            key = self.random.randrange(1000)
            self.connection.execute(
                "UPDATE item SET body = ?, k = k + 1 WHERE id IN "
                "(SELECT id FROM item WHERE k >= ? ORDER BY k LIMIT 2)",
                (self.random.randbytes(self.random.randrange(10, 400)), key),
            )

    def delete(self, count):
        self.connection.execute(
            "DELETE FROM item WHERE id IN (SELECT id FROM item ORDER BY k LIMIT ?)", (count,)
        )

    def do(self, action, words):
        """Carries out one action; the reply."""
        execute = self.connection.execute
        if action == "commit":
            if not self.connection.in_transaction:
                execute("BEGIN IMMEDIATE")
                getattr(self, words[0])(int(words[1]))
            execute("COMMIT")
            return self.state()
        if action == "spill":
            if not self.connection.in_transaction:
                execute("BEGIN IMMEDIATE")
            getattr(self, words[0])(int(words[1]))
            return "done"
        if action == "savepoint":
            if self.connection.in_transaction:
                return "busy"
            execute("BEGIN IMMEDIATE")
            self.write(int(words[0]))
            execute("SAVEPOINT inner")
            self.change(int(words[0]) * 4)
            execute("ROLLBACK TO inner")
            self.write(2)
            execute("COMMIT")
            return self.state()
        if action == "rollback":
            if self.connection.in_transaction:
                execute("ROLLBACK")
            return "done"
        if action == "checkpoint":
            if self.connection.in_transaction:
                return "busy"
            busy = execute(f"PRAGMA wal_checkpoint({words[0]})").fetchone()[0]
            return "busy" if busy else "done"
        if action == "vacuum":
            if self.connection.in_transaction:
                return "busy"
            execute("VACUUM" if words[0] == "whole" else "PRAGMA incremental_vacuum(7)").fetchall()
            return self.state()
        if action == "read":
            if self.reader is None:
                self.reader = sqlite3.connect(self.path, timeout=0, isolation_level=None)
                self.reader.execute("BEGIN")
                self.reader.execute("SELECT count(*) FROM item").fetchone()
            else:
                self.reader.close()
                self.reader = None
            return "done"
        if action == "reopen":
            if self.reader is not None:
                self.reader.close()
                self.reader = None
            self.connection.close()
            self.open()
            return self.state()
        raise ValueError(action)

    def serve(self, lines, replies):
        replies.write(self.state() + "\n")
        replies.flush()
        for line in lines:
            words = line.split()
            try:
                reply = self.do(words[0], words[1:])
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    reply = f"failed {error}"
                else:
                    if self.connection.in_transaction and words[0] in ("commit", "savepoint"):
                        self.connection.execute("ROLLBACK")
                    reply = "busy"
            replies.write(reply + "\n")
            replies.flush()


class Worker:
    """An application in a process of its own."""

    def __init__(self, path, seed, options):
        lines, self.lines = os.pipe()
        self.replies, replies = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            os.close(self.lines)
            os.close(self.replies)
            try:
                application = Application(path, seed, options)
                with os.fdopen(lines) as source, os.fdopen(replies, "w") as sink:
                    application.serve(source, sink)
            finally:
                os._exit(0)
        os.close(lines)
        os.close(replies)
        self.lines = os.fdopen(self.lines, "w")
        self.replies = os.fdopen(self.replies)

    def ask(self, line):
        self.lines.write(line + "\n")
        self.lines.flush()
        return self.answer()

    def answer(self):
        return self.replies.readline().strip() or "failed: the worker is gone"

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        self.lines.close()
        self.replies.close()


def cut(path, share):
    """What a power cut leaves with synchronous=NORMAL: of the WAL, what was synced before the last
    checkpoint and a part of the rest; no WAL-index."""
    try:
        with open(path + "-shm", "rb") as file:
            head = file.read(136)
        size, wal = os.path.getsize(path + "-wal"), path + "-wal"
    except FileNotFoundError:
        return "cut 0 0"
    os.remove(path + "-shm")
    if size < 32 or len(head) < 136:
        return "cut 0 0"
    last, filled, attempted = (struct.unpack_from("=I", head, at)[0] for at in (16, 96, 128))
    page_size = struct.unpack_from("=H", head, 14)[0]
    page_size = 65536 if page_size == 1 else page_size
    first = min(max(filled, attempted), last)
    kept = first + int((last - first) * share)
    os.truncate(wal, 32 + kept * (24 + page_size) if last else size)
    return f"cut {kept} {last}"


def unchecked(path, all_frames=True):
    """Whether there are frames without checksums: among all that were committed, or among those
    that a checkpoint may have copied."""
    try:
        with open(path + "-shm", "rb") as file:
            head = file.read(136)
        with open(path + "-wal", "rb") as file:
            wal = file.read()
    except FileNotFoundError:
        return "no"
    if len(head) < 136:
        return "no"
    page_size = struct.unpack_from("=H", head, 14)[0]
    size = 24 + (65536 if page_size == 1 else page_size)
    places = (16,) if all_frames else (96, 128)
    count = max(struct.unpack_from("=I", head, at)[0] for at in places)
    starts = range(32, min(len(wal), 32 + count * size), size)
    return "yes" if any(wal[at + 8 : at + 24] == bytes(16) for at in starts) else "no"


def mixes(path):
    """Whether recovery may come back with a state that never was: SQLite 3.40.1 commits frames
    without checksums after a ROLLBACK TO, and stops before them when it recovers the WAL. What a
    checkpoint had copied of them and of later frames stays in the database file, beneath the older
    pages that the frames before them hold."""
    return unchecked(path, all_frames=False)


def main():
    workers = {}
    for line in sys.stdin:
        words = line.split()
        if words[0] == "cut":
            reply = cut(words[1], float(words[2]))
        elif words[0] == "mixes":
            reply = mixes(words[1])
        elif words[0] == "unchecked":
            reply = unchecked(words[1])
        elif words[0] == "remove":
            shutil.rmtree(words[1], ignore_errors=True)
            reply = "done"
        elif words[0] == "copy":
            shutil.copyfile(words[1], words[2])
            if os.path.exists(words[1] + "-wal"):
                shutil.copyfile(words[1] + "-wal", words[2] + "-wal")
            reply = "done"
        elif words[1] == "start":
            options = json.loads("".join(words[4:]))
            workers[words[0]] = Worker(words[2], int(words[3]), options)
            reply = workers[words[0]].answer()
        elif words[1] == "kill":
            workers.pop(words[0]).kill()
            reply = "done"
        else:
            reply = workers[words[0]].ask(" ".join(words[1:]))
        print(reply, flush=True)
    for worker in workers.values():
        worker.kill()


if __name__ == "__main__":
    main()

"""Where one tool is measured: databases, a store of their own, and the tool as a process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import ledger
from bench import tree_size
from bucket import Bucket
from restore import measured

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD = os.path.join(os.path.dirname(HERE), "load.py")
LEDGER = os.path.join(HERE, "ledger.py")
# The requests that S3 bills as PUT, COPY, POST; it bills listings at the same price.
WRITES = {"put", "create-upload", "upload-part", "complete"}


class Commit:
    """A line of a ledger's record."""

    def __init__(self, line):
        seq, before, after, marker, self.digest = line.split()
        self.seq, self.before, self.after = int(seq), float(before), float(after)
        self.marker = bytes.fromhex(marker)


class Place:
    """A folder with databases and a store: `s3` (the strict server, on loopback) or `file`."""

    def __init__(self, options, tool, store="s3", count=1):
        self.tool, self.waits = tool, options.size != "quick"
        self.folder = tempfile.mkdtemp(prefix="beside-", dir=options.folder)
        os.mkdir(f"{self.folder}/dbs")
        self.databases = [f"{self.folder}/dbs/{n}.db" for n in range(count)]
        self.database = self.databases[0]
        self.config = f"{self.folder}/config.yml"
        self.process, self.bucket, self.others = None, None, []
        self.store = f"{self.folder}/store"
        if store == "s3":
            self.bucket = Bucket(self.store, name="bench")
            self.bucket.settings(pedantic=False)
            os.environ.update(self.bucket.environment)
        # Litestream 0.5.17 does not start where this is set.
        os.environ.pop("AWS_CA_BUNDLE", None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in [self.process, *self.others]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self.bucket:
            self.bucket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # The databases

    def fill(self, rows=2000):
        for path in self.databases:
            ledger.setup(path, rows)

    def load(self, role, **options):
        """Runs Benchmarks/load.py; what it measured, and the largest WAL meanwhile."""
        process = subprocess.Popen(
            [sys.executable, LOAD, self.database, role, *arguments(options)],
            stdout=subprocess.PIPE, text=True,
        )
        self.others.append(process)
        largest = 0
        while process.poll() is None:
            try:
                largest = max(largest, os.path.getsize(self.database + "-wal"))
            except FileNotFoundError:
                pass
            time.sleep(0.005)
        if process.returncode != 0:
            raise RuntimeError(f"load {role} ended with {process.returncode}")
        return {**json.loads(process.stdout.read()), "wal_high": largest}

    def start_ledger(self, **options):
        record = f"{self.folder}/record"
        process = subprocess.Popen(
            [sys.executable, LEDGER, self.database, "run", "--record", record,
             *arguments(options)]
        )
        self.others.append(process)
        return process

    def run_ledger(self, **options):
        """Commits in another process, to the end; the commits that it recorded."""
        before = len(self.commits())
        if self.start_ledger(**options).wait() != 0:
            raise RuntimeError("the ledger failed")
        return self.commits()[before:]

    def commits(self):
        try:
            with open(f"{self.folder}/record", encoding="utf-8") as f:
                return [Commit(line) for line in f if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def judge(self, path):
        """The number of the commit that a restored database is at, and whether it is that state."""
        seq, digest = ledger.state_of(path)
        recorded = {commit.seq: commit.digest for commit in self.commits()}
        return seq, digest is not None and digest == recorded.get(seq, digest)

    # The tool

    def start(self, is_shortest=False, wait=True):
        """Starts the tool; waits until the first state of each database is stored."""
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(self.tool.configuration(self._replicas(), is_shortest))
        with open(f"{self.folder}/tool.log", "ab") as log:
            self.process = subprocess.Popen(
                self.tool.replicate(self.config), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )
        if wait:
            self.wait(lambda: sum(map(self.tool.is_base, self.keys())) >= len(self.databases))
            time.sleep(1.5)

    def _replicas(self):
        if not self.bucket:
            return {
                path: {"type": "file", "path": f"{self.store}/{n}"}
                for n, path in enumerate(self.databases)
            }
        facts = self.bucket.facts
        return {
            path: {
                "type": "s3", "bucket": "bench", "path": f"db{n}", "endpoint": facts["endpoint"],
                "region": facts["region"], "force-path-style": "true",
            }
            for n, path in enumerate(self.databases)
        }

    def wait(self, condition, seconds=300):
        until = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.tool.name} does not get there: {self.log()[-800:]}")
            time.sleep(0.02)

    def log(self):
        with open(f"{self.folder}/tool.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, seconds=120):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def settle(self):
        """Until nothing more is stored; beyond the next full half minute where tools merge then."""
        self.quiet()
        if self.tool.levels and self.waits:
            time.sleep(30 - time.time() % 30 + 1)
            self.quiet()

    def quiet(self, quiet=2.5, seconds=300):
        """Until nothing was stored for a while."""
        last, since = self.stored(), time.monotonic()
        until = since + seconds
        while time.monotonic() - since < quiet and time.monotonic() < until:
            time.sleep(0.1)
            now = self.stored()
            if now != last:
                last, since = now, time.monotonic()

    def restore(self, output=None, time=None, more=()):
        """Seconds, peak memory, CPU seconds, and the file; raises RuntimeError on failure."""
        output = output or f"{self.folder}/restored.db"
        for suffix in ("", "-wal", "-shm", ".highwater", ".tmp"):
            if os.path.exists(output + suffix):
                os.remove(output + suffix)
        command = self.tool.restore(self.config, self.database, output, time)
        command[2:2] = more
        return *measured(command), output

    # The store

    def keys(self):
        root = os.path.join(self.store, "bench") if self.bucket else self.store
        return [
            os.path.relpath(os.path.join(parent, name), root)
            for parent, _, names in os.walk(root) for name in names
        ]

    def stored(self):
        """Bytes in the store."""
        try:
            return tree_size(os.path.join(self.store, "bench") if self.bucket else self.store)
        except FileNotFoundError:  # a temporary file went away meanwhile
            return -1

    def requests(self, after=-1):
        return self.bucket.log(after)

    def object(self, key):
        with open(os.path.join(self.store, "bench", key), "rb") as f:
            return f.read()

    def uploads(self, after=-1):
        """Key and time of completion of each stored object, in that order."""
        done = [
            (entry["key"], entry["time"] + entry["ms"] / 1000) for entry in self.requests(after)
            if entry.get("operation") in ("put", "complete") and entry["status"] == 200
        ]
        return sorted(done, key=lambda pair: pair[1])

    def durable_times(self, commits):
        """When each commit was in the store: ours by the names, others by the random bytes."""
        found, logs = {}, [pair for pair in self.uploads() if self.tool.is_log(pair[0])]
        if self.tool.name == "Highwater":
            # The first state has TXID 1, and commit n is the n-th after it.
            for key, done in logs:
                first, last = (int(part, 16) for part in os.path.basename(key).split("-")[:2])
                for txid in range(first, last + 1):
                    found.setdefault(txid - 1, done)
            return [found.get(c.seq) for c in commits]
        missing = {c.seq: c.marker for c in commits}
        for key, done in logs:
            data = self.object(key)
            # LZ4 keeps random bytes as they are, seldom in two pieces.
            for seq in [s for s, m in missing.items() if any(m[i : i + 8] in data for i in (0, 8))]:
                found[seq] = done
                del missing[seq]
        return [found.get(c.seq) for c in commits]


def arguments(options):
    """Options of a program from keywords."""
    result = []
    for key, value in options.items():
        if value is not False:
            result += ["--" + key.replace("_", "-")] + ([] if value is True else [str(value)])
    return result


def count(requests, kinds=None):
    return sum(kinds is None or entry.get("operation") in kinds for entry in requests)

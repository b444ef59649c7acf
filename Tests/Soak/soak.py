"""A long run of one agent over many databases, with all that happens to it in a year, faster.

soak.py [--binary PATH] [--minutes 20] [--databases 50] [--seed N]

Applications commit all the time. Meanwhile the agent is killed, told to read its configuration
again, its store goes away and comes back, databases come and go, retention deletes. Now and then a
database is made durable and its newest state restored: it has to be the database, byte for byte. In
the end that holds for all of them; memory, descriptors and WALs have not grown. The exit code is 0
then. Everything random follows from the seed, which is printed.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Oracle")
)

from agent import folder_url

CONFIGURATION = """
sync-interval: {interval}
snapshot: {{interval: 2m}}
retention: {{window: 5m, check-interval: 20s}}
dbs:
  - {{dir: {folder}/dbs, pattern: "*.db", watch: true, replica: "{store}"}}
"""


class Soak:
    def __init__(self, options):
        self.binary = os.path.abspath(options.binary)
        self.chance = random.Random(options.seed)
        self.folder = tempfile.mkdtemp(prefix="highwater-soak-")
        self.store, self.away = f"{self.folder}/store", f"{self.folder}/store.away"
        self.socket, self.config = f"{self.folder}/socket", f"{self.folder}/highwater.yml"
        for folder in (self.store, f"{self.folder}/dbs"):
            os.mkdir(folder)
        self.databases, self.names = {}, 0
        for _ in range(options.databases):
            self.add()
        self.counts = dict.fromkeys(
            ("commits", "kills", "outages", "reloads", "added", "removed", "restores"), 0
        )
        self.samples = []
        self.back_at = None
        self.write_configuration()
        self.start()

    def write_configuration(self):
        interval = self.chance.choice(["0", "100ms", "1s"])
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIGURATION.format(
                interval=interval, folder=self.folder, store=folder_url(self.store)
            ))

    # The agent.

    def start(self):
        with open(f"{self.folder}/log", "ab") as log:
            self.agent = subprocess.Popen(
                [self.binary, "replicate", "-config", self.config, "-socket", self.socket,
                 "-log-level", "warning"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        self.started = time.monotonic()

    def ask(self, *arguments, expect=0):
        done = subprocess.run(
            [self.binary, *arguments, "-socket", self.socket], capture_output=True, text=True
        )
        assert expect is None or done.returncode == expect, (arguments, done)
        return done

    def kill(self):
        self.agent.kill()
        self.agent.wait()
        self.counts["kills"] += 1
        self.start()

    def reload(self):
        self.write_configuration()
        self.agent.send_signal(signal.SIGHUP)
        self.counts["reloads"] += 1

    # The store.

    def go_away(self):
        if self.back_at is None:
            os.rename(self.store, self.away)
            with open(self.store, "w", encoding="utf-8"):
                pass
            self.back_at = time.monotonic() + self.chance.uniform(1, 20)
            self.counts["outages"] += 1

    def come_back(self):
        os.remove(self.store)
        os.rename(self.away, self.store)
        self.back_at = None

    # The databases.

    def add(self):
        self.names += 1
        path = f"{self.folder}/dbs/{self.names}.db"
        db = sqlite3.connect(path, isolation_level=None, timeout=20)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint={self.chance.choice([0, 100, 1000])}")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
        self.databases[path] = db
        return path

    def remove(self):
        if len(self.databases) > 5:
            path = self.chance.choice(sorted(self.databases))
            self.databases.pop(path).close()
            for ending in ("", "-wal", "-shm"):
                if os.path.exists(path + ending):
                    os.remove(path + ending)
            self.counts["removed"] += 1

    def commit(self):
        db = self.databases[self.chance.choice(list(self.databases))]
        kind = self.chance.random()
        number = self.chance.randint(1, 2000)
        if kind < 0.9:
            size = self.chance.choice([10, 300, 5000])
            db.execute("INSERT OR REPLACE INTO t VALUES(?, randomblob(?))", (number, size))
        elif kind < 0.99:
            db.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (number, number + 20))
        else:
            db.execute("VACUUM")
        self.counts["commits"] += 1

    # The oracle.

    def image(self, path):
        """The database's bytes now: nobody else writes."""
        copy = f"{self.folder}/copy.db"
        for ending in ("", "-wal"):
            shutil.copyfile(path + ending, copy + ending)
        db = sqlite3.connect(copy)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        with open(copy, "rb") as f:
            data = f.read()
        for ending in ("", "-wal", "-shm"):
            if os.path.exists(copy + ending):
                os.remove(copy + ending)
        return data

    def check(self, path):
        until = time.monotonic() + 120
        while self.ask("sync", "-wait", "-timeout", "30", path, expect=None).returncode != 0:
            assert time.monotonic() < until, self.ask("status", path, expect=None).stdout
            time.sleep(0.2)
        output = f"{self.folder}/restored.db"
        done = subprocess.run(
            [self.binary, "restore", "-config", self.config, "-o", output, path],
            capture_output=True, text=True,
        )
        assert done.returncode == 0, done.stderr
        with open(output, "rb") as f:
            assert f.read() == self.image(path), f"{path} and its restore differ"
        os.remove(output)
        os.remove(output + ".highwater")
        self.counts["restores"] += 1

    def sample(self):
        """Memory, descriptors and WALs, while the agent is not just beginning."""
        if time.monotonic() - self.started < 15:
            return
        with open(f"/proc/{self.agent.pid}/status", encoding="utf-8") as f:
            resident = int(f.read().split("VmRSS:")[1].split()[0]) * 1024
        files = len(os.listdir(f"/proc/{self.agent.pid}/fd"))
        wals = max(os.path.getsize(p + "-wal") for p in self.databases)
        self.samples.append((resident, files, wals))

    # The run.

    def run(self, minutes):
        until = time.monotonic() + minutes * 60
        next_event = next_sample = time.monotonic() + 5
        while (now := time.monotonic()) < until:
            assert self.agent.poll() is None, "the agent has ended"
            self.commit()
            time.sleep(self.chance.choice([0, 0, 0.001, 0.01]))
            if self.back_at and now > self.back_at:
                self.come_back()
            if now > next_sample:
                self.sample()
                next_sample = now + 5
            if now > next_event:
                self.event()
                next_event = now + self.chance.uniform(1, 8)
        if self.back_at:
            self.come_back()
        for path in sorted(self.databases):
            self.check(path)
        self.sample()
        self.agent.terminate()
        assert self.agent.wait(60) == 0, "the agent did not end well"
        self.judge()

    def event(self):
        kind = self.chance.choice(["kill", "reload", "away", "add", "remove", "check", "check"])
        if kind == "kill":
            self.kill()
        elif kind == "reload":
            self.reload()
        elif kind == "away":
            self.go_away()
        elif kind == "add":
            self.add()
            self.counts["added"] += 1
        elif kind == "remove":
            self.remove()
        elif self.back_at is None:
            self.check(self.chance.choice(sorted(self.databases)))

    def judge(self):
        print(", ".join(f"{count} {name}" for name, count in self.counts.items()))
        half = len(self.samples) // 2
        for name, place, slack, unit in (
            ("memory", 0, 8 << 20, 2**20), ("descriptors", 1, 60, 1),
            ("largest WAL", 2, 8 << 20, 2**20),
        ):
            first = statistics.median(s[place] for s in self.samples[:half] or self.samples)
            last = statistics.median(s[place] for s in self.samples[half:])
            print(f"{name}: {first / unit:.1f}, then {last / unit:.1f}; "
                  f"most {max(s[place] for s in self.samples) / unit:.1f}")
            assert last <= first * 1.25 + slack, f"{name} grows"
        assert max(s[2] for s in self.samples) < 256 << 20, "a WAL was not bounded"

    def close(self, keep):
        if self.agent.poll() is None:
            self.agent.kill()
            self.agent.wait()
        for db in self.databases.values():
            db.close()
        if keep:
            print(f"kept in {self.folder}")
        else:
            shutil.rmtree(self.folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=".build/release/highwater")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--databases", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    soak, failed = Soak(options), True
    try:
        soak.run(options.minutes)
        failed = False
    finally:
        if failed:
            with open(f"{soak.folder}/log", encoding="utf-8", errors="replace") as f:
                print(f.read()[-4000:])
            print(soak.counts)
        soak.close(failed)
    print("ok")


if __name__ == "__main__":
    main()

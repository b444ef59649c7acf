"""Many databases in one agent: what they cost while idle, and how soon commits are durable.

fleet.py --binary .build/release/highwater [--idle 1,100,1000] [--seconds 20]
         [--only idle,load,outage] [--store s3]

Prints markdown tables for docs/BENCHMARKS.md. Everything lies in --folder (default: the system's
temporary folder), the store is a folder there, too, or for the load with `--store s3` the strict
server on loopback.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "Oracle")
)

from bench import cpu_seconds, percentile
from bucket import Bucket


class Fleet:
    """An agent over a folder of databases."""

    def __init__(self, options, count, interval="1s", store="file"):
        self.binary, self.count = os.path.abspath(options.binary), count
        self.folder = tempfile.mkdtemp(prefix="highwater-bench-", dir=options.folder)
        self.bucket = Bucket(f"{self.folder}/server") if store == "s3" else None
        if self.bucket:
            self.bucket.settings(pedantic=False)
            self.store, url = self.bucket.path("fleet"), self.bucket.url("fleet")
        else:
            self.store, url = f"{self.folder}/store", f"file://{self.folder}/store"
        self.socket = f"{self.folder}/socket"
        self.paths = self._databases()
        config = f"{self.folder}/highwater.yml"
        with open(config, "w", encoding="utf-8") as f:
            f.write(
                f'sync-interval: {interval}\ndbs:\n  - {{dir: {self.folder}/dbs, pattern: "*.db", '
                f'recursive: true, watch: true, replica: "{url}"}}\n'
            )
        self.process = subprocess.Popen(
            [self.binary, "replicate", "-config", config, "-socket", self.socket,
             "-log-level", "warning"],
            stderr=open(f"{self.folder}/log", "wb"),
            env={**os.environ, **(self.bucket.environment if self.bucket else {})},
        )
        began = time.monotonic()
        while not self._all_running():
            assert self.process.poll() is None, open(f"{self.folder}/log").read()[-2000:]
            time.sleep(0.1)
        self.start_seconds = time.monotonic() - began

    def _databases(self):
        template = f"{self.folder}/template.db"
        db = sqlite3.connect(template)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
        db.executemany("INSERT INTO t VALUES(?, randomblob(100))", ((n,) for n in range(100)))
        db.commit()
        db.close()
        paths = []
        for number in range(self.count):
            folder = f"{self.folder}/dbs/{number // 1000}"
            os.makedirs(folder, exist_ok=True)
            paths.append(f"{folder}/{number}.db")
            shutil.copyfile(template, paths[-1])
        return paths

    def ask(self, *arguments):
        return subprocess.run(
            [self.binary, *arguments, "-socket", self.socket], capture_output=True, text=True
        )

    def status(self):
        return json.loads(self.ask("status", "-json").stdout or "{}")

    def _all_running(self):
        if not os.path.exists(self.socket):
            return False
        found = self.status().get("databases", [])
        return len(found) == self.count and all(d["status"] == "running" for d in found)

    def resident(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            return int(f.read().split("VmRSS:")[1].split()[0]) * 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def objects(self):
        """The log segments of each database, and when they were complete."""
        for path in self.paths:
            root = f"{self.store}/{os.path.relpath(path, self.folder + '/dbs')}/highwater-1"
            for parent, _, names in os.walk(root):
                for name in names:
                    if name.endswith(".log"):
                        first, last = name.split("-")[:2]
                        done = os.stat(f"{parent}/{name}").st_ctime_ns / 1e9
                        yield path, int(first, 16), int(last, 16), done

    def close(self):
        self.process.terminate()
        self.process.wait()
        if self.bucket:
            self.bucket.close()
        shutil.rmtree(self.folder)


def idle(options):
    print("\n| databases | start | RSS | per database | descriptors | per database | idle CPU |")
    print("|---|---|---|---|---|---|---|")
    base = None
    for count in map(int, options.idle.split(",")):
        fleet = Fleet(options, count)
        time.sleep(10)
        before = fleet.cpu()
        time.sleep(options.seconds)
        share = (fleet.cpu() - before) / options.seconds
        resident, files = fleet.resident(), fleet.descriptors()
        base = base or (resident, files)
        each = [f"{(resident - base[0]) / (count - 1) / 1024:.0f} KiB",
                f"{(files - base[1]) / (count - 1):.1f}"] if count > 1 else ["", ""]
        print(
            f"| {count:,} | {fleet.start_seconds:.1f} s | {resident / 2**20:.1f} MiB | {each[0]} "
            f"| {files} | {each[1]} | {share * 100:.2f} % of a core |", flush=True,
        )
        fleet.close()


def load(options):
    print(
        f"\n| 200 databases × 5 commits/s, {options.store} "
        "| p50 | p99 | PUTs/s | CPU per 1,000 commits | RSS |"
    )
    print("|---|---|---|---|---|---|")
    for interval in ("0", "1s"):
        fleet = Fleet(options, 200, interval, options.store)
        held = [sqlite3.connect(path, isolation_level=None) for path in fleet.paths]
        for db in held:
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA wal_autocheckpoint=0")
        times = {path: [] for path in fleet.paths}
        cpu, began, number = fleet.cpu(), time.monotonic(), 0
        while time.monotonic() - began < options.seconds:
            late = began + number / 1000 - time.monotonic()
            if late > 0:
                time.sleep(late)
            place = number % 200
            held[place].execute(
                "UPDATE t SET body = randomblob(100) WHERE id = ?", (random.randint(0, 99),)
            )
            times[fleet.paths[place]].append(time.time())
            number += 1
        resident, cpu = fleet.resident(), fleet.cpu() - cpu
        deadline = time.monotonic() + 30
        while any(d["replicas"][0]["unsynced_seconds"] for d in fleet.status()["databases"]):
            assert time.monotonic() < deadline, "commits do not become durable"
            time.sleep(0.2)
        latencies, objects = [], 0
        for path, first, last, done in fleet.objects():
            objects += 1
            # The base is TXID 1; commit n of the load is TXID n + 2.
            latencies += [done - times[path][t - 2] for t in range(first, last + 1)]
        assert len(latencies) == number, (len(latencies), number)
        print(
            f"| sync-interval {interval}, {number / options.seconds:.0f} commits/s "
            f"| {percentile(latencies, 0.5) * 1000:.0f} ms "
            f"| {percentile(latencies, 0.99) * 1000:.0f} ms | {objects / options.seconds:.0f} "
            f"| {cpu / number * 1000:.3f} s | {resident / 2**20:.1f} MiB |", flush=True,
        )
        for db in held:
            db.close()
        fleet.close()


def outage(options):
    """As many commits as 100 a second make in an hour, while the store takes nothing."""
    fleet = Fleet(options, 1)
    store, away = f"{fleet.folder}/store", f"{fleet.folder}/away"
    os.rename(store, away)
    with open(store, "w", encoding="utf-8"):
        pass
    db = sqlite3.connect(fleet.paths[0], isolation_level=None, timeout=30)
    db.execute("PRAGMA synchronous=NORMAL")
    began = time.monotonic()
    for number in range(360_000):
        db.execute("UPDATE t SET body = randomblob(100) WHERE id = ?", (number % 100,))
    took = time.monotonic() - began
    spooled = fleet.status()["databases"][0]["replicas"][0]["spooled_bytes"]
    wal = os.path.getsize(fleet.paths[0] + "-wal")
    os.remove(store)
    os.rename(away, store)
    began = time.monotonic()
    done = fleet.ask("sync", "-wait", "-timeout", "600", fleet.paths[0])
    assert done.returncode == 0, done.stderr
    print(
        f"\nOutage: 360,000 commits in {took:.0f} s, spool {spooled / 2**20:.1f} MiB, WAL "
        f"{wal / 2**20:.1f} MiB; durable {time.monotonic() - began:.1f} s after the store is back."
    )
    db.close()
    fleet.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=".build/release/highwater")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--idle", default="1,100,1000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", default="idle,load,outage")
    parser.add_argument("--store", default="file", choices=["file", "s3"])
    options = parser.parse_args()
    for name in options.only.split(","):
        {"idle": idle, "load": load, "outage": outage}[name](options)


if __name__ == "__main__":
    main()

"""The numbers of docs/BENCHMARKS.md, measured on this machine and printed as a markdown table.

bench.py --binary .build/release/highwater [--seconds 10] [--only NAME,...]

Each measurement uses a fresh database and a fresh folder as the store, in --folder (default: the
system's temporary folder; choose one on the disk that is to be measured).
"""

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.append(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Tests", "Oracle")
)

from agent import Agent, Highwater, folder_url

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def tree_size(folder):
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )


def newest_object(folder):
    """The number of objects in the store, temporary files left out."""
    return sum(
        name.endswith((".log", ".snapshot")) for _, _, names in os.walk(folder) for name in names
    )


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid):
    """Resident and peak resident memory."""
    values = {}
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith(("VmRSS", "VmHWM", "RssAnon")):
                values[line.split(":")[0]] = int(line.split()[1]) * 1024
    return values


class Bench:
    """A database, a store, and perhaps an agent, in a folder of their own."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="highwater-bench-", dir=options.folder)
        self.database = os.path.join(self.folder, "app.db")
        self.store = os.path.join(self.folder, "store")
        os.mkdir(self.store)
        self.agent = None
        self.highwater = Highwater(options.binary)

    def __enter__(self):
        self.run("setup")
        return self

    def __exit__(self, *_):
        if self.agent:
            self.agent.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *options):
        log = os.path.join(self.folder, "agent.log")
        url = folder_url(self.store)
        self.agent = Agent(self.options.binary, self.database, url, log, options)
        self.agent.start().wait_attached()
        time.sleep(0.5)

    def program(self, role, **options):
        arguments = [sys.executable, f"{HERE}/load.py", self.database, role]
        for key, value in options.items():
            arguments += ["--" + key.replace("_", "-"), str(value)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def run(self, role, **options):
        """Runs a load to its end and returns what it measured."""
        program = self.program(role, **options)
        text, _ = program.communicate(timeout=600)
        if program.returncode != 0:
            raise RuntimeError(f"load {role} ended with {program.returncode}")
        return json.loads(text)


def latency(options):
    """Commit to durable, isolated commits: the time until a new object is in the store."""
    with Bench(options) as bench:
        bench.start()
        db = sqlite3.connect(bench.database, isolation_level=None)
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA synchronous = NORMAL")
        took, disk = [], []
        for n in range(options.commits):
            time.sleep(1.15)
            before = newest_object(bench.store)
            db.execute("UPDATE rows SET body = randomblob(200) WHERE id = ?", (n % 500 + 1,))
            started = time.perf_counter()
            while newest_object(bench.store) == before:
                if time.perf_counter() - started > 10:
                    raise RuntimeError("a commit was not stored within 10 s")
                time.sleep(0.0002)
            took.append(time.perf_counter() - started)
            disk.append(store_cost(bench.folder))
        db.close()
    own = [max(0.0, a - b) for a, b in zip(took, disk)]
    return [
        ("commit→durable, file://, p50", "≤ 15 ms", f"{percentile(took, 0.5) * 1e3:.1f} ms"),
        ("commit→durable, file://, p99", "≤ 60 ms", f"{percentile(took, 0.99) * 1e3:.1f} ms"),
        (
            "… beyond the same file operations done bare, p50", "≤ 2 ms",
            f"{percentile(own, 0.5) * 1e3:.1f} ms",
        ),
    ]


def store_cost(folder):
    """Seconds that the file operations of one small put take by themselves."""
    parent = os.path.join(folder, "bare")
    os.makedirs(parent, exist_ok=True)
    started = time.perf_counter()
    path = os.path.join(parent, str(time.monotonic_ns()))
    descriptor = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(descriptor, os.urandom(1000))
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(path + ".tmp", path)
    descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
    return time.perf_counter() - started


def bytes_and_cpu(options):
    """The OLTP mix at 200 commits a second."""
    with Bench(options) as bench:
        bench.start()
        size, cpu = tree_size(bench.store), cpu_seconds(bench.agent.pid)
        result = bench.run("oltp", rate=200, seconds=options.seconds * 2, autocheckpoint=0)
        time.sleep(1.5)
        cpu = cpu_seconds(bench.agent.pid) - cpu
        memory = resident_bytes(bench.agent.pid)
        bench.agent.stop()
        size = tree_size(bench.store) - size
    commits, wal = result["commits"], result["wal_bytes"]
    return [
        ("CPU per 1,000 commits, OLTP at 200/s", "–", f"{cpu / commits * 1e6:.0f} ms"),
        ("stored bytes per commit", "–", f"{size / commits:.0f}"),
        ("WAL bytes per commit", "–", f"{wal / commits:.0f}"),
        ("stored bytes / WAL bytes", "≤ 0.1", f"{size / wal:.3f}"),
        (
            "RSS with one database (peak)", "≤ 24 MiB",
            f"{memory['VmRSS'] / 2**20:.1f} ({memory['VmHWM'] / 2**20:.1f}) MiB, "
            f"{memory.get('RssAnon', 0) / 2**20:.1f} of it anonymous",
        ),
    ]


def throughput(options):
    """A writer at full speed with and without an agent, interleaved."""
    ratios, without, with_agent = [], [], []
    for _ in range(options.rounds):
        pair = []
        for follow in (False, True):
            with Bench(options) as bench:
                if follow:
                    bench.start()
                result = bench.run("oltp", seconds=options.seconds / 2)
                pair.append(result["commits"] / result["seconds"])
        without.append(pair[0])
        with_agent.append(pair[1])
        ratios.append(pair[1] / pair[0])
    return [
        ("writer at full speed alone, commits/s", "–", f"{percentile(without, 0.5):.0f}"),
        ("writer at full speed with the agent", "–", f"{percentile(with_agent, 0.5):.0f}"),
        ("ratio, median of the pairs", "≥ 0.95", f"{percentile(ratios, 0.5):.3f}"),
    ]


def busy(options):
    """Refusals of a writer without a busy timeout at 500 commits a second."""
    shares, longest = [], []
    for follow in (False, True):
        with Bench(options) as bench:
            if follow:
                bench.start()
            result = bench.run(
                "oltp", seconds=options.seconds * 2, rate=500, busy_timeout=0, autocheckpoint=1000
            )
            shares.append(result["refused"] / max(1, result["commits"]))
            longest.append(result["longest_ms"])
    return [
        (
            "transactions that met SQLITE_BUSY, busy_timeout 0, 500/s", "< 0.1 %",
            f"{shares[1]:.3%}, longest transaction {longest[1]:.0f} ms (without the agent "
            f"{shares[0]:.3%}, {longest[0]:.0f} ms)",
        ),
    ]


def saturation(options):
    """A writer at full speed, without checkpoints of its own and with SQLite's default."""
    rows = saturated(options, 0, "never checkpoints")
    return rows + saturated(options, 1000, "checkpoints each 1,000 pages")[:1]


def saturated(options, autocheckpoint, what):
    """The WAL's size behind a writer at full speed, and how long resets hold the write lock."""
    with Bench(options) as bench:
        bench.start("-log-level", "debug")
        program = bench.program(
            "oltp", seconds=options.seconds, autocheckpoint=autocheckpoint
        )
        largest = 0
        while program.poll() is None:
            try:
                largest = max(largest, os.path.getsize(bench.database + "-wal"))
            except FileNotFoundError:
                pass
            time.sleep(0.002)
        program.communicate()
        syncs = []
        for _ in range(50):
            syncs.append(store_cost(bench.folder))
        memory = resident_bytes(bench.agent.pid)
        bench.agent.stop(60)
        log = bench.agent.log()
    held = [float(value) for value in re.findall(r"write_lock_held_ms[=:\" ]+([0-9.]+)", log)]
    rows = [
        (
            f"WAL high-water, writer at full speed that {what}", "≤ 64 MiB",
            f"{largest / 2**20:.1f} MiB",
        ),
        ("peak RSS meanwhile", "–", f"{memory['VmHWM'] / 2**20:.1f} MiB"),
    ]
    limit = 20 + 2e3 * percentile(syncs, 0.99)
    text = f"{percentile(held, 0.99):.1f} ms in {len(held)} resets" if held else "no reset logged"
    rows.append(
        ("write lock held by a forced reset, p99", f"≤ {limit:.0f} ms (20 + two fsyncs)", text)
    )
    return rows


MEASUREMENTS = {
    "latency": latency,
    "bytes": bytes_and_cpu,
    "throughput": throughput,
    "busy": busy,
    "saturation": saturation,
}


def machine(folder):
    """One line that says where the numbers come from."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    where = subprocess.run(
        ["df", "--output=fstype", folder], capture_output=True, text=True, check=False
    ).stdout.split()
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{where[-1] if where else 'unknown file system'}, SQLite {sqlite3.sqlite_version}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--commits", type=int, default=60, help="isolated commits for the latency")
    parser.add_argument("--rounds", type=int, default=5, help="pairs for the throughput")
    parser.add_argument("--only", default=",".join(MEASUREMENTS))
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    print(machine(options.folder) + "\n\n| what | goal | measured |\n|---|---|---|", flush=True)
    for name in options.only.split(","):
        for row in MEASUREMENTS[name](options):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

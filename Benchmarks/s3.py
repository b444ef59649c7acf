"""The numbers of docs/BENCHMARKS.md, section S3, as a markdown table.

s3.py --binary .build/release/highwater --store-benchmark .build/release/StoreBenchmark
      [--server ceph,strict] [--megabytes 256] [--puts 300]

Real servers are those that `Tests/S3Servers/servers.py up` started; `strict` is started here. What
is compared runs in turn, in the same minute, against the same server.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(HERE), "Tests")
sys.path[:0] = [os.path.join(TESTS, "Oracle"), HERE]

from agent import Agent
from bench import machine, percentile
from bucket import Bucket

RCLONE = os.path.join(os.path.dirname(HERE), ".build", "servers", "python", "bin", "rclone")


def signed_headers(method, server, path, payload):
    """Headers of a signed request; `path` holds unreserved characters only."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(payload).hexdigest()
    host = urllib.parse.urlsplit(server["endpoint"]).netloc
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\n"
        f"x-amz-date:{now}\n\n{names}\n{digest}"
    )
    scope = f"{now[:8]}/{server['region']}/s3/aws4_request"
    key = ("AWS4" + server["secret_key"]).encode()
    for part in (now[:8], server["region"], "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    mark = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return [
        f"x-amz-date: {now}", f"x-amz-content-sha256: {digest}",
        f"Authorization: AWS4-HMAC-SHA256 Credential={server['access_key']}/{scope}, "
        f"SignedHeaders={names}, Signature={mark}",
    ]


def run(command, environment=None):
    """Runs a command to its end: output, seconds, CPU seconds, peak memory."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    if process.returncode != 0:
        raise RuntimeError(f"{command[:4]} ended with {process.returncode}: {text[-500:]}")
    return text, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def milliseconds(seconds):
    return f"{percentile(seconds, 0.5) * 1e3:.2f} ms"


class Bench:
    """One server, and what is measured with it."""

    def __init__(self, options, server, folder):
        self.options, self.server, self.folder = options, server, folder
        self.environment = {
            "AWS_ACCESS_KEY_ID": server["access_key"],
            "AWS_SECRET_ACCESS_KEY": server["secret_key"],
        }
        self.prefix = f"bench-{os.getpid()}"
        self.url = (
            f"s3://{server['bucket']}/{self.prefix}?endpoint={server['endpoint']}"
            f"&region={server['region']}&force-path-style=true"
        )

    def ours(self, *arguments):
        text, seconds, _, _ = run(
            [self.options.store_benchmark, *map(str, arguments), self.url], self.environment
        )
        return {**json.loads(text.splitlines()[-1]), "wall": seconds}

    def floor(self, count, size):
        """Seconds of curl's PUTs over one connection, signed beforehand."""
        body = os.path.join(self.folder, "small")
        with open(body, "wb") as f:
            f.write(os.urandom(size))
        with open(body, "rb") as f:
            content = f.read()
        lines = []
        for number in range(count + 5):
            path = f"/{self.server['bucket']}/{self.prefix}/floor-{number}"
            lines += ["next"] if lines else []
            lines += [f'url = "{self.server["endpoint"]}{path}"', f'upload-file = "{body}"']
            headers = signed_headers("PUT", self.server, path, content)
            lines += [f'header = "{header}"' for header in [*headers, "Expect:"]]
            lines += ['output = "/dev/null"', 'write-out = "%{time_total} %{http_code}\\n"']
            lines += ["silent"]
        script = os.path.join(self.folder, "curl.conf")
        with open(script, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        rows = [line.split() for line in run(["curl", "--config", script])[0].splitlines()]
        if any(code != "200" for _, code in rows):
            raise RuntimeError(f"curl was refused: {rows[:3]}")
        return [float(seconds) for seconds, _ in rows[5:]]

    def small_puts(self):
        """curl and ours in turn, fifty at a time; the ratio is the median of the pairs'."""
        floor, ours, ratios, cpu = [], [], [], 0.0
        for _ in range(max(2, self.options.puts // 50)):
            bare = self.floor(50, 2000)
            result = self.ours("put", 50, 2000)
            ratios.append(percentile(result["seconds"], 0.5) / percentile(bare, 0.5))
            floor += bare
            ours += result["seconds"]
            cpu += result["cpu_seconds"]
        return [
            ("PUT of 2 kB, p50: curl, warm connection", "–", milliseconds(floor)),
            ("PUT of 2 kB, p50: highwater", "–", milliseconds(ours)),
            (
                f"ratio, median of {len(ratios)} pairs (least, most)", "≤ 1.2",
                f"{percentile(ratios, 0.5):.2f} ({min(ratios):.2f}, {max(ratios):.2f})",
            ),
            ("CPU per signed request", "–", f"{cpu / len(ours) * 1e6:.0f} µs"),
        ]

    def rclone(self, *arguments):
        remote = (
            f":s3,provider=Other,access_key_id='{self.server['access_key']}',"
            f"secret_access_key='{self.server['secret_key']}',"
            f"endpoint='{self.server['endpoint']}',region='{self.server['region']}',"
            f"no_check_bucket=true:{self.server['bucket']}/{self.prefix}/rclone"
        )
        command = [RCLONE, "copyto", "--config", "/dev/null", "--ignore-times"]
        command += [remote if argument is None else argument for argument in arguments]
        _, seconds, cpu, peak = run(command)
        return {"wall": seconds, "cpu_seconds": cpu, "peak_bytes": peak}

    def large(self):
        """Upload and download of one large object, ours and rclone's in turn."""
        path, back = os.path.join(self.folder, "large"), os.path.join(self.folder, "back")
        size = self.options.megabytes << 20
        with open(path, "wb") as f:
            for _ in range(self.options.megabytes):
                f.write(os.urandom(1 << 20))
        rows, results = [], {"up": ([], []), "down": ([], [])}
        for _ in range(self.options.rounds):
            results["up"][0].append(self.ours("upload", path))
            results["up"][1].append(self.rclone(path, None))
            results["down"][0].append(self.ours("download"))
            results["down"][1].append(self.rclone(None, back))
            os.remove(back)
        for way, name in (("up", "upload"), ("down", "ranged download")):
            ours, theirs = results[way]
            rates = [
                size / percentile([r["wall"] for r in side], 0.5) / 2**20
                for side in (ours, theirs)
            ]
            peaks = [max(r["peak_bytes"] for r in side) / 2**20 for side in (ours, theirs)]
            cpu = [percentile([r["cpu_seconds"] for r in side], 0.5) for side in (ours, theirs)]
            rows += [
                (f"{name} of {self.options.megabytes} MiB", "≥ 0.9 of rclone",
                 f"{rates[0] / rates[1]:.2f}: {rates[0]:.0f} MiB/s, rclone {rates[1]:.0f}"),
                ("… peak RSS (CPU)", "≤ 64 MiB",
                 f"{peaks[0]:.0f} MiB ({cpu[0]:.2f} s), rclone {peaks[1]:.0f} MiB "
                 f"({cpu[1]:.2f} s)"),
            ]
        return rows


def idle(options, folder):
    """Requests of an agent whose database does not change."""
    database = os.path.join(folder, "idle.db")
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE t(x)")
    bucket = Bucket(os.path.join(folder, "idle"))
    os.environ.update(bucket.environment)
    agent = Agent(options.binary, database, bucket.url(), os.path.join(folder, "agent.log"))
    try:
        agent.start().wait_attached()
        db.execute("INSERT INTO t VALUES(1)")
        before = bucket.wait_quiet(quiet=3)
        time.sleep(options.idle)
        during = bucket.requests() - before
        agent.stop()
    finally:
        agent.kill()
        bucket.close()
        db.close()
    return [(f"requests of an idle agent in {options.idle:.0f} s", "0", f"{during}")]


def real_servers():
    program = os.path.join(TESTS, "S3Servers", "servers.py")
    done = subprocess.run([sys.executable, program, "list"], capture_output=True, text=True)
    return {s["kind"]: s for s in map(json.loads, done.stdout.splitlines())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--store-benchmark", required=True)
    parser.add_argument("--server", default="ceph,strict")
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--puts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=float, default=15)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    options = parser.parse_args()
    print(machine(options.folder) + "\n\n| what | goal | measured |\n|---|---|---|", flush=True)
    servers = real_servers()
    folder = tempfile.mkdtemp(prefix="highwater-bench-s3-", dir=options.folder)
    strict = Bucket(os.path.join(folder, "strict"), name="bench")
    try:
        strict.settings(pedantic=False)
        servers["strict"] = {**strict.facts, "kind": "strict"}
        for kind in options.server.split(","):
            if kind not in servers:
                print(f"| {kind} | – | not running |")
                continue
            bench = Bench(options, servers[kind], folder)
            for row in bench.small_puts() + bench.large():
                print(f"| {kind}: {row[0]} | {row[1]} | {row[2]} |", flush=True)
        for row in idle(options, folder):
            print("| " + " | ".join(row) + " |", flush=True)
    finally:
        strict.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

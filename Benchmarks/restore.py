"""How long a restore takes, against `zstd -dc` of the same database and `cp`.

restore.py --binary .build/release/highwater [--mib 1024] [--commits 20000] [--folder F] [--runs 3]

A database of that size is made and replicated, then as many small transactions are committed while
the agent follows. Each command runs several times; the fastest counts. `zstd -dc` decompresses the
newest state, compressed as one file at the level that highwater uses; both write into --folder and
call fsync. RSS is the most that the process ever had.
"""

import argparse
import json
import os
import resource
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


def measured(arguments, target=None):
    """Seconds, peak resident bytes and CPU seconds of a command whose output goes to `target`."""
    output = open(target, "wb") if target else subprocess.DEVNULL
    started = time.monotonic()
    process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.PIPE)
    peak = pid = 0
    while pid == 0:
        # Not wait4's maximum, which includes what this process had when it forked.
        peak = max(peak, peak_resident(process.pid))
        time.sleep(0.002)
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if target:
        os.fsync(output.fileno())
        output.close()
    seconds = time.monotonic() - started
    message = process.stderr.read()[-500:]
    process.stderr.close()
    if status != 0:
        raise RuntimeError(f"{arguments[:3]} ended with {status}: {message}")
    return seconds, peak, usage.ru_utime + usage.ru_stime


def peak_resident(pid):
    """The most memory that a running process has had since its exec; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return int(f.read().partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        return 0


def best(runs, arguments, target, clean=()):
    results = []
    for _ in range(runs):
        for path in clean:
            if os.path.exists(path):
                os.remove(path)
        results.append(measured(arguments, target))
    return min(r[0] for r in results), max(r[1] for r in results), min(r[2] for r in results)


def fill(path, mebibytes):
    """A database of rows that compress about by half, as application data does."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, body BLOB, note TEXT)")
    count = mebibytes * 1024 * 1024 // 1000
    text = "the quick brown fox jumps over the lazy dog " * 10
    for start in range(0, count, 20000):
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO rows(body, note) VALUES(randomblob(480), ?)",
            ((text[:400] + str(n),) for n in range(start, min(count, start + 20000))),
        )
        db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return db, count


def commit(db, rows, count):
    step = 7919
    for n in range(count):
        db.execute("BEGIN")
        for k in range(3):
            row = (n * step + k * 104729) % rows + 1
            db.execute("UPDATE rows SET note = note || ? WHERE id = ?", (str(n % 10), row))
        db.execute("COMMIT")


def newest(highwater, url):
    done = highwater.run("restore", "-dry-run", "-json", "-o", "/nonexistent/x", url, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


def prepare(options, folder):
    database, store = os.path.join(folder, "app.db"), os.path.join(folder, "store")
    os.mkdir(store)
    url, highwater = folder_url(store), Highwater(options.binary)
    db, rows = fill(database, options.mib)
    agent = Agent(options.binary, database, url, os.path.join(folder, "agent.log"))
    agent.start().wait_attached()
    agent.wait_until(lambda: "snapshot stored" in agent.log(), "the snapshot", seconds=900)
    commit(db, rows, options.commits)
    agent.stop(seconds=600)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return database, url, newest(highwater, url)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--commits", type=int, default=20000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder")
    parser.add_argument("--memory-limit", default="256MiB")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = tempfile.mkdtemp(prefix="highwater-restore-", dir=options.folder)
    try:
        run(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(options, folder):
    database, url, plan = prepare(options, folder)
    size = os.path.getsize(database)
    packed, output = os.path.join(folder, "app.db.zst"), os.path.join(folder, "out.db")
    subprocess.run(["zstd", "-q", "-3", database, "-o", packed], check=True)
    print(f"{size / 2**20:.0f} MiB, {options.commits} commits, {plan['objects']} objects, "
          f"{plan['bytes'] / 2**20:.0f} MiB in the store, {plan['requests']} requests")
    print("| command | seconds | CPU seconds | peak RSS MiB | MiB/s |\n|---|---|---|---|---|")
    limit = ["-memory-limit", options.memory_limit]
    restore = [options.binary, "restore", "-o", output, *limit, url]
    clean = [output, output + ".highwater"]
    commands = [
        ("zstd -dc", ["zstd", "-q", "-dc", packed], output, clean),
        ("cp", ["cp", database, output], None, clean),
        ("highwater restore", restore, None, clean),
    ]
    times = {}
    for name, arguments, target, files in commands:
        seconds, rss, cpu = best(options.runs, arguments, target, files)
        times[name] = seconds
        print(f"| {name} | {seconds:.2f} | {cpu:.2f} | {rss / 2**20:.0f} "
              f"| {size / 2**20 / seconds:.0f} |", flush=True)
    same = subprocess.run(["cmp", "-s", output, database], check=False).returncode == 0
    print(f"restore / zstd -dc = {times['highwater restore'] / times['zstd -dc']:.2f}; "
          f"the restored file {'is' if same else 'IS NOT'} the database")
    measure_rewind(options, database, url, plan, output)


def measure_rewind(options, database, url, plan, output):
    last = int(plan["txid"], 16)
    for back in (1000, 1):
        if back > options.commits:
            continue
        for path in (output, output + ".highwater"):
            if os.path.exists(path):
                os.remove(path)
        arguments = [options.binary, "rewind", "-o", output, "-txid", f"{last - back:016x}"]
        seconds, rss, cpu = measured([*arguments, database, url])
        print(f"| rewind of {back} commits | {seconds:.2f} | {cpu:.2f} | {rss / 2**20:.0f} | |")


if __name__ == "__main__":
    main()

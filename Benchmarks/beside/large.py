"""One large database: its first backup, its restore, a gap without a tool, and a rewind.

Each tool's database and store are prepared once, and shared by the measurements that are chosen.
"""

import os
import shutil
import sqlite3
import subprocess
import time

import restore as restores
from place import Place
from table import Row

MEMORY_LIMIT = 256 << 20


class Large:
    """The prepared places, by tool."""

    def __init__(self, run):
        self.run, self.places, self.snapshots, self.rows = run, {}, {}, 0
        self.source = os.path.join(run.options.folder, f"beside-source-{os.getpid()}.db")

    def place(self, tool):
        """A database that was backed up, then got its commits while the tool followed."""
        if tool.name in self.places:
            return self.places[tool.name]
        if not os.path.exists(self.source):
            db, self.rows = restores.fill(self.source, self.run.options.mib)
            db.close()
        place = self.places[tool.name] = Place(self.run.options, tool)
        shutil.copyfile(self.source, place.database)
        db = sqlite3.connect(place.database, isolation_level=None, timeout=30)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        started = time.time()
        place.start()
        first = min(done for key, done in place.uploads() if tool.is_base(key))
        self.snapshots[tool.name] = (first - started, place.stored())
        step = 1000
        for begun in range(0, self.run.options.commits, step):
            due = time.monotonic() + 1
            commit(db, self.rows, begun, min(step, self.run.options.commits - begun))
            time.sleep(max(0.0, due - time.monotonic()))
        place.settle()
        place.stop()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        return place

    def close(self):
        for place in self.places.values():
            place.close()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(self.source + suffix):
                os.remove(self.source + suffix)


def commit(db, rows, begun, count):
    """Transactions of three updates each, spread over the table."""
    for n in range(begun, begun + count):
        db.execute("BEGIN IMMEDIATE")
        for k in range(3):
            row = (n * 7919 + k * 104_729) % rows + 1
            db.execute("UPDATE rows SET note = note || ? WHERE id = ?", (str(n % 10), row))
        db.execute("COMMIT")


def content(path):
    """A digest of the application's table, computed by SQLite."""
    db = sqlite3.connect(path)
    try:
        return db.execute(
            "SELECT count(*), sum(length(note) * (id % 1009)), sum(unicode(substr(note, -1)) * id)"
            " FROM rows"
        ).fetchone()
    finally:
        db.close()


def snapshot(run):
    times, sizes = {}, {}
    for tool in run.tools:
        run.large.place(tool)
        times[tool.name], sizes[tool.name] = run.large.snapshots[tool.name]
    what = f"{run.options.mib} MiB database: "
    return [
        Row(what + "from start to a first backup in S3", "s", times),
        Row("… stored then", "B", sizes),
    ]


def restore(run):
    rows, values = [], {"s": {}, "rss": {}, "cpu": {}, "zstd": {}}
    highwater = run.tools[0]
    floor = zstd_seconds(run, run.large.place(highwater))
    for tool in run.tools:
        place = run.large.place(tool)
        runs = []
        while len(runs) < run.options.rounds and sum(r[0] for r in runs) < 30:
            more = ["-memory-limit", str(MEMORY_LIMIT)] if tool is highwater else []
            runs.append(place.restore(more=more))
        best = min(result[0] for result in runs)
        same = content(runs[-1][-1]) == content(place.database)
        values["s"][tool.name] = best if same else "another content"
        values["zstd"][tool.name] = floor and best / floor
        values["rss"][tool.name] = max(result[1] for result in runs)
        values["cpu"][tool.name] = min(result[2] for result in runs)
        os.remove(runs[-1][-1])
    what = f"restore of {run.options.mib} MiB and {run.options.commits:,} commits"
    rows.append(Row(what, "s", values["s"], "ratio ≤ 0.25 (0.5), ≤ 0.75 (0.3)"))
    beside = f"{floor:.2f} s" if floor else "not installed"
    rows.append(
        Row(f"… beside zstd -dc ({beside})", "×", values["zstd"], "≤ 1.3", better=None)
    )
    rows.append(Row("… peak RSS (ours: limit 512 MiB)", "B", values["rss"], "≤ 576 MiB"))
    rows.append(Row("… CPU", "s", values["cpu"]))
    return rows


def zstd_seconds(run, place):
    """The fastest `zstd -dc` of the newest state, written and synced; None without a zstd."""
    if shutil.which("zstd") is None:
        return None
    packed, output = f"{place.folder}/app.zst", f"{place.folder}/unpacked"
    subprocess.run(["zstd", "-q", "-3", place.database, "-o", packed], check=True)
    command = ["zstd", "-q", "-dc", packed]
    seconds, *_ = restores.best(run.options.rounds, command, output, [output])
    os.remove(packed)
    os.remove(output)
    return seconds


def rewind(run):
    """Undo of the last 1,000 commits, into a new file; others restore by time."""
    highwater = run.tools[0]
    place, back = run.large.place(highwater), min(1000, run.options.commits // 2)
    output = f"{place.folder}/rewound.db"
    copy, *_ = restores.measured(["cp", place.database, output])
    os.remove(output)
    last = run.options.commits + 1
    command = [
        highwater.program, "rewind", "-o", output, "-txid", f"{last - back:016x}",
        place.database, place.bucket.url("db0"),
    ]
    seconds, *_ = restores.measured(command)
    os.remove(output)
    values = {tool.name: "has none; a restore by time" for tool in run.tools[1:]}
    return [
        Row(f"rewind of {back:,} commits beside the database", "s",
            {highwater.name: seconds, **values}, f"≤ 2 s + a copy ({copy:.2f} s)"),
    ]


def gap(run):
    """1 MB changed, and the WAL reset, while no tool ran: what starting it again costs."""
    sizes, times, reading = {}, {}, 0.0
    for tool in run.tools:
        place = run.large.place(tool)
        db = sqlite3.connect(place.database, isolation_level=None)
        changed = 1_000_000 // 1000
        middle = run.large.rows // 2
        db.execute(
            "UPDATE rows SET body = randomblob(480) WHERE id BETWEEN ? AND ?",
            (middle, middle + changed),
        )
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # The application goes on: a connection stays open, with an empty WAL.
        reading, *_ = restores.measured(["cat", place.database])
        last = len(place.requests()) - 1
        started = time.time()
        place.start(wait=False)
        place.wait(lambda: any(is_data(tool, key) for key, _ in place.uploads(last)))
        place.settle()
        done = [when for key, when in place.uploads(last) if is_data(tool, key)]
        times[tool.name] = max(done) - started
        sizes[tool.name] = sum(entry["request_bytes"] for entry in place.requests(last))
        place.stop()
        db.close()
        *_, output = place.restore()
        if content(output) != content(place.database):
            times[tool.name] = "another content"
        os.remove(output)
    what = f"1 MB changed in {run.options.mib} MiB without the tool, WAL reset: "
    return [
        Row(what + "uploaded at the next start", "B", sizes, "≤ 3 MB"),
        Row("… time until that is stored", "s", times,
            f"≤ {1.5 * reading:.2f} s (1.5 × reading, {reading:.2f} s warm)"),
    ]


def is_data(tool, key):
    return tool.is_log(key) or tool.is_base(key)

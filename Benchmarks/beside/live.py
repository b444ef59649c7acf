"""What the tools do, and what they cost, while an application runs."""

import time

from bench import cpu_seconds, percentile, resident_bytes
from place import WRITES, Place, count
from table import Row

DAY = 86_400


def lag(run):
    """Commit to durable in S3: commits that are alone in their interval, and 20 a second."""
    rows = []
    for is_shortest in (False, True):
        name = "shortest sync-interval" if is_shortest else "defaults (sync-interval 1s)"
        values = {}
        for tool in run.tools:
            with Place(run.options, tool) as place:
                place.fill()
                place.start(is_shortest)
                pause = 0.4 if is_shortest else 1.7
                apart = place.run_ledger(apart=pause, commits=run.scaled(20))
                stream = place.run_ledger(rate=20, seconds=run.scaled(15))
                place.quiet()
                for kind, commits in (("apart", apart), ("20 commits/s", stream)):
                    values.setdefault(kind, {})[tool.name] = lags(place, commits)
        for kind, found in values.items():
            for share in (0.5, 0.99):
                rows.append(Row(
                    f"commit→durable, {kind}, {name}, p{share * 100:.0f}", "ms",
                    {k: v if isinstance(v, str) else percentile(v, share) * 1e3
                     for k, v in found.items()},
                ))
    return rows


def lags(place, commits):
    done = place.durable_times(commits)
    if None in done:
        return f"{done.count(None)} of {len(done)} not found"
    return [when - commit.after for when, commit in zip(done, commits)]


def traffic(run):
    """Requests, bytes, CPU and memory of 200 OLTP transactions a second."""
    rows = {}
    seconds = run.scaled(30)

    def note(what, unit, tool, value, **more):
        rows.setdefault(what, Row(what, unit, {}, **more)).values[tool.name] = value

    for tool in run.tools:
        with Place(run.options, tool) as place:
            place.load("setup")
            place.start()
            place.settle()
            last, size = len(place.requests()) - 1, place.stored()
            cpu = cpu_seconds(place.process.pid)
            result = place.load("oltp", rate=200, seconds=seconds)
            memory = resident_bytes(place.process.pid)
            place.settle()
            cpu = cpu_seconds(place.process.pid) - cpu
            size, entries = place.stored() - size, place.requests(last)
        thousands = result["commits"] / 1000
        uploaded = sum(entry["request_bytes"] for entry in entries)
        kind = "OLTP at 200 commits/s: "
        note(kind + "PUTs per 1,000 commits", "", tool, count(entries, WRITES) / thousands)
        note(kind + "all requests per 1,000 commits", "", tool, len(entries) / thousands)
        note(kind + "stored per commit", "B", tool, size / result["commits"])
        note(kind + "uploaded per commit", "B", tool, uploaded / result["commits"])
        note(kind + "CPU per 1,000 commits", "ms", tool, cpu * 1e3 / thousands)
        note(kind + "peak RSS", "B", tool, memory["VmHWM"])
    return list(rows.values())


def writer(run):
    """A writer at full speed alone and beside each tool, in turn; the median of the rounds."""
    ratios, rates, wal = {}, {}, {}
    for _ in range(run.options.rounds):
        alone = None
        for tool in [None, *run.tools]:
            with Place(run.options, tool or run.tools[0], "file") as place:
                place.load("setup")
                if tool:
                    place.start()
                result = place.load("oltp", seconds=run.scaled(5))
            rate = result["commits"] / result["seconds"]
            if tool is None:
                alone = rate
                continue
            rates.setdefault(tool.name, []).append(rate)
            ratios.setdefault(tool.name, []).append(rate / alone)
            wal[tool.name] = max(wal.get(tool.name, 0), result["wal_high"])
    middle = {name: percentile(values, 0.5) for name, values in ratios.items()}
    return [
        Row("writer at full speed, with the tool / alone", "", middle, "≥ 0.95", "more"),
        Row("… commits/s with the tool", "", {
            name: percentile(values, 0.5) for name, values in rates.items()
        }, better="more"),
        Row("… largest WAL, the application checkpoints (1,000 pages)", "B", wal),
    ]


def wal(run):
    """The largest WAL behind a writer at full speed that leaves checkpoints to the tool."""
    values = {}
    for tool in run.tools:
        with Place(run.options, tool, "file") as place:
            place.load("setup")
            place.start()
            result = place.load("oltp", seconds=run.scaled(8), autocheckpoint=0)
            values[tool.name] = result["wal_high"]
    return [
        Row("largest WAL, the application never checkpoints, full speed", "B", values, "≤ 64 MiB")
    ]


def busy(run):
    """Transactions that met SQLITE_BUSY without a busy timeout, at 500 a second."""
    refused, longest, alone = {}, {}, None
    for tool in [None, *run.tools]:
        with Place(run.options, tool or run.tools[0], "file") as place:
            place.load("setup")
            if tool:
                place.start()
            result = place.load("oltp", rate=500, seconds=run.scaled(12), busy_timeout=0)
        share = result["refused"] / result["commits"] * 100
        if tool is None:
            alone = f"{share:.2f} %, {result['longest_ms']:.0f} ms"
        else:
            refused[tool.name], longest[tool.name] = share, result["longest_ms"]
    return [
        Row(f"transactions that met SQLITE_BUSY, 500/s, no busy timeout (alone {alone})", "%",
            refused, "< 0.1 %"),
        Row("… longest transaction", "ms", longest),
    ]


def idle(run):
    """Many databases that nothing changes, in one process."""
    databases, seconds = run.options.databases, run.scaled(45)
    rows = {}

    def note(what, unit, tool, value, **more):
        rows.setdefault(what, Row(what, unit, {}, **more)).values[tool.name] = value

    for tool in run.tools:
        with Place(run.options, tool, count=databases) as place:
            place.fill(100)
            started = time.monotonic()
            place.start()
            started = time.monotonic() - started - 1.5
            place.settle()
            time.sleep(run.scaled(10))
            last, cpu = len(place.requests()) - 1, cpu_seconds(place.process.pid)
            time.sleep(seconds)
            cpu = (cpu_seconds(place.process.pid) - cpu) / seconds
            entries, memory = place.requests(last), resident_bytes(place.process.pid)
        kind = f"{databases} idle databases: "
        note(kind + "until all are backed up", "s", tool, started)
        note(kind + "CPU", "% of a core", tool, cpu * 100)
        note(kind + "RSS", "B", tool, memory["VmRSS"])
        note("requests per idle database and day", "", tool,
             len(entries) / databases / seconds * DAY, goal="0")
    return list(rows.values())

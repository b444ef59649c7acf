"""What comes back: points in time, many small objects, and the agent's death."""

import datetime
import random
import sys
import time

from bench import percentile
from place import Place
from table import Row


def stamp(seconds):
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def pitr(run):
    """How many commits a restore to a random commit is off."""
    rows, seconds, targets = [], run.scaled(40), run.options.targets
    errors = {}
    for tool in run.tools:
        with Place(run.options, tool) as place:
            place.fill()
            place.start()
            commits = place.run_ledger(rate=50, seconds=seconds)
            place.quiet()
            place.stop()
            chance = random.Random(7)
            # Neither the first nor the last: both have a neighbour to be told apart from.
            chosen = chance.sample(range(1, len(commits) - 1), min(targets, len(commits) - 2))
            if tool.name == "Highwater":
                errors["by TXID"] = {tool.name: [miss_by_txid(place, commits[n]) for n in chosen]}
            by_time = [miss_by_time(place, commits[n], commits[n + 1]) for n in chosen]
            errors.setdefault("by time", {})[tool.name] = by_time
    none = {tool.name: "cannot name one" for tool in run.tools[1:]}
    for kind, found in errors.items():
        more = none if kind == "by TXID" else {}
        what = f"restore to each of {targets} random commits (50/s), {kind}"
        rows += [
            Row(f"{what}: exactly that commit", "%", {
                **{name: share_exact(values) for name, values in found.items()}, **more,
            }, "100 %" if kind == "by TXID" else "–", "more"),
            Row("… commits off, median", "", {**summary(found, 0.5), **more}),
            Row("… commits off, most", "", {**summary(found, 1), **more}),
        ]
        failed = {name: values.count(None) for name, values in found.items()}
        if any(failed.values()):
            rows.append(Row("… restores that failed, or gave no state that ever was", "", failed))
    return rows


def share_exact(values):
    return values.count(0) / len(values) * 100


def summary(found, share):
    return {
        name: percentile([abs(v) for v in values if v is not None], share)
        for name, values in found.items()
    }


def miss_by_txid(place, commit):
    more = ["-txid", f"{commit.seq + 1:016x}"]
    return miss(place, commit, lambda: place.restore(more=more))


def miss_by_time(place, commit, following):
    """A time between two commits asks for the first of them."""
    moment = stamp((commit.after + following.before) / 2)
    return miss(place, commit, lambda: place.restore(time=moment))


def miss(place, commit, restore):
    """How many commits a restored state is off; None when it is none that ever was."""
    try:
        seq, sound = place.judge(restore()[-1])
    except Exception as error:  # whatever the tool or SQLite says, it did not come back
        print(f"{place.tool.name}: {str(error)[-200:]}", file=sys.stderr, flush=True)
        return None
    return seq - commit.seq if sound else None


def segments(run):
    """An hour of uploads, one a second, made faster: many small objects in one restore."""
    target = run.options.segments
    seconds, objects, size = {}, {}, {}
    for tool in run.tools:
        with Place(run.options, tool) as place:
            place.fill()
            place.start(is_shortest=True)
            until = time.monotonic() + target / 20
            while sum(map(tool.is_log, place.keys())) < target and time.monotonic() < until:
                place.run_ledger(rate=100, commits=max(100, target // 4))
            place.quiet()
            place.stop()
            commits, before = place.commits(), len(place.requests()) - 1
            took, *_, output = place.restore()
            seconds[tool.name] = checked(place, output, commits[-1].seq, took)
            objects[tool.name] = sum(map(tool.is_log, place.keys()))
            size[tool.name] = len(place.requests(before))
    return [
        Row(f"restore of {target:,} small segments", "s", seconds, "≤ 5 s (3,600)"),
        Row("… of the log's objects in the store", "", objects, better=None),
        Row("… requests of the restore", "", size),
    ]


def checked(place, path, seq, value):
    """A value, or what is wrong with the restored database."""
    found, sound = place.judge(path)
    if not sound:
        return "a state that never was"
    return value if found == seq else f"{seq - found} commits lost"


def kill(run):
    """kill -9 under load: what a restore gives at once, and after the tool was started again."""
    lost, after = {}, {}
    for tool in run.tools:
        for number in range(run.options.rounds):
            with Place(run.options, tool) as place:
                place.fill()
                place.start()
                load = place.start_ledger(rate=200, seconds=run.scaled(10), seed=number)
                time.sleep(run.scaled(4) + number * 0.37)
                place.kill()
                killed = time.time()
                lost.setdefault(tool.name, []).append(outcome(place, killed))
                place.start(wait=False)
                load.wait()
                place.quiet()
                place.stop()
                after.setdefault(tool.name, []).append(outcome(place, time.time()))
    what = "kill -9 at 200 commits/s: "
    return [
        Row(what + "commits that a restore misses at once, median", "", each(lost, 0.5)),
        Row("… most, after the tool was started again and stopped", "", each(after, 1), "0"),
    ]


def outcome(place, moment):
    """Commits missing from a restore that were done at a moment, or what is wrong."""
    done = max(commit.seq for commit in place.commits() if commit.after <= moment)
    try:
        seq, sound = place.judge(place.restore()[-1])
    except Exception as error:
        return f"no restore: {str(error)[-120:]}"
    return max(0, done - seq) if sound else "a state that never was"


def each(found, share):
    """A percentile for each tool, or the texts of what went wrong."""
    result = {}
    for name, values in found.items():
        wrong = [value for value in values if isinstance(value, str)]
        result[name] = (
            f"{len(wrong)} of {len(values)} times {wrong[0]}" if wrong
            else percentile(values, share)
        )
    return result

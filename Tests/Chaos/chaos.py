"""Real processes under random faults: chaos.py [--rounds 20] [--seed N] [--store file|s3] ...

An agent, a writer and a store run all the time. In each round a seed chooses one to three faults
of those in faults.py, and when they begin and end; the same seed makes the same schedule. While
they last, a restore is tried: it either fails, or gives a state that the writer recorded. After
them the agent has to make the last commit durable by itself, or after a start where a fault ended
it; what was durable before still is, byte for byte. After the last round the oracle judges every
TXID.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "Tests", "Oracle"))
sys.path.insert(0, HERE)

from faults import KINDS, Application, MountedStore, unavailable
from imager import digest, file_state
from run import default_binary
from testbed import Testbed

# Exit codes of a restore while a fault is on: done, unreachable, denied, nothing found, outside of
# the range, an object that could not be read whole.
EXCUSED = {0, 3, 4, 5, 6, 7}


class Chaos:
    """The rounds of one seed."""

    def __init__(self, bed, options):
        self.bed, self.options = bed, options
        self.random = random.Random(options.seed)
        # Of its own, so that the faults follow from the seed alone.
        self.sample = random.Random(options.seed + 1)
        self.counts = collections.Counter()
        self.restores = self.refused = self.starts = 0
        self.claims = {}
        self.skipped = {}
        for name, kind in KINDS.items():
            if reason := unavailable(kind, bed):
                self.skipped[name] = reason
        self.kinds = [name for name in KINDS if name not in self.skipped]
        if options.kinds:
            self.kinds = [name for name in options.kinds.split(",") if name in self.kinds]
        # All of it before anything runs, so that a schedule depends on nothing but the seed.
        self.plan = [self.schedule(number) for number in range(options.rounds)]

    def schedule(self, number):
        """What happens in a round: [(begin, length, kind, seed)], seconds from its start."""
        chosen = self.random.sample(self.kinds, min(len(self.kinds), self.random.randint(1, 3)))
        faults = [
            (
                round(self.random.uniform(0.05, 0.8), 3), round(self.random.uniform(0.1, 1.2), 3),
                kind, self.random.randrange(1 << 30),
            )
            for kind in chosen
        ]
        return sorted(faults), self.random.randrange(1 << 30), number

    def run(self):
        for name, reason in self.skipped.items():
            print(f"skipped: {name}: {reason}", flush=True)
        self.application = Application(self.bed)
        self.agent = self.application.agent
        for plan in self.plan:
            self.round(*plan)
        self.application.end()
        self.agent.stop(60)
        self.judge()
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        print(
            f"{self.options.rounds} rounds, {self.restores} restores ({self.refused} refused while"
            f" a fault was on), {sum(self.counts.values())} faults: {kinds}; the agent was started"
            f" {self.application.starts} times; {self.bed.notes[-1]}"
        )

    def round(self, faults, seed, number):
        text = ", ".join(f"{kind} {begin}+{length}" for begin, length, kind, _ in faults)
        print(f"round {number}: {text}", flush=True)
        self.application.begin(seed)
        events = []
        for begin, length, kind, chance in faults:
            fault = KINDS[kind](self.application, random.Random(chance))
            events.append((begin, 0, fault.begin))
            events.append((begin + length, 1, fault.end))
            self.counts[kind] += 1
        events.append((random.Random(seed).uniform(0.2, 1.8), 2, self.restore_meanwhile))
        started = time.monotonic()
        for when, _, action in sorted(events, key=lambda event: event[:2]):
            # The schedule is by the clock: there is no event to wait for instead.
            time.sleep(max(0.0, started + when - time.monotonic()))
            action()
        self.application.rest()
        self.check_claims()

    def restored(self, *arguments):
        """The digest of what `restore` made."""
        output = os.path.join(self.bed.scratch, "chaos.db")
        self.bed.highwater.run("restore", "-o", output, *arguments, self.bed.url)
        self.restores += 1
        try:
            return digest(*file_state(output))
        finally:
            os.remove(output)

    def restore_meanwhile(self):
        """Begins a restore beside everything else; what it gave is judged when all is recorded."""
        output = os.path.join(self.bed.scratch, "meanwhile.db")
        self.meanwhile = output, subprocess.Popen(
            [self.bed.highwater.binary, "restore", "-o", output, self.bed.url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )

    def check_meanwhile(self, known):
        output, process = self.meanwhile
        try:
            _, text = process.communicate(timeout=120)
        finally:
            process.kill()
        code = process.returncode
        assert code in EXCUSED, f"a restore while faults were on ended with {code}: {text}"
        if code != 0:
            assert not os.path.exists(output), f"restore ended with {code} and left a file"
            self.refused += 1
            return
        self.restores += 1
        state = digest(*file_state(output))
        os.remove(output)
        assert state in known, f"a restore while faults were on gave no commit's state: {state}"

    def check_claims(self):
        """What is durable is right, and what was durable before still is."""
        records = self.bed.records.load()
        known = {record["digest"] for record in records}
        self.check_meanwhile(known)
        last = records[-1]
        until = time.monotonic() + 60
        while (state := self.restored()) != last["digest"]:
            assert state in known, f"a restore gave a state of no commit: {state}"
            self.application.keep_running()
            assert time.monotonic() < until, (
                f"seq {last['seq']} (record {last['index']}) is not durable 60 s after the faults"
            )
            time.sleep(0.2)
        for generation in self.sampled(self.claims):
            txid, state = self.claims[generation]
            found = self.restored("-generation", generation, "-txid", f"{txid:016x}")
            assert found == state, f"{generation} at {txid:016x} is no longer what it was"
        for generation in self.sampled(self.bed.generations()):
            listed = self.bed.highwater.history(self.bed.url, generation)
            if not listed:
                continue
            durable = max(listed)
            before = self.claims.get(generation, (0, None))[0]
            assert durable >= before, f"{generation}: {before:016x} was durable, now {durable:016x}"
            state = self.restored("-generation", generation, "-txid", f"{durable:016x}")
            assert state in known, f"{generation} at {durable:016x} is a state of no commit"
            self.claims[generation] = durable, state

    def sampled(self, generations):
        """The newest one and a few others; the judge looks at all of them in the end."""
        newest = sorted(generations)[-1:]
        others = sorted(generations)[:-1]
        return newest + self.sample.sample(others, min(5, len(others)))

    def judge(self):
        """Every TXID of every generation, as the scenarios' oracle does."""
        count = len(self.bed.generations())
        self.bed.judge(
            generations=count, sample=5, least=2, hazards=True, leaked=True,
            bridges=self.application.starts + self.counts["file-replaced"],
        )


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="0: one from the clock, printed")
    parser.add_argument("--store", choices=["file", "s3"], default="file")
    parser.add_argument("--binary", default=os.environ.get("HIGHWATER_BINARY", default_binary()))
    parser.add_argument("--kinds", default="", help="only these, with commas between")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    options.seed = options.seed or int(time.time())
    return options


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {options.seed}, store {options.store}, {options.rounds} rounds", flush=True)
    with Testbed(options.binary, options.keep, options.seed, options.store == "s3") as bed:
        with MountedStore(bed):
            try:
                Chaos(bed, options).run()
            except Exception as error:
                for agent in bed.agents:
                    print(f"--- end of the agent's log\n{agent.log()[-6000:]}---")
                traceback.print_exc(file=sys.stdout)
                print(f"FAILED with seed {options.seed}, store {options.store}: {error}")
                raise SystemExit(1) from None


if __name__ == "__main__":
    main()

"""Random damage to a store: whatever is wrong there, a restore gives the exact bytes or fails with
a message, and verify is in doubt whenever a restore fails.

    spoiled.py BINARY STORE SCRATCH [SECONDS [SEED]]     damages a copy of a store in a folder
"""

import glob
import json
import os
import random
import shutil
import sys
import time

from agent import Highwater, folder_url
from fleet import Fleet
from testbed import SCALE

SCENARIOS = {}
DOUBT = 7
# What a restore of a store that somebody was at may end with; 2: several databases are seen.
FAILURES = {2, 5, 6, 7, 8}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def content(path):
    with open(path, "rb") as f:
        return f.read()


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


class Damage:
    """Changes that can be undone."""

    def __init__(self, store, chance):
        self.store, self.chance = store, chance
        self.saved, self.said = {}, []

    def objects(self):
        found = glob.glob(f"{self.store}/highwater-1/*/**", recursive=True)
        return sorted(path for path in found if os.path.isfile(path))

    def keep(self, path):
        if path not in self.saved:
            self.saved[path] = content(path) if os.path.exists(path) else None

    def undo(self):
        for path, data in self.saved.items():
            if data is None:
                if os.path.exists(path):
                    os.remove(path)
            else:
                put(path, data)

    def damage(self):
        path = self.chance.choice(self.objects())
        kinds = [self.deleted, self.cut, self.flipped, self.flipped, self.swapped, self.replaced,
                 self.renamed, self.lengthened, self.zeroed]
        kind = self.chance.choice(kinds)
        self.keep(path)
        kind(path)
        self.said.append(f"{kind.__name__} {os.path.relpath(path, self.store)}")

    def deleted(self, path):
        os.remove(path)

    def cut(self, path):
        data = content(path)
        put(path, data[:self.chance.randrange(max(1, len(data)))])

    def flipped(self, path):
        data = bytearray(content(path))
        if data:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        put(path, data)

    def zeroed(self, path):
        data = bytearray(content(path))
        start = self.chance.randrange(max(1, len(data)))
        end = min(len(data), start + 4096)
        put(path, data[:start] + bytes(end - start) + data[end:])

    def lengthened(self, path):
        put(path, content(path) + self.chance.randbytes(self.chance.randint(1, 300)))

    def other(self, path):
        """Another object, mostly of the same kind."""
        others = [other for other in self.objects() if other != path]
        kind = path.rpartition(".")[2]
        same = [other for other in others if other.endswith("." + kind)]
        return self.chance.choice(same if same and self.chance.random() < 0.8 else others)

    def swapped(self, path):
        other = self.other(path)
        self.keep(other)
        first, second = content(path), content(other)
        put(path, second)
        put(other, first)

    def replaced(self, path):
        put(path, content(self.other(path)))

    def renamed(self, path):
        """A copy of an object under a name that it might have had: other TXIDs, or writer, or in
        another generation."""
        other = self.other(path)
        folder, name = os.path.split(path)
        parts = name.split("-")
        theirs = os.path.basename(other).split("-")
        if len(parts) == 4 and len(theirs) == 4:
            number = self.chance.randrange(4)
            parts[number] = theirs[number]
            if number == 3:
                parts[3] = theirs[3].partition(".")[0] + "." + name.partition(".")[2]
        if self.chance.random() < 0.3:
            folder = os.path.dirname(other)
        target = os.path.join(folder, "-".join(parts))
        self.keep(target)
        put(target, content(path))


class Trial:
    """One store, and what each of its states is."""

    def __init__(self, highwater, store, scratch, seed):
        self.highwater, self.store, self.scratch = highwater, store, scratch
        self.url = folder_url(store)
        self.chance = random.Random(seed)
        self.states, self.counts = {}, {}
        os.makedirs(scratch, exist_ok=True)
        for generation in highwater.generations(self.url):
            listed = [
                int(json.loads(line)["txid"], 16)
                for line in highwater.run(
                    "history", "-json", "-generation", generation, self.url
                ).stdout.splitlines()
            ]
            for txid in self.chance.sample(listed, min(8, len(listed))):
                output = self.path("clean.db")
                done = highwater.restore(self.url, output, txid, generation, expect={0, 6})
                if done.returncode == 0:
                    self.states[generation, txid] = content(output)
                self.clear()
        assert len(self.states) > 1, "the store has too few states"

    def path(self, name):
        return os.path.join(self.scratch, name)

    def clear(self):
        for name in os.listdir(self.scratch):
            os.remove(self.path(name))

    def some(self):
        return self.chance.choice(sorted(self.states))

    def restore(self):
        """A restore, by one of the ways; its exit code."""
        generation, txid = self.some()
        way = self.chance.choice(["restore", "restore", "delta", "rewind"])
        arguments = ["-generation", generation, "-txid", f"{txid:016x}"]
        output = self.path("out.db")
        if way == "rewind":
            put(self.path("live.db"), self.states[self.some()])
            arguments = ["rewind", "-o", output, *arguments, self.path("live.db"), self.url]
        elif way == "delta":
            old = bytearray(self.states[self.some()])
            if self.chance.random() < 0.5:
                old[self.chance.randrange(len(old))] ^= 1
            put(output, old)
            arguments = ["restore", "-delta", "-o", output, *arguments, self.url]
        else:
            arguments = ["restore", "-o", output, *arguments, self.url]
        done = self.highwater.run(*arguments, expect={0} | FAILURES)
        key = f"{way} {done.returncode}"
        self.counts[key] = self.counts.get(key, 0) + 1
        if done.returncode == 0:
            assert content(output) == self.states[generation, txid], (
                f"{arguments}: a wrong file was handed over"
            )
        else:
            assert done.stderr.strip(), f"{arguments}: no message"
            assert "fatal error" not in done.stderr.lower(), done.stderr
            left = set(os.listdir(self.scratch)) - {"live.db"}
            if way == "delta":
                left -= {"out.db"}
                assert content(output) == old, f"{arguments}: the old file was changed"
            assert not left, f"{arguments}: {left} were left"
        self.clear()
        return done, " ".join(arguments)

    def round(self):
        """Damage, restores, verify at each level."""
        damage = Damage(self.store, self.chance)
        try:
            for _ in range(self.chance.choice([1, 1, 1, 2, 3])):
                damage.damage()
            failed = None
            for _ in range(4):
                done, command = self.restore()
                if done.returncode:
                    failed = f"{command}\n{done.stderr.strip()}"
            levels = ("list", "checksum", "restore")
            for level in levels if failed or self.chance.random() < 0.2 else ():
                more = ["-scratch", self.scratch] if level == "restore" else []
                done = self.highwater.run(
                    "verify", "-level", level, *more, self.url, expect={0, 5, DOUBT}
                )
                assert "fatal error" not in done.stderr.lower(), done.stderr
                key = f"verify {level} {done.returncode}"
                self.counts[key] = self.counts.get(key, 0) + 1
                if failed and level != "list" and done.returncode == 0 and not self.at_end(damage):
                    raise AssertionError(
                        f"verify -level {level} finds nothing, but: {failed}\n{done.stdout}"
                    )
            self.clear()
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter {damage.said} in {self.store}") from None
        finally:
            damage.undo()

    @staticmethod
    def at_end(damage):
        """Whether all that was done may look as if it had never been stored: the last commits of a
        generation were deleted, or a generation as a whole was."""
        return all(said.startswith("deleted") for said in damage.said)

    def run(self, seconds):
        until, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            self.round()
            rounds += 1
        return f"{rounds} rounds, {dict(sorted(self.counts.items()))}"


@scenario
def spoiled_store(bed):
    """A store with snapshots, levels, log segments and a child generation; objects are deleted,
    cut, flipped, swapped, replaced, renamed: a restore is exact or fails, and verify says so."""
    bed.prepare()
    agent = Fleet(bed, (
        "levels:\n  - interval: 1s\n  - interval: 3s\nsync-interval: 100ms\n"
        "snapshot: {interval: 3s}\nretention: {check-interval: 2s}\n"
        f"dbs:\n  - path: {bed.database}\n    replica: '{bed.url}'\n"
    ))
    agent.start().wait_attached()
    bed.writer(seconds=7, rate=100, rows=200, exact_every=10**9, autocheckpoint=100).wait()
    agent.stop()
    listed = bed.highwater.history(bed.url)
    bed.highwater.restore(bed.url, bed.database, listed[-20], more=["-force"])
    agent.start().wait_attached()
    bed.writer("child", seconds=3, rate=100, rows=200, exact_every=10**9).wait()
    agent.stop()
    kinds = {path.rpartition(".")[2] for path in Damage(bed.store, None).objects()}
    bed.notes.append(" ".join(sorted(kinds & {"log", "level", "snapshot"})))
    trial = Trial(bed.highwater, bed.store, bed.path("trial"), bed.seed)
    bed.notes.append(trial.run(20 * SCALE))


def main():
    binary, store, scratch = sys.argv[1:4]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 60
    seed = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    copy = scratch + "-store"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy)
    print(Trial(Highwater(binary), copy, scratch, seed).run(seconds))


if __name__ == "__main__":
    main()

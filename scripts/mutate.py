"""Breaks the engine in the ways of Tests/Mutations/mutations.json, one after the other, in this
checkout, and tells which tests notice: mutate.py [--check]. Every source is put back."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def noticed(mutation):
    """Whether the tests fail with it."""
    build = subprocess.run(["swift", "build", "--build-tests"], cwd=ROOT, capture_output=True)
    if build.returncode != 0:
        return "does not build"
    environment = dict(os.environ, HIGHWATER_SIM=mutation["seeds"], TMPDIR="/dev/shm")
    tests = subprocess.run(
        ["swift", "test", "--skip-build", "--filter", mutation["filter"]],
        cwd=ROOT, env=environment, capture_output=True, timeout=600,
    )
    return "caught" if tests.returncode != 0 else "SURVIVED"


def main():
    survivors = 0
    for mutation in json.loads((ROOT / "Tests/Mutations/mutations.json").read_text()):
        path = ROOT / mutation["file"]
        source = path.read_text()
        if source.count(mutation["old"]) != 1:
            sys.exit(f"does not apply any more: {mutation['name']}")
        if "--check" in sys.argv:
            continue
        try:
            path.write_text(source.replace(mutation["old"], mutation["new"]))
            result = noticed(mutation)
        finally:
            path.write_text(source)
        survivors += result != "caught"
        print(f"{result}: {mutation['name']}", flush=True)
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()

"""Breaks the engine in the ways of Tests/Mutations/mutations.json, one after the other, in this
checkout, and tells which tests notice: mutate.py [--check] [WORD...]. With words only mutations
whose names contain one of them. Every source is put back."""

import json
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def swift(*arguments, seconds, **environment):
    """The exit code of a command of Swift's; None when it does not end."""
    process = subprocess.Popen(
        [os.environ.get("SWIFT", "swift"), *arguments], cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, **environment}, start_new_session=True,
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def noticed(mutation):
    """Whether the tests fail with it."""
    if swift("build", "--build-tests", seconds=1800) != 0:
        return "DOES NOT BUILD"
    code = swift(
        "test", "--skip-build", "--filter", mutation["filter"], seconds=600,
        HIGHWATER_SIM=mutation["seeds"], TMPDIR="/dev/shm",
    )
    return "SURVIVED" if code == 0 else "caught"


def main():
    check = "--check" in sys.argv
    words = [word for word in sys.argv[1:] if word != "--check"]
    mutations = json.loads((ROOT / "Tests/Mutations/mutations.json").read_text())
    results = []
    for mutation in mutations:
        path = ROOT / mutation["file"]
        source = path.read_text()
        if source.count(mutation["old"]) != 1:
            sys.exit(f"does not apply any more: {mutation['name']}")
        if check or (words and not any(word in mutation["name"] for word in words)):
            continue
        try:
            path.write_text(source.replace(mutation["old"], mutation["new"]))
            results.append(noticed(mutation))
        finally:
            path.write_text(source)
        print(f"{results[-1]}: {mutation['name']}", flush=True)
    if not check:
        print(f"{len(results)} mutations, {results.count('caught')} caught")
    sys.exit(0 if all(result == "caught" for result in results) else 1)


if __name__ == "__main__":
    main()

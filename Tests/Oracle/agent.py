"""Runs the program under test: one-shot commands, and the agent as a process."""

import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.parse


class CommandFailed(AssertionError):
    """A command of the program ended with another exit code than the scenario expects."""


def folder_url(folder):
    return "file://" + urllib.parse.quote(str(pathlib.Path(folder).absolute()))


def parse_txid(value):
    return int(value, 16) if isinstance(value, str) else int(value)


def json_items(text, *keys):
    """The objects in a command's -json output: one document with a list, or one per line."""
    text = text.strip()
    if not text:
        return []
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(document, list):
        return document
    for key in keys:
        if isinstance(document.get(key), list):
            return document[key]
    return [document]


class Highwater:
    """The program's one-shot commands."""

    def __init__(self, binary):
        self.binary = os.path.abspath(binary)

    def run(self, *arguments, expect=0, timeout=120):
        """Runs a command; `expect` is its exit code, a set of them, or None for any."""
        line = f"highwater {' '.join(map(str, arguments))}"
        try:
            done = subprocess.run(
                [self.binary, *map(str, arguments)], stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            output = ((late.stdout or b"") + (late.stderr or b"")).decode(errors="replace")
            raise CommandFailed(f"{line}\ndid not end in {timeout} s\n{output}") from None
        allowed = {expect} if isinstance(expect, int) else expect
        if allowed is not None and done.returncode not in allowed:
            raise CommandFailed(
                f"{line}\nexit code {done.returncode}, "
                f"expected {expect}\nstdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}"
            )
        return done

    def generations(self, url):
        """Ids of the generations in a store, oldest first; empty when there is no backup."""
        done = self.run("generations", "-json", url, expect={0, 5})
        if done.returncode == 5:
            return []
        items = json_items(done.stdout, "generations", "items")
        return sorted(item.get("id") or item.get("generation") for item in items)

    def history(self, url, generation=None):
        """TXIDs of the commits that can be restored, ascending; empty without a backup."""
        arguments = ["history", "-json"]
        if generation:
            arguments += ["-generation", generation]
        done = self.run(*arguments, url, expect={0, 5})
        if done.returncode == 5:
            return []
        items = json_items(done.stdout, "commits", "history", "items")
        return sorted(parse_txid(item["txid"]) for item in items if "txid" in item)

    def restore(self, url, output, txid=None, generation=None, expect=0, more=()):
        arguments = ["restore", "-o", output]
        if txid is not None:
            arguments += ["-txid", f"{txid:016x}"]
        if generation:
            arguments += ["-generation", generation]
        return self.run(*arguments, *more, url, expect=expect)


class Agent:
    """`highwater replicate` in a process of its own; its log is kept in a file."""

    def __init__(self, binary, database, url, log, options=(), prefix=()):
        self.arguments = [
            *prefix, os.path.abspath(binary), "replicate", *options, str(database), url,
        ]
        self.log_path = str(log)
        self.database = str(database)
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        return self

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_attached(self, seconds=10):
        """Until the agent has the database open."""
        until = time.monotonic() + seconds
        target = os.path.realpath(self.database)
        while time.monotonic() < until:
            if not self.is_running():
                raise AssertionError(
                    f"the agent ended with {self.process.returncode}\n{self.log()[-3000:]}"
                )
            try:
                folder = f"/proc/{self.pid}/fd"
                names = {os.readlink(f"{folder}/{n}") for n in os.listdir(folder)}
            except OSError:
                names = set()
            if target + "-wal" in names:
                return self
            time.sleep(0.005)
        raise AssertionError(f"the agent did not attach in {seconds} s\n{self.log()[-3000:]}")

    def wait_until(self, condition, what, seconds=15, ends_early=False):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if condition():
                return
            if not ends_early and not self.is_running():
                break
            time.sleep(0.02)
        raise AssertionError(
            f"{what}: not within {seconds} s (exit code {self.process.poll()})\n"
            f"{self.log()[-3000:]}"
        )

    def stop(self, seconds=20, expect=0):
        """SIGTERM, and the exit code that follows."""
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the agent did not end within {seconds} s of SIGTERM\n{self.log()[-3000:]}"
            ) from None
        if expect is not None and code != expect:
            raise AssertionError(
                f"the agent ended with {code}, expected {expect}\n{self.log()[-3000:]}"
            )
        return code

    def kill(self):
        if self.is_running():
            self.process.kill()
        if self.process is not None:
            self.process.wait()

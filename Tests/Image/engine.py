"""Containers of an engine with Docker's command line, the folders that they share, and an
application outside of them."""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time

USER = 10001  # whom the image runs as


class Engine:
    """docker or podman, as a command line."""

    def __init__(self, command):
        self.command = shlex.split(command)

    def run(self, *arguments, expect=0, timeout=120, **options):
        """A command of the engine; `expect` is its exit code, None for any."""
        done = subprocess.run(
            [*self.command, *map(str, arguments)], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout, **options,
        )
        assert expect is None or done.returncode == expect, (
            f"{shlex.join(map(str, arguments))}\nexit code {done.returncode}, expected {expect}\n"
            f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
        return done

    def inspect(self, kind, name):
        return json.loads(self.run(kind, "inspect", name).stdout)[0]


class Container:
    """A container in the background."""

    def __init__(self, engine, name):
        self.engine, self.name = engine, name

    def running(self):
        return self.engine.inspect("container", self.name)["State"]["Running"]

    def pid(self):
        """Its process 1, as the host sees it."""
        return self.engine.inspect("container", self.name)["State"]["Pid"]

    def log(self):
        done = self.engine.run("logs", self.name)
        return done.stdout + done.stderr

    def signal(self, name):
        self.engine.run("kill", "--signal", name, self.name)

    def wait(self, seconds=60, expect=0):
        """Its exit code, once it has ended."""
        code = int(self.engine.run("wait", self.name, timeout=seconds).stdout)
        assert code == expect, f"it ended with {code}, expected {expect}\n{self.log()[-3000:]}"

    def stop(self, seconds=60, expect=0):
        """What `docker stop` sends, and the exit code that follows."""
        self.engine.run("stop", "--time", seconds, self.name, timeout=seconds + 30)
        self.wait(seconds, expect)

    def until(self, condition, what, seconds=30):
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, f"{what}: not in {seconds} s\n{self.log()[-3000:]}"
            time.sleep(0.05)

    def execute(self, *arguments, expect=0):
        return self.engine.run("exec", self.name, *arguments, expect=expect)

    def health(self):
        """The exit code of the image's health check, run as the engine runs it."""
        test = self.engine.inspect("container", self.name)["Config"]["Healthcheck"]["Test"]
        command = ["/bin/sh", "-c", test[1]] if test[0] == "CMD-SHELL" else test[1:]
        try:
            done = self.engine.run("exec", self.name, *command, expect=None, timeout=5)
        except subprocess.TimeoutExpired:
            return 124
        return done.returncode


class Bed:
    """A folder and the containers of one check. Leaving it removes all of them."""

    def __init__(self, engine, image):
        self.engine, self.image = engine, image
        self.folder = tempfile.mkdtemp(prefix="highwater-image-")
        os.chmod(self.folder, 0o755)
        self.names, self.volumes = [], []
        self.closing = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.close()
        for name in self.names:
            self.engine.run("rm", "--force", "--time", 0, name, expect=None)
        for name in self.volumes:
            self.engine.run("volume", "rm", "--force", name, expect=None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def name(self, word):
        return f"{os.path.basename(self.folder)}-{word}"

    def share(self, name, owner=USER, mode=0o755, group=None):
        """A folder that belongs to a user of a container's."""
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        os.chown(path, owner, owner if group is None else group)
        os.chmod(path, mode)
        return path

    def volume(self, word):
        """A named volume, made when it is first asked for."""
        name = self.name(word)
        if name not in self.volumes:
            self.engine.run("volume", "create", name)
            self.volumes.append(name)
        return name

    def _line(self, arguments, options, image):
        name = self.name(len(self.names))
        self.names.append(name)
        options = [*options] if "--network" in options else ["--network", "none", *options]
        return name, ["--name", name, *options, image or self.image, *arguments]

    def run(self, *arguments, options=(), image=None, expect=0):
        """Runs a container until it ends."""
        _, line = self._line(arguments, options, image)
        return self.engine.run("run", *line, expect=expect)

    def start(self, *arguments, options=(), image=None):
        name, line = self._line(arguments, options, image)
        self.engine.run("run", "--detach", *line)
        return Container(self.engine, name)


# Commits rows, prints how many, and waits: an application outside of the agent's container.
WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x BLOB)")
for _ in range(int(sys.argv[2])):
    db.execute("INSERT INTO t(x) VALUES(randomblob(2000))")
print(db.execute("SELECT count(*) FROM t").fetchone()[0], flush=True)
sys.stdin.read()
"""


class Writer:
    """The application, which keeps its connection until `end`."""

    def __init__(self, path, commits, user=USER):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-c", WRITER, path, str(commits)], user=user, group=user,
            extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        self.rows = int(self.process.stdout.readline())

    def end(self):
        self.process.communicate("")
        assert self.process.returncode == 0

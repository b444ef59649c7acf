"""What can go wrong in chaos.py, by name, and the application that it happens to."""

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time

STORE_BYTES = 256 << 20


class MountedStore:
    """Puts the store's folder on a small tmpfs of its own, where that is permitted, so that it can
    be full. Inside, `bed.mounted` says why not, or is empty."""

    def __init__(self, bed):
        self.bed = bed
        bed.mounted = "not a folder" if bed.bucket else ""

    def __enter__(self):
        if self.bed.bucket:
            return
        self.target = self.bed.path("disk")
        os.mkdir(self.target)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES}", "chaos", self.target],
            capture_output=True, text=True,
        )
        if done.returncode != 0:
            self.bed.mounted = f"no tmpfs can be mounted: {done.stderr.strip()}"
            return
        # A link, so that the folder can be put away and the file system stays.
        os.rmdir(self.bed.store)
        os.mkdir(os.path.join(self.target, "store"))
        os.symlink(os.path.join(self.target, "store"), self.bed.store)

    def __exit__(self, *_):
        if not self.bed.mounted:
            for agent in self.bed.agents:
                agent.kill()
            subprocess.run(["umount", "-l", self.target], check=False)


class Application:
    """The writer and the agent: both run, except while a fault says otherwise."""

    def __init__(self, bed):
        self.bed = bed
        self.starts = 0
        # Root reads and writes everything; without these capabilities it is an owner like others.
        self.prefix = []
        if os.getuid() == 0 and shutil.which("setpriv"):
            self.prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        bed.prepare()
        self.agent = bed.agent(options=["-sync-interval", "0.05"], prefix=self.prefix)
        self.start_agent()
        self.writer = None

    def start_agent(self):
        if not self.agent.is_running():
            self.starts += 1
            self.agent.start()

    def keep_running(self):
        """What a supervisor does: an agent that has ended is started again."""
        self.start_agent()

    def begin(self, seed):
        self.seed = seed
        self.number = 0
        self.start_writer()

    def start_writer(self):
        chance = random.Random(self.seed + self.number)
        self.number += 1
        self.writer = self.bed.writer(
            seed=chance.randrange(1 << 30), workload=chance.choice(["oltp", "slow_transaction"]),
            rate=60, cache_size=10, autocheckpoint=chance.choice([0, 0, 20, 1000]), rows=60,
            synchronous=chance.choice(["NORMAL", "FULL"]),
        )

    def end_writer(self, kill=False):
        if kill or not self.writer.is_running():
            self.writer.kill()
            return
        os.kill(self.writer.process.pid, signal.SIGUSR1)
        # It may be another fault's turn to let it stand still.
        os.kill(self.writer.process.pid, signal.SIGCONT)
        try:
            self.writer.wait()
        except AssertionError:
            # It had just begun, and did not know the signal yet.
            if self.writer.process.returncode != -signal.SIGUSR1:
                raise

    def rest(self):
        """The end of a round: no commits any more, and everything runs."""
        self.end_writer(kill=not self.writer.is_running())
        # What a killed writer committed and could not record.
        self.bed.writer("end", commits=1).wait()
        self.keep_running()

    def end(self):
        self.keep_running()


class Fault:
    """Something that begins and ends."""

    needs_folder = False

    def __init__(self, application, chance):
        self.application, self.chance = application, chance
        self.bed, self.agent = application.bed, application.agent

    def begin(self):
        raise NotImplementedError

    def end(self):
        """What has to happen for things to go on."""


class AgentKilled(Fault):
    """kill -9 of the agent; it is started again later."""

    def begin(self):
        self.agent.kill()

    def end(self):
        self.application.start_agent()


class AgentStopped(Fault):
    """SIGSTOP and SIGCONT: nothing goes on, and no lock is given back."""

    def begin(self):
        self.pid = self.agent.pid if self.agent.is_running() else None
        if self.pid:
            os.kill(self.pid, signal.SIGSTOP)

    def end(self):
        if self.pid and self.agent.is_running() and self.agent.pid == self.pid:
            os.kill(self.pid, signal.SIGCONT)


class WriterKilled(Fault):
    """kill -9 of the writer, in the middle of a commit as likely as not."""

    def begin(self):
        self.application.end_writer(kill=True)
        self.application.start_writer()


class WriterStopped(Fault):
    """SIGSTOP of the writer, possibly with the write lock."""

    def begin(self):
        self.pid = self.application.writer.process.pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)


class StoreAway(Fault):
    """The store is not there, or, of a bucket, its server stands still."""

    def begin(self):
        if self.bed.bucket:
            self.bed.bucket.process.send_signal(signal.SIGSTOP)
            return
        os.rename(self.bed.store, self.bed.store + ".away")
        with open(self.bed.store, "w", encoding="utf-8") as f:
            f.write("not a folder")

    def end(self):
        if self.bed.bucket:
            self.bed.bucket.process.send_signal(signal.SIGCONT)
            return
        os.remove(self.bed.store)
        os.rename(self.bed.store + ".away", self.bed.store)


class StoreFails(Fault):
    """Of a bucket's requests, half fail in ten ways."""

    def begin(self):
        self.set(0.5)

    def end(self):
        self.set(0)

    def set(self, rate):
        """The server is asked, which may stand still by another fault."""
        process = self.bed.bucket.process
        with open(f"/proc/{process.pid}/stat", encoding="utf-8") as f:
            stands = f.read().rpartition(")")[2].split()[0] == "T"
        process.send_signal(signal.SIGCONT)
        self.bed.bucket.fail(rate, self.chance.randrange(1000))
        if stands:
            process.send_signal(signal.SIGSTOP)


class PermissionsTaken(Fault):
    """The folders of the store may not be written, or not even be read."""

    needs_folder = True

    def begin(self):
        mode = self.chance.choice([0o500, 0o000])
        root = os.path.realpath(self.bed.store)
        # One that another fault has put away for the moment is a file.
        self.changed = []
        for path in [root, *(p for p, _, _ in os.walk(root))]:
            if os.path.isdir(path):
                self.changed.append((path, os.stat(path).st_mode))
        for path, _ in reversed(self.changed):
            os.chmod(path, mode)

    def end(self):
        away = self.bed.store + ".away"
        for path, mode in self.changed:
            for place in (path, path.replace(self.bed.store, away, 1)):
                if os.path.isdir(place):
                    os.chmod(place, mode & 0o7777)


class DiskFull(Fault):
    """The store's file system has not one block left."""

    needs_folder = True

    def begin(self):
        self.path = os.path.join(self.bed.path("disk"), "filler")
        with open(self.path, "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while f.write(bytes(1 << 20)):
                    pass
                while f.write(bytes(512)):
                    pass

    def end(self):
        os.remove(self.path)


class DescriptorsExhausted(Fault):
    """The agent may open no further file."""

    def begin(self):
        self.pid = self.agent.pid if self.agent.is_running() else None
        if not self.pid:
            return
        with contextlib.suppress(OSError):
            count = len(os.listdir(f"/proc/{self.pid}/fd"))
            self.limits = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
            most = count + self.chance.choice([0, 1, 3])
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (most, self.limits[1]))

    def end(self):
        if self.pid and self.agent.is_running() and self.agent.pid == self.pid:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.limits)


class FileReplaced(Fault):
    """The application is stopped and its database replaced by a copy: another file."""

    def begin(self):
        self.application.end_writer()
        database = self.bed.database
        # What a killed writer committed is recorded by the next one, and not by a copy of it.
        self.bed.writer("copy", commits=1).wait()
        source = sqlite3.connect(database)
        busy = source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        source.close()
        if busy == 0 and self.is_whole(database):
            shutil.copy(database, database + ".copy")
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(database + suffix)
            os.rename(database + ".copy", database)
        self.application.start_writer()

    @staticmethod
    def is_whole(database):
        try:
            return os.path.getsize(database + "-wal") == 0
        except FileNotFoundError:
            return True


KINDS = {
    "agent-killed": AgentKilled, "agent-stopped": AgentStopped, "writer-killed": WriterKilled,
    "writer-stopped": WriterStopped, "store-away": StoreAway, "store-fails": StoreFails,
    "permissions": PermissionsTaken, "disk-full": DiskFull, "descriptors": DescriptorsExhausted,
    "file-replaced": FileReplaced,
}


def unavailable(kind, bed):
    """Why a kind of fault cannot be made here, or an empty text."""
    if kind is StoreFails:
        return "" if bed.bucket else "only a bucket's requests can fail"
    if kind.needs_folder and bed.bucket:
        return "the store is a bucket"
    if kind is DiskFull:
        return bed.mounted
    if kind is PermissionsTaken and os.getuid() == 0 and not shutil.which("setpriv"):
        return "root without setpriv may write everywhere"
    return ""

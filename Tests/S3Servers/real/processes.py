"""Processes of a server: started in a session of their own, recorded, ended by their ids."""

import glob
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from packages import Failed


def start_time(pid):
    """When a process started, in the kernel's ticks; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes of one server, known by id and start time in a file."""

    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "processes.json")
        self.known = []
        self.started = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as f:
                self.known = json.load(f)

    def running(self):
        return [pid for pid, started in self.known if start_time(pid) == started]

    def start(self, name, command, **options):
        with open(os.path.join(self.folder, f"{name}.log"), "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **options,
            )
        self.started[name] = process
        self.known.append((process.pid, start_time(process.pid)))
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump(self.known, f)
        return process

    def wait(self, what, seconds, ready):
        """Until `ready` says so; all processes have to live meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, process in self.started.items():
                if process.poll() is not None:
                    raise Failed(f"{name} ended with {process.returncode}")
            if ready():
                return
            time.sleep(0.1)
        raise Failed(f"{what} was not ready in {seconds} s")

    def wait_listening(self, name, port, seconds):
        """Until the process itself listens at the port, whoever else answers there."""
        self.wait(name, seconds, lambda: listens(self.started[name].pid, port))

    def wait_answering(self, name, port, seconds, path="/"):
        """Until the process answers HTTP requests at the port; returns its endpoint."""
        endpoint = f"http://127.0.0.1:{port}"
        self.wait_listening(name, port, seconds)
        self.wait(name, seconds, lambda: answers(endpoint + path))
        return endpoint

    def tails(self):
        """The last lines of every log."""
        lines = []
        for path in sorted(glob.glob(os.path.join(self.folder, "**/*.log"), recursive=True)):
            with open(path, errors="replace") as f:
                last = f.read()[-4000:].splitlines()[-15:]
            lines += [f"    {os.path.relpath(path, self.folder)}: {line}" for line in last]
        return lines

    def stop(self):
        """Ends every process, the last one first, with SIGKILL where SIGTERM does not do."""
        for pid, started in reversed(self.known):
            if start_time(pid) != started:
                continue
            for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    break
                until = time.monotonic() + seconds
                while time.monotonic() < until and start_time(pid) == started:
                    try:
                        os.waitpid(pid, os.WNOHANG)
                    except ChildProcessError:
                        pass
                    time.sleep(0.02)
                if start_time(pid) != started:
                    break
        if os.path.exists(self.path):
            os.remove(self.path)
        self.known = []


def answers(url):
    """Whether an HTTP server answers, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def listens(pid, port):
    """Whether this very process listens at a port of 127.0.0.1."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f]
    sockets = {
        f"socket:[{row[9]}]" for row in rows
        if row[3] == "0A" and row[1].endswith(f":{port:04X}")
    }
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{pid}/fd/{name}") in sockets:
                return True
        except OSError:
            continue
    return False


class Ports:
    """Ports that nobody else here is given: neither another server of this process, which starts
    at the same time, nor a process that gives out ports by the same rule. Each port is marked by a
    socket in the abstract namespace, which is the network's and ends with this process, when the
    server has long bound its ports."""

    _marks = []

    @classmethod
    def take(cls, count):
        """`count` ports in a row, below the range that the kernel hands out by itself."""
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as f:
            lowest = int(f.read().split()[0])
        for _ in range(1000):
            first = random.randrange(10_000, max(10_001, lowest - count))
            marks = cls._mark(range(first, first + count))
            if marks:
                cls._marks += marks
                return list(range(first, first + count))
        raise Failed(f"no {count} free ports in a row between 10000 and {lowest}")

    @staticmethod
    def _mark(ports):
        """The marks of all these ports; None where one is taken or in use."""
        marks = []
        try:
            for port in ports:
                mark = socket.socket(socket.AF_UNIX)
                marks.append(mark)
                mark.bind(f"\0highwater-test-port-{port}")
                with socket.socket() as candidate:
                    candidate.bind(("127.0.0.1", port))
        except OSError:
            for mark in marks:
                mark.close()
            return None
        return marks

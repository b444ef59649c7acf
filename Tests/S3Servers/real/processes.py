"""Processes of a server: started in a session of their own, recorded, ended by their ids."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from packages import Unavailable


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
        self.known.append((process.pid, start_time(process.pid)))
        with open(self.path, "w", encoding="utf-8") as f:
            json.dump(self.known, f)
        return process

    def wait(self, process, what, seconds, ready):
        """Until `ready` says so; the process has to live meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if process.poll() is not None:
                raise Unavailable(f"{what} ended with {process.returncode}: {self.tail()}")
            if ready():
                return
            time.sleep(0.1)
        raise Unavailable(f"{what} was not ready in {seconds} s: {self.tail()}")

    def tail(self):
        texts = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), errors="replace") as f:
                    texts.append(f"{name}: {f.read()[-300:].strip()}")
        return " | ".join(texts)

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


def free_ports(count):
    """Ports that are free now, below the range that the kernel hands out by itself."""
    found, sockets = [], []
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as f:
        lowest = int(f.read().split()[0])
    port = 10_000 + os.getpid() * 37 % max(1, lowest - 12_000)
    while len(found) < count:
        port += 1
        candidate = socket.socket()
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            candidate.close()
            found, sockets = [], []
            continue
        sockets.append(candidate)
        found.append(port)
    for candidate in sockets:
        candidate.close()
    return found

"""Checks how servers.py starts servers: ports of their own, what is skipped and what fails."""

import concurrent.futures
import contextlib
import io
import os
import subprocess
import sys
import tempfile
import threading

import servers
from packages import Failed, Unavailable
from processes import Ports, Processes, listens

TAKER = "import sys; sys.path[:0] = {path!r}; from processes import Ports; " \
    "print(*Ports.take(50), flush=True); sys.stdin.read()"


class Stub:
    """A kind of server whose starts end as the test says."""

    def __init__(self, *ends):
        self.ends = list(ends)

    def start(self, installation, processes, folder, keys):
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            with open(os.path.join(folder, "stub.log"), "w", encoding="utf-8") as f:
                f.write("why it failed\n")
            raise end
        return end


def up(*ends):
    """What servers.up says and returns when the starts end like that."""
    servers.KINDS["stub"] = Stub(*ends)
    with contextlib.redirect_stderr(io.StringIO()) as text:
        return servers.up("stub"), text.getvalue()


def check_ports():
    """Threads and processes that take ports at the same time get different ones."""
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER.format(path=sys.path[:2])], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]
    gate = threading.Barrier(8)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: (gate.wait(), Ports.take(50))[1], range(8)))
    taken += [list(map(int, taker.stdout.readline().split())) for taker in takers]
    for taker in takers:
        taker.communicate("")
    ports = [port for block in taken for port in block]
    assert len(ports) == 11 * 50 and len(set(ports)) == len(ports), "a port was given twice"


def check_listening(folder):
    """Only the process that listens at a port is taken for the server."""
    (port,) = Ports.take(1)
    processes = Processes(folder)
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    processes.start("listener", [sys.executable, "-c", code])
    try:
        processes.wait_listening("listener", port, 30)
        assert not listens(os.getpid(), port)
    finally:
        processes.stop()


def main():
    check_ports()
    servers.bucket.create = lambda *arguments: None
    with tempfile.TemporaryDirectory() as folder:
        check_listening(folder)
        servers.BUILD = folder
        fine, text = up(Unavailable("no apt"))
        assert fine and "skipped: S3 server stub cannot be installed: no apt" in text, text
        fine, text = up(Failed("port taken"), OSError("once more"), "http://127.0.0.1:1")
        assert fine and "start 2 of 3 failed: once more" in text, text
        fine, text = up(*[Failed("no")] * 3)
        assert not fine and "FAILED: S3 server stub" in text, text
        assert text.count("stub.log: why it failed") == 3, text
    print("ok")


if __name__ == "__main__":
    main()

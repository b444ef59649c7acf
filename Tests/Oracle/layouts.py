"""Mounts and namespaces for the scenarios of hazards.py: what containers are made of.

Everything happens in a mount namespace of the harness's own, so that nothing is left on the
machine. A `Container` is a command line prefix that puts a program into namespaces of its own.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import time

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)
private = False


def why_not(*needed):
    """Why this machine cannot run a scenario that needs "mounts", "fuse" or "overlay"; None when
    it can."""
    if os.getuid() != 0:
        return "needs root"
    for program in ("unshare", "mount", "setpriv"):
        if shutil.which(program) is None:
            return f"needs the program {program}"
    done = subprocess.run(["unshare", "-mpf", "--mount-proc", "true"], capture_output=True)
    if done.returncode != 0:
        return f"mount namespaces are refused: {done.stderr.decode().strip()}"
    if "fuse" in needed:
        if shutil.which("bindfs") is None:
            return "needs the Debian package bindfs"
        if not os.path.exists("/dev/fuse"):
            return "needs /dev/fuse"
    if "overlay" in needed:
        with open("/proc/filesystems", encoding="utf-8") as f:
            if "overlay" not in f.read():
                return "this kernel has no overlay file system"
    return None


def enter_private_mounts():
    """From now on mounts of this process and its children are seen by nobody else."""
    global private
    if private:
        return
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "mount --make-rprivate")
    private = True


@contextlib.contextmanager
def mounted(*arguments, at):
    """mount(8) with these arguments, undone at the end."""
    enter_private_mounts()
    os.makedirs(at, exist_ok=True)
    subprocess.run(["mount", *arguments, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=False)


@contextlib.contextmanager
def bindfs(source, at):
    """A FUSE mount of a folder: a file system of its own over the same files, as a virtual
    machine's shared folder is."""
    enter_private_mounts()
    os.makedirs(at, exist_ok=True)
    server = subprocess.Popen(
        ["bindfs", "-f", source, at], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 10
        while not os.path.ismount(at):
            assert server.poll() is None and time.monotonic() < until, "bindfs does not mount"
            time.sleep(0.01)
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=False)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


class Container:
    """Mounts (pairs of source and target) in a mount namespace of its own; with `processes` a pid
    namespace, too, as containers have."""

    def __init__(self, *binds, processes=False):
        enter_private_mounts()
        script = "".join(
            f"mount --bind '{source}' '{target}' || exit 90\n" for source, target in binds
        )
        flags = ["--mount", "--propagation", "private"]
        if processes:
            flags += ["--pid", "--fork", "--kill-child", "--mount-proc"]
        self.prefix = ["unshare", *flags, "--", "sh", "-c", script + 'exec "$@"', "sh"]

    def run(self, *arguments, timeout=60):
        return subprocess.run(
            [*self.prefix, *map(str, arguments)], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=timeout,
        )

    def python(self, program, *arguments, **options):
        return self.run(sys.executable, "-c", program, *arguments, **options)

    def start(self, *arguments, **options):
        return subprocess.Popen([*self.prefix, *map(str, arguments)], **options)

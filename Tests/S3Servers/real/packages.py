"""Installs what the real servers need into a folder of the build, never into the system.

Debian packages are fetched by apt, which checks them, and unpacked side by side; nothing of
theirs is configured or started, and no root is needed. Python packages go into an environment.
"""

import fcntl
import glob
import os
import re
import shutil
import subprocess

# Recommended by the packages, or dependencies of their set-up, and never run here.
UNNEEDED = re.compile(
    r"^(sudo|lvm2|dmeventd|liblvm2cmd.*|libdevmapper.*|rsyslog|intltool-debian|po-debconf|parted|"
    r"libparted.*|openstack-pkg-tools|smartmontools|nvme-cli|gdisk|hdparm|dmidecode|xfsprogs|"
    r"cryptsetup-bin|logrotate|uwsgi.*|uuid-runtime|ieee-data|rsync|python3-docutils|"
    r"docutils-common|python3-roman|libestr0|libfastjson4|liblognorm5|libnorm.*|libpgm.*|"
    r"libzmq5|libinih1|liburcu8|libnvme1)_"
)


class Unavailable(Exception):
    """A server cannot be installed here; the text says why."""


class Failed(Exception):
    """A server that is installed did not come up; the text says why."""


class Installation:
    """The folder that everything is installed into."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.root = os.path.join(self.folder, "root")
        self.python = os.path.join(self.folder, "python", "bin", "python3")
        os.makedirs(self.folder, exist_ok=True)

    def locked(self):
        """An exclusive lock on the installation; held until the file is closed."""
        lock = open(os.path.join(self.folder, "lock"), "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock

    def pip(self, *requirements):
        """Installs packages from PyPI, once."""
        stamp = os.path.join(self.folder, "pip-" + "-".join(
            re.sub(r"\W", "", text) for text in requirements
        ))
        if os.path.exists(stamp):
            return
        with self.locked():
            if os.path.exists(stamp):
                return
            if not os.path.exists(self.python):
                base = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else "python3"
                fetch([base, "-m", "venv", os.path.dirname(os.path.dirname(self.python))])
            fetch([self.python, "-m", "pip", "install", "--quiet", *requirements])
            open(stamp, "w").close()

    def debian(self, *packages):
        """Unpacks Debian packages and what they need, once."""
        stamp = os.path.join(self.folder, "deb-" + "-".join(packages))
        if os.path.exists(stamp):
            return
        with self.locked():
            if os.path.exists(stamp):
                return
            paths = self._download(self._files(packages))
            for path in paths:
                run(["dpkg-deb", "--extract", path, self.root])
            open(stamp, "w").close()

    def _files(self, packages):
        """File names of the packages, and of what they need that is not installed."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise Unavailable("no apt-get here: this needs Debian or Ubuntu")
        command = [
            "apt-get", "install", "--yes", "--no-install-recommends", "--print-uris", *packages,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0 and os.getuid() == 0:
            fetch(["apt-get", "update", "-qq"])
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["apt-get fails"])[-1]
            raise Unavailable(f"{' '.join(packages)}: {reason}")
        names = re.findall(r"^'[^']+' (\S+\.deb) \d+", done.stdout, re.MULTILINE)
        return [name for name in names if not UNNEEDED.match(name)]

    def _download(self, names):
        """Paths of the package files; apt fetches and checks those that are missing."""
        cache = os.path.join(self.folder, "debs")
        os.makedirs(cache, exist_ok=True)
        missing = [
            name.split("_")[0] for name in names if not os.path.exists(os.path.join(cache, name))
        ]
        if missing:
            command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *missing]
            fetch(command, cwd=cache)
        return [os.path.join(cache, name) for name in names]

    def program(self, name):
        """A program's path: unpacked here, else the system's."""
        for folder in ("usr/bin", "usr/sbin", "bin"):
            path = os.path.join(self.root, folder, name)
            if os.path.exists(path):
                return path
        found = shutil.which(name)
        if found is None:
            raise Failed(f"no program {name} in what was installed")
        return found

    def library_folders(self):
        found = []
        for base in ("usr/lib", "lib"):
            for pattern in ("*-linux-gnu", "*-linux-gnu/ceph", "ceph"):
                found += glob.glob(os.path.join(self.root, base, pattern))
        return found

    def environment(self, **more):
        """Variables with which unpacked programs find their libraries."""
        packages = os.path.join(self.root, "usr/lib/python3/dist-packages")
        return {
            **os.environ, "LD_LIBRARY_PATH": ":".join(self.library_folders()),
            "PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", **more,
        }


def fetch(command, **options):
    """Runs apt or pip; what they cannot get is not to be had here."""
    try:
        return run(command, timeout=600, **options)
    except Failed as error:
        raise Unavailable(str(error)) from error


def run(command, timeout=120, **options):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command[:6])}: did not end in {timeout} s") from None
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed(f"{' '.join(command[:6])}: {' '.join(lines[-3:]) or done.returncode}")
    return done.stdout

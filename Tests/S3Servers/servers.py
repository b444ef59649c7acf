"""Starts and stops real S3 servers on 127.0.0.1 for tests.

servers.py up [KIND...]     installs and starts them, the default is all: ceph, swift, rclone, moto
servers.py down [KIND...]   ends them by process id and removes their data
servers.py list [KIND...]   one line of JSON for each that runs
servers.py python           installs boto3 and prints the Python that has it
servers.py aws              installs the AWS command line and prints its path

Everything lies below .build/servers. A server that cannot be installed is skipped, with its reason
on standard error. One that is installed has to come up: it gets three starts, each at other ports,
and when all fail the exit code is 1, after the end of its logs.
"""

import concurrent.futures
import json
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "real"))

import bucket
import ceph
import moto
import openstack
import rclone
from packages import Failed, Installation, Unavailable
from processes import Processes

BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".build", "servers")
KINDS = {"ceph": ceph, "swift": openstack, "rclone": rclone, "moto": moto}
KEYS = {
    "access_key": "LABACCESSKEY00000001",
    "secret_key": "labSecretKey/0123456789+abcdefghijklmnop",
}
BUCKET = "highwater-lab"
REGION = "us-east-1"
STARTS = 3


def keys_of(kind):
    # Swift's access key is account:user.
    return {**KEYS, "access_key": "lab:s3"} if kind == "swift" else KEYS


def folder_of(kind):
    return os.path.join(BUILD, "run", kind)


def description_path(kind):
    return os.path.join(folder_of(kind), "server.json")


def say(*lines):
    print("\n".join(lines), file=sys.stderr, flush=True)


def up(kind):
    """Starts one server and makes its bucket; whether all is well, which a server that cannot be
    installed here is."""
    if running(kind):
        return True
    began = time.monotonic()
    for attempt in range(1, STARTS + 1):
        down(kind)
        os.makedirs(folder_of(kind))
        processes = Processes(folder_of(kind))
        try:
            endpoint = start(kind, processes)
        except Unavailable as error:
            say(f"skipped: S3 server {kind} cannot be installed: {error}")
            return True
        except (Failed, OSError) as error:
            processes.stop()
            say(f"S3 server {kind}, start {attempt} of {STARTS} failed: {error}",
                *processes.tails())
        else:
            say(f"S3 server {kind} at {endpoint} after {time.monotonic() - began:.1f} s")
            return True
    say(f"FAILED: S3 server {kind} is installed, and does not come up")
    return False


def start(kind, processes):
    """One start; returns the endpoint, where the bucket is."""
    keys = keys_of(kind)
    endpoint = KINDS[kind].start(Installation(BUILD), processes, folder_of(kind), keys)
    bucket.create(endpoint, REGION, BUCKET, keys)
    description = {
        "kind": kind, "endpoint": endpoint, "region": REGION, "bucket": BUCKET, **keys,
    }
    with open(description_path(kind), "w", encoding="utf-8") as f:
        json.dump(description, f)
    return endpoint


def running(kind):
    """The description of a server whose processes all live, else None."""
    if not os.path.exists(description_path(kind)):
        return None
    processes = Processes(folder_of(kind))
    if not processes.known or len(processes.running()) != len(processes.known):
        return None
    with open(description_path(kind), encoding="utf-8") as f:
        return json.load(f)


def down(kind):
    folder = folder_of(kind)
    if os.path.isdir(folder):
        Processes(folder).stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "python":
        installation = Installation(BUILD)
        try:
            installation.pip("boto3")
        except Unavailable as error:
            raise SystemExit(f"skipped: boto3: {error}")
        print(installation.python)
        return
    if command == "aws":
        # In an environment of its own: it wants other versions of what boto3 wants.
        installation = Installation(os.path.join(BUILD, "aws"))
        try:
            installation.pip("awscli")
        except Unavailable as error:
            raise SystemExit(f"skipped: awscli: {error}")
        print(os.path.join(os.path.dirname(installation.python), "aws"))
        return
    kinds = sys.argv[2:] or list(KINDS)
    if command not in ("up", "down", "list") or set(kinds) - set(KINDS):
        raise SystemExit(__doc__)
    if command == "up":
        with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
            if not all(list(pool.map(up, kinds))):
                raise SystemExit(1)
    elif command == "down":
        for kind in kinds:
            down(kind)
    else:
        for kind in kinds:
            if description := running(kind):
                print(json.dumps(description))


if __name__ == "__main__":
    main()

"""Ceph's radosgw over one monitor and one OSD in memory."""

import json
import os
import uuid

from packages import run
from processes import Ports

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
CONFIGURATION = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
ms bind port min = {low}
ms bind port max = {high}
auth cluster required = none
auth service required = none
auth client required = none
# 'secure', radosgw's own default, needs authentication.
ms mon client mode = crc
auth allow insecure global id reclaim = false
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/log/$name.log
log to stderr = false
err to stderr = true
crash dir = {folder}/crash
erasure code dir = {library}/ceph/erasure-code
plugin dir = {library}/ceph
osd class dir = {library}/rados-classes
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
[mon]
mon data = {folder}/mon.a
mon data avail crit = 1
mon data avail warn = 2
paxos propose interval = 0.05
mon osd min in ratio = 0
[osd]
osd data = {folder}/osd.0
osd objectstore = memstore
memstore device bytes = 1073741824
osd op num shards = 2
osd op num threads per shard = 1
osd max object name len = 2048
osd check max object name len on startup = false
[client]
rgw data = {folder}/rgw
# Without tcp_nodelay a small answer waits 40 ms.
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 32
rgw rados pool pg num min = 4
rgw enable usage log = false
rgw enable lc threads = false
rgw run sync thread = false
rgw enable quota threads = false
rgw num rados handles = 1
rgw override bucket index max shards = 1
rgw dynamic resharding = false
rgw gc obj min wait = 5
"""


def start(installation, processes, folder, keys):
    """Starts the three daemons and makes a user; returns the endpoint."""
    installation.debian(*PACKAGES)
    for name in ("mon.a", "osd.0", "rgw", "log", "run", "crash"):
        os.makedirs(os.path.join(folder, name))
    # The OSD takes several ports, from the third on.
    ports = Ports.take(24)
    libraries = [f for f in installation.library_folders() if f.endswith("-linux-gnu")]
    fsid = str(uuid.uuid4())
    path = os.path.join(folder, "ceph.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONFIGURATION.format(
            fsid=fsid, folder=folder, port=ports[0], monitor=ports[1], low=ports[2],
            high=ports[-1], library=(libraries or ["/usr/lib/x86_64-linux-gnu"])[0],
        ))
    environment = installation.environment(CEPH_CONF=path)
    program = installation.program

    def ceph(*arguments):
        command = ["/usr/bin/python3", program("ceph"), "--connect-timeout", "10", *arguments]
        return run(command, env=environment, timeout=60)

    run([program("monmaptool"), "--create", "--fsid", fsid, "--addv", "a",
         f"[v2:127.0.0.1:{ports[1]}]", f"{folder}/monmap"], env=environment)
    run([program("ceph-mon"), "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap"],
        env=environment)
    processes.start("mon", [program("ceph-mon"), "-f", "-i", "a"], env=environment)
    processes.wait("ceph-mon", 60, lambda: os.path.exists(f"{folder}/run/mon.a.asok"))
    identity = str(uuid.uuid4())
    ceph("osd", "new", identity, "0")
    run([program("ceph-osd"), "-i", "0", "--mkfs", "--osd-uuid", identity], env=environment)
    processes.start("osd", [program("ceph-osd"), "-f", "-i", "0"], env=environment)
    processes.wait("ceph-osd", 120, lambda: json.loads(
        ceph("osd", "stat", "--format", "json"))["num_up_osds"] == 1)
    processes.start("rgw", [program("radosgw"), "-f", "-n", "client.rgw"], env=environment)
    # The user's pools and the gateway's are the same: it makes them first.
    endpoint = processes.wait_answering("rgw", ports[0], 120)
    run([program("radosgw-admin"), "user", "create", "--uid=lab", "--display-name=lab",
         f"--access-key={keys['access_key']}", f"--secret-key={keys['secret_key']}",
         "--no-mon-config"], env=environment, timeout=60)
    return endpoint

"""OpenStack Swift with s3api: proxy, one account, container and object server each."""

import os

from packages import run
from processes import Ports

PACKAGES = ("swift-proxy", "swift-account", "swift-container", "swift-object", "memcached")
TYPES = ("account", "container", "object")
COMMON = """[swift-hash]
swift_hash_path_prefix = lab
swift_hash_path_suffix = lab
[storage-policy:0]
name = p0
default = yes
[swift-constraints]
max_object_name_length = 1024
"""
STORAGE = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {etc}
user = {user}
devices = {folder}/srv
mount_check = false
disable_fallocate = true
workers = 1
log_level = WARNING
recon_cache_path = {folder}/cache
[pipeline:main]
pipeline = {type}-server
[app:{type}-server]
use = egg:swift#{type}
replication_server = true
"""
PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo "
    "versioned_writes symlink proxy-server"
)
PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {etc}
user = {user}
workers = 2
log_level = WARNING
[pipeline:main]
pipeline = {pipeline}
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
cors_preflight_allow_origin =
max_bucket_listing = 1000
[filter:tempauth]
use = egg:swift#tempauth
user_{user_key} = {secret} .admin
[filter:slo]
use = egg:swift#slo
rate_limit_after_segment = 1000000
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
"""
PLAIN = (
    "catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "copy", "dlo",
    "symlink",
)
# What swift-ring-builder does in nine runs.
RINGS = """
import sys
from swift.common.ring import RingBuilder
etc, first = sys.argv[1], int(sys.argv[2])
for n, kind in enumerate(('account', 'container', 'object')):
    ring = RingBuilder(5, 1, 0)
    ring.add_dev(dict(
        region=1, zone=1, ip='127.0.0.1', port=first + n, replication_ip='127.0.0.1',
        replication_port=first + n, device='d1', weight=1.0, meta='',
    ))
    ring.rebalance()
    ring.get_ring().save(f'{etc}/{kind}.ring.gz')
"""

# The servers' own programs insist on /etc/swift/swift.conf.
LAUNCHER = """
import sys
from swift.common import utils
utils.set_swift_dir(sys.argv[1])
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3], verbose=True))
"""


def start(installation, processes, folder, keys):
    installation.debian(*PACKAGES)
    ports = Ports.take(5)
    etc = f"{folder}/etc"
    for name in ("srv/d1", "cache", "etc"):
        os.makedirs(os.path.join(folder, name))
    user = run(["id", "-un"]).strip()
    environment = installation.environment()
    write(f"{etc}/swift.conf", COMMON)
    run(["/usr/bin/python3", "-c", RINGS, etc, str(ports[1])], env=environment)
    for number, kind in enumerate(TYPES):
        write(f"{etc}/{kind}-server.conf", STORAGE.format(
            port=ports[1 + number], etc=etc, user=user, folder=folder, type=kind
        ))
    proxy = PROXY.format(
        port=ports[0], etc=etc, user=user, pipeline=PIPELINE, cache=ports[4],
        user_key=keys["access_key"].replace(":", "_"), secret=keys["secret_key"],
    )
    write(f"{etc}/proxy-server.conf", proxy + "".join(
        f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN
    ))
    processes.start("memcached", [
        installation.program("memcached"), "-u", user, "-l", "127.0.0.1", "-p", str(ports[4]),
        "-U", "0", "-m", "32",
    ], env=environment)
    for kind in (*TYPES, "proxy"):
        processes.start(kind, [
            "/usr/bin/python3", "-c", LAUNCHER, etc, f"{etc}/{kind}-server.conf",
            f"{kind}-server",
        ], env=environment)
    for name, port in zip((*TYPES, "memcached"), ports[1:]):
        processes.wait_listening(name, port, 120)
    return processes.wait_answering("proxy", ports[0], 120, "/healthcheck")


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)

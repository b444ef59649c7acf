"""Writes the seeds of Fuzz/Corpus: real objects, and texts as they are in the wild. Whoever adds
a decoder adds its seeds here; crashes that were found are kept beside them as crash-*."""

import pathlib
import sqlite3
import struct
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent
FIXTURES = ROOT.parent / "Tests/SegmentFormatTests/Fixtures"
RECORD = struct.Struct("<BBHIQQ")
COMMIT = struct.Struct("<BBHIQqqIIQQ")


def write(target, name, content):
    folder = ROOT / "Corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)


def objects():
    """The stores that format version 1 wrote."""
    for number, store in enumerate(sorted(FIXTURES.iterdir())):
        for path in sorted(store.glob("highwater-1/*/*/*")):
            name = f"{number}-{path.parent.name}-{path.name[:16]}{path.suffix}"
            relative = f"{path.parent.name}/{path.name}"
            if path.parent.name == "writers":
                write("claim", name, path.read_bytes())
            else:
                data = path.read_bytes()
                if len(data) < 1000 or number == 1:
                    write("segment", name, data)
                    write("segment-sealed", name, data)
                write("segment-ends", name, data[:144] + data[-144:])
            write("segment-name", name, relative)
        for path in store.glob("highwater-1/*/generation.json"):
            write("generation", f"{number}", path.read_bytes())
    generation = (FIXTURES / "version-1/highwater-1").iterdir().__next__()
    text = (generation / "generation.json").read_text()
    parent = f'"parent": {{"generation": "{generation.name}", "txid": "0000000000000009"}},'
    write("generation", "child", text.replace("{", "{" + parent, 1))
    last = parent.replace("0000000000000009", "f" * 16)
    write("generation", "crash-parent", text.replace("{", "{" + last, 1))
    write("segment-name", "generation", generation.name)
    write("hint", "restored", HINT)
    write("hint", "newer", HINT.replace('"version":1', '"version":2,"more":[{}]'))
    logs = sorted(FIXTURES.glob("*/highwater-1/*/00/*.log"))
    ends = b"".join(p.read_bytes()[:144] + p.read_bytes()[-144:] for p in logs[:2])
    write("pack-members", "two", ends)


def records():
    """Page and commit records, with the 8 bytes in front that the decoder takes its header from."""
    head = struct.pack("<IBBBB", 2, 0, 2, 5, 0)
    time = 1_764_000_000_000
    pages = RECORD.pack(2, 1, 0, 1, 7, 8) + RECORD.pack(1, 2, 0, 3, 0, 9)
    commit = COMMIT.pack(16, 1, 0, 3, 5, time, time + 3, 2, 77, 1, 2)
    write("log-records", "grow", head + pages + commit)
    head = struct.pack("<IBBBB", 2, 3, 1, 5, 0)
    write("log-records", "shrink", head + RECORD.pack(3, 1, 0, 2, 7, 0)
          + COMMIT.pack(16, 2, 0, 1, 5, time, time, 1, 0, 0, 0))


def databases():
    """A WAL, its index, and the pages of a database, by SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.db"
        database = sqlite3.connect(path, isolation_level=None)
        database.execute("PRAGMA page_size=512")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA wal_autocheckpoint=0")
        database.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        database.execute("CREATE INDEX i ON t(b)")
        database.execute("INSERT INTO t(b) VALUES('x'), (zeroblob(900))")
        wal = pathlib.Path(f"{path}-wal").read_bytes()
        write("wal", "as-it-is", b"\0" + wal[:32 + 536 * 5])
        write("wal", "sealed", b"\3" + wal[:32 + 536 * 3])
        # Of the first byte bits 2 to 4: 1 means as far as the file goes.
        write("wal-file", "sealed", b"\7" + wal[:32 + 536 * 8])
        write("wal-file", "as-it-is", b"\4" + wal[:32 + 536 * 6])
        write("wal-file", "repeated", b"\7" + wal[:32 + 536 * 3] + wal[32 + 536 * 2:32 + 536 * 3])
        unchecked = bytearray(wal[:32 + 536 * 3])
        unchecked[32 + 536 + 8:32 + 536 + 24] = bytes(16)
        write("wal", "unchecked", b"\3" + bytes(unchecked))
        write("wal-file", "unchecked", b"\7" + bytes(unchecked))
        index = pathlib.Path(f"{path}-shm").read_bytes()[:136]
        write("wal-index", "live", index)
        write("wal-index", "crash-last-frame", index[:16] + b"\xff" * 4 + index[20:])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = path.read_bytes()
        for number in range(len(pages) // 512):
            page = pages[number * 512:number * 512 + 512]
            if number < 4:
                write("btree", f"page-{number + 1}", bytes([number == 0]) + page)
        database.close()


HINT = (
    '{"digest":"0123456789abcdef0123456789abcdef","format":"highwater-hint",'
    '"generation":"20251124T120000000Z-0a1b2c3d","page_count":5,"page_size":4096,'
    '"txid":"0000000000000009","version":1}\n'
)
LISTING = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
<EncodingType>url</EncodingType><NextContinuationToken>T/1+=</NextContinuationToken>
<Contents><Key>pre/a%20b/0000000000000001</Key><Size>3</Size><ETag>&quot;e&quot;</ETag>
<LastModified>2013-05-24T00:00:01.000Z</LastModified></Contents>
<Contents><Key>pre/folder/</Key><Size>0</Size></Contents></ListBucketResult>"""
ERROR = """<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>no</Message>
<RequestId>R</RequestId><HostId>H</HostId><Region>eu-central-1</Region>
<ServerTime>2013-05-24T00:00:01Z</ServerTime></Error>"""
PROFILE = """# comment
[default]
aws_access_key_id = AKID ; trailing
region=eu-central-1
s3 =
  addressing_style = path
[profile x y]
sso_session = z
[sso-session z]
sso_start_url = https://x/#/
"""
NOTE = """highwater-peer=1
id=a1
beat=7
interval=5
boot_id=b
device=5
inode=6
pid_namespace=7
mount_namespace=8
process=9
host=h
mount=ext4 /dev/x
extra.phase=1
"""
MOUNTS = """36 1 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw,errors=continue
37 36 0:5 /x /a\\040c rw - fuse.sshfs host:/x rw,user_id=0
"""
LOCKS = """1: POSIX  ADVISORY  READ 12937 fe:00:16246876 123 127
2: FLOCK  ADVISORY  WRITE 1 0:1:2 0 EOF
"""


SETTINGS = """addr: :9090
exec: "myapp 'x' -y"
socket: {path: /run/h.sock}
logging: {level: WARN, type: json}
snapshot: {interval: 1h30m}
access-key-id: ${KEY}
secret-access-key: ${SECRET:-none}
dbs:
  - path: ~/app/../app.db
    replicas:
      - url: s3://bucket/a?region=x
        name: far
        sync-interval: 1.5s
      - {name: near, type: file, path: /srv/b c}
    retention: {enabled: yes, window: 30d, check-interval: 1m}
    spool-limit: 500MiB
  - dir: "/var/lib/t\\u00e9"
    pattern: "*.db"
    recursive: true
    watch: on
    outage-policy: protect-app
    replica: file:///srv/t
"""
REQUESTS = [
    "GET /status /a.db", "GET /list", "GET /info", "GET /metrics", "GET /readyz",
    "POST /reload\n{}",
    'POST /sync\n{"path":"/a.db","wait":true,"timeout":0.5}', 'POST /stop\n{"path":"/a\\u0000"}',
    'POST /register\n{"path":"/a.db","url":"s3://b/c?region=x"}', 'POST /start\n{"path":"/a.db"}',
    'POST /unregister\n{"path":"/a.db","timeout":1e300}', "DELETE /x\n",
]


def operators():
    """Configuration files, and requests at the control socket."""
    write("configuration", "every-kind", SETTINGS)
    write("configuration", "example", (ROOT.parent / "etc/highwater.yml").read_bytes())
    short = "dbs:\n  - path: /a.db\n    replica: file:///b\n"
    write("configuration", "short", short)
    write("configuration", "line-end", short + 'exec: "a\\nb"\n')
    write("configuration", "zero", short + 'exec: "a\\0b"\n')
    write("configuration", "century", short + "shutdown-sync-timeout: 36500d23h59m1ns\n")
    write("configuration", "dash", short.replace("/a.db", "/-a: {b}") + "exec: '- null'\n")
    for number, request in enumerate(REQUESTS):
        write("control", f"{number}", request)


def texts():
    write("xml", "listing", LISTING)
    write("xml", "error", ERROR)
    write("xml", "entity", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    write("listing", "page", LISTING)
    write("listing", "version-1", LISTING.replace("NextContinuationToken", "NextMarker"))
    for number, url in enumerate([
        "s3://bucket/pre/fix?endpoint=http://127.0.0.1:9000&region=x&part-size=8MiB",
        "s3://b.s3.fr-par.scw.cloud/a%20b?sse=aws:kms&sse-kms-key-id=k&force-path-style=true",
        "s3://x?header=A:b&put-header=c:d&concurrency=3&timeout=5&sse-customer-key=c2VjcmV0",
        "file:///srv/back%20up/./x", "file://localhost/a//b", "gs://x", "s3://u:p@x/y",
        "https://user@host:443/a/b", "[::1]:9000/x",
        "s3://a%40b/x", "s3://a%25b?S", "s3://x?a%3Db=c",
        "file:///a/../\u0301b",
    ]):
        write("store-url", f"{number}", url)
    write("object-key", "log", "20261124T001530123Z-1a2b3c4d/00/x.log")
    write("object-key", "crash-combining", "a/../\u0301x")
    write("object-key", "other", "a b/é/..x/.y")
    write("profile", "config", PROFILE)
    write("credentials", "container", '{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T",'
          '"Expiration":"2026-11-24T00:15:30Z","Code":"Success","Version":1}')
    write("credentials", "role", '{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"S",'
          '"sessionToken":"T","expiration":1764000000000}}')
    write("credentials", "token", '{"accessToken":"A","expiresAt":"2026-11-24T00:15:30Z"}')
    write("http-date", "preferred", "Sun, 06 Nov 1994 08:49:37 GMT")
    write("timestamp", "zulu", "2026-11-24T00:15:30.123Z")
    write("timestamp", "crash-before", "0000-01-01T00:00:00+23:59")
    write("timestamp", "crash-after", "9999-12-31T23:59:59-23:59")
    write("timestamp", "zone", "2024-02-29t23:59:60.5+05:30")
    write("coding", "base64", "c2VjcmV0IQ==")
    write("coding", "percent", "a%20b%C3%A9+c")
    write("peer-note", "note", NOTE)
    write("mounts", "mounts", MOUNTS)
    write("mounts", "locks", LOCKS)


if __name__ == "__main__":
    objects()
    records()
    databases()
    texts()
    operators()

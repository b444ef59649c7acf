"""Bad input over S3: the right exit code, words that help, few requests, little memory."""

import contextlib
import os
import subprocess
import tempfile
import time

from bucket import Bucket

SCENARIOS = {}
USAGE, UNREACHABLE, DENIED, NOTHING, DAMAGED = 2, 3, 4, 5, 7
MEMORY_LIMIT = 64 << 20
SECRETS = ("strict/Secret+Key", "sessiontokenvalue")


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Ended:
    """How a command ended: exit code, messages, requests, seconds, peak memory."""

    def __init__(self, code, text, requests, seconds, memory):
        self.code, self.text, self.requests = code, text, requests
        self.seconds, self.memory = seconds, memory


def ask(bed, *arguments, url=None, bucket=None, environment=(), seconds=60):
    """Runs a command that reads the store and measures what it cost."""
    bucket = bucket or bed.bucket
    before, began = bucket.requests(), time.monotonic()
    with tempfile.TemporaryFile(dir=bed.scratch) as output:
        process = subprocess.Popen(
            [bed.highwater.binary, *arguments, url or bed.url], stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
            env={**os.environ, **bucket.environment, **dict(environment)},
        )
        done, status, usage = 0, 0, None
        while not done:
            if time.monotonic() - began > seconds:
                process.kill()
                process.wait()
                raise AssertionError(f"{arguments} did not end in {seconds} s")
            time.sleep(0.01)
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    ended = Ended(
        process.returncode, text, bucket.requests() - before, time.monotonic() - began,
        usage.ru_maxrss * 1024,
    )
    for secret in SECRETS:
        assert secret not in text, f"{arguments} shows a secret"
    assert "fatal error" not in text.lower(), text[-2000:]
    return ended


def refused(bed, code, words, most=3, command=("generations",), **options):
    """The command has to fail with `code`, a message with all of `words`, and few requests."""
    ended = ask(bed, *command, **options)
    where = f"{' '.join(command)}: exit code {ended.code}, {ended.requests} requests"
    codes = {code} if isinstance(code, int) else code
    assert ended.code in codes, f"{where}, expected {code}: {ended.text[-1500:]}"
    for word in words:
        assert word.lower() in ended.text.lower(), f"{where}: no '{word}' in: {ended.text[-1500:]}"
    assert ended.requests <= most, f"{where}, expected at most {most}"
    return ended


@contextlib.contextmanager
def another(bed, *arguments, name="backup"):
    """One more server, with other arguments."""
    bucket = Bucket(bed.path(f"s3-{name}-{len(arguments)}"), arguments, name)
    try:
        yield bucket
    finally:
        bucket.close()


def certificate(bed):
    """A certificate for 127.0.0.1 that no CA has signed, and its key."""
    paths = bed.path("server.crt"), bed.path("server.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )
    return paths


@scenario
def s3_wrong_keys(bed):
    """A wrong secret, an unknown key, an expired or foreign token, a key without rights, none."""
    right = bed.bucket.environment
    refused(bed, DENIED, ["SignatureDoesNotMatch"], environment={"AWS_SECRET_ACCESS_KEY": "no"})
    refused(bed, DENIED, ["InvalidAccessKeyId"], environment={"AWS_ACCESS_KEY_ID": "NOBODY"})
    refused(bed, DENIED, ["InvalidToken"], environment={"AWS_SESSION_TOKEN": "sessiontokenvalue"})
    identity = {
        "access_key": right["AWS_ACCESS_KEY_ID"], "secret_key": right["AWS_SECRET_ACCESS_KEY"],
    }
    bed.bucket.settings(identities=[{**identity, "token": "sessiontokenvalue", "expired": True}])
    refused(
        bed, DENIED, ["ExpiredToken"], environment={"AWS_SESSION_TOKEN": "sessiontokenvalue"}
    )
    bed.bucket.settings(identities=[{**identity, "denied": True}])
    refused(bed, DENIED, ["AccessDenied"])
    bed.bucket.settings(identities=[identity])
    output = os.path.join(bed.scratch, "out.db")
    for more in ((), ("-if-replica-exists",)):
        refused(
            bed, DENIED, [], command=("restore", *more, "-o", output),
            environment={"AWS_SECRET_ACCESS_KEY": "no"},
        )
    home = {"HOME": bed.scratch, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    refused(bed, {USAGE, DENIED}, ["AWS_ACCESS_KEY_ID"], most=0, environment=home)


@scenario
def s3_missing_bucket(bed):
    """A bucket that does not exist is no empty backup."""
    url = bed.bucket.url(bucket="nothere")
    output = os.path.join(bed.scratch, "out.db")
    refused(bed, UNREACHABLE, ["NoSuchBucket", "nothere"], url=url)
    refused(
        bed, UNREACHABLE, ["NoSuchBucket"], url=url,
        command=("restore", "-if-replica-exists", "-o", output),
    )
    # An empty bucket is one.
    refused(bed, NOTHING, ["no backup"], command=("generations",))
    ended = ask(bed, "restore", "-if-replica-exists", "-o", output)
    assert ended.code == 0, ended.text


@scenario
def s3_wrong_region(bed):
    """A region that is not the bucket's is corrected once; redirects are followed once."""
    ended = ask(bed, "generations", url=bed.bucket.url(region="eu-west-3"))
    assert ended.code == NOTHING and ended.requests <= 3, f"{ended.code}: {ended.text}"
    ended = ask(bed, "generations", url=bed.bucket.url(region=None))
    assert ended.code == NOTHING and ended.requests <= 3, f"{ended.code}: {ended.text}"
    bed.bucket.rules({
        "action": "answer", "code": "PermanentRedirect",
        "headers": {"x-amz-bucket-region": "mars-north-1"},
    })
    refused(bed, {USAGE, UNREACHABLE}, ["region"], most=3)
    bed.bucket.rules({
        "action": "answer", "code": "TemporaryRedirect",
        "headers": {"Location": "http://evil.example/"}, "extra": {"Endpoint": "evil.example"},
    })
    refused(bed, {USAGE, UNREACHABLE}, [], most=12)


@scenario
def s3_dots_in_the_bucket(bed):
    """A bucket's name with dots is addressed by path."""
    with another(bed, name="my.backup.bucket") as bucket:
        url = bucket.url(**{"force-path-style": None})
        ended = ask(bed, "generations", url=url, bucket=bucket)
        assert ended.code == NOTHING, ended.text
        paths = {entry["path"] for entry in bucket.log()}
        assert all(path.startswith("/my.backup.bucket") for path in paths), paths


@scenario
def s3_wrong_scheme(bed):
    """Plain http to a TLS port, TLS to a plain port, and a port where nobody listens."""
    certificates = certificate(bed)
    with another(
        bed, "--tls-certificate", certificates[0], "--tls-key", certificates[1]
    ) as bucket:
        plain = bucket.facts["endpoint"].replace("https:", "http:")
        refused(
            bed, UNREACHABLE, ["https"], most=12, url=bucket.url(endpoint=plain), bucket=bucket
        )
        closed = bucket.facts["endpoint"]
    secure = bed.bucket.facts["endpoint"].replace("http:", "https:")
    refused(bed, UNREACHABLE, ["http://"], most=12, url=bed.bucket.url(endpoint=secure))
    refused(bed, UNREACHABLE, ["127.0.0.1"], most=0, url=bed.bucket.url(endpoint=closed))
    nowhere = bed.bucket.url(endpoint="http://no-such-host.invalid:1")
    refused(bed, UNREACHABLE, ["no-such-host.invalid"], most=0, url=nowhere)


@scenario
def s3_unknown_ca(bed):
    """A certificate of an unknown CA: refused at once; with the CA named it works."""
    certificates = certificate(bed)
    with another(
        bed, "--tls-certificate", certificates[0], "--tls-key", certificates[1]
    ) as bucket:
        ended = refused(
            bed, UNREACHABLE, ["certificate", "ca-bundle"], most=1, url=bucket.url(),
            bucket=bucket,
        )
        assert ended.seconds < 10, f"{ended.seconds:.1f} s: it was tried again"
        url = bucket.url(**{"ca-bundle": certificates[0]})
        ended = ask(bed, "generations", url=url, bucket=bucket)
        assert ended.code == NOTHING, ended.text
        ended = ask(bed, "generations", url=bucket.url(), bucket=bucket,
                    environment={"AWS_CA_BUNDLE": certificates[0]})
        assert ended.code == NOTHING, ended.text


@scenario
def s3_clock_off(bed):
    """The store's clock is an hour off, either way: corrected with one more request."""
    for offset in (3600, -3600):
        bed.bucket.settings(clock_offset=offset)
        ended = ask(bed, "generations")
        assert ended.code == NOTHING, f"{offset}: {ended.text}"
        assert ended.requests <= 3, f"{offset}: {ended.requests} requests"
    bed.bucket.settings(clock_offset=0)


@scenario
def s3_html_answers(bed):
    """An endpoint that answers HTML, whatever the status, is no S3 and no empty backup."""
    output = os.path.join(bed.scratch, "out.db")
    restore = ("restore", "-if-replica-exists", "-o", output)
    page = "<html><head><title>Welcome</title></head><body>a & b<br></body></html>"
    for status in (200, 404, 403):
        bed.bucket.rules({"action": "answer", "status": status, "body": page})
        for command in (("generations",), restore):
            refused(bed, {UNREACHABLE, DENIED}, ["endpoint"], most=1, command=command)
    bed.bucket.rules({"action": "answer", "status": 502, "body": page})
    refused(bed, UNREACHABLE, ["502", "endpoint"], most=10, command=restore)
    assert not os.path.exists(output)


@scenario
def s3_hostile_listing(bed):
    """Listings with entities, endless nesting, 100 MB, or no end: an error and bounded memory."""
    for rule in (
        {"kind": "entities"}, {"kind": "nested", "bytes": 3_000_000},
        {"kind": "huge", "bytes": 100_000_000},
    ):
        bed.bucket.rules({"action": "hostile", "operation": "list", **rule})
        ended = refused(bed, {1, UNREACHABLE, DAMAGED}, [], most=11)
        assert ended.memory <= MEMORY_LIMIT, f"{rule}: {ended.memory / 2**20:.0f} MiB"
    endless = (
        "<ListBucketResult><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>again</NextContinuationToken></ListBucketResult>"
    )
    bed.bucket.rules({
        "action": "answer", "status": 200, "body": endless, "content_type": "application/xml",
    })
    refused(bed, {1, UNREACHABLE, DAMAGED}, [], most=12)


@scenario
def s3_storm(bed):
    """A store that always answers 500, or hangs: few requests, exit code 3."""
    bed.bucket.rules({"action": "answer", "code": "InternalError"})
    refused(bed, UNREACHABLE, ["InternalError"], most=10, seconds=120)
    bed.bucket.rules({"action": "hang", "seconds": 3})
    refused(bed, UNREACHABLE, [], most=10, seconds=120, url=bed.bucket.url(timeout="1"))

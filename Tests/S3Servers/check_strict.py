"""Checks the strict server with boto3: what is right it takes, what is wrong it refuses.

Run with the Python of .build/servers (servers.py installs it). Prints the first difference and
ends with 1, or "ok".
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError

HERE = os.path.dirname(os.path.abspath(__file__))
KEYS = [
    "a", "a b", "a+b", "a%20b", "a%2Fb", "ü/é", "a//b", "../x", "a/../b", "x=y&z", "*", "~",
    "日本", "a/b", "c:d", '"q"', "'s'", "<t>", "a\tb", "%", "//", ".", "trail/", "😀",
]


class Server:
    """The server in a process of its own, and a boto3 client."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, f"{HERE}/strict/server.py"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        self.facts = json.loads(self.process.stdout.readline())
        self.bucket = self.facts["bucket"]
        self.client = self.connect()

    def connect(self, **changes):
        config = Config(
            s3={"addressing_style": "path", "payload_signing_enabled": True},
            signature_version="s3v4", retries={"total_max_attempts": 1}, read_timeout=5,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        values = {
            "endpoint_url": self.facts["endpoint"], "region_name": self.facts["region"],
            "aws_access_key_id": self.facts["access_key"],
            "aws_secret_access_key": self.facts["secret_key"], **changes,
        }
        return boto3.client("s3", config=config, **values)

    def control(self, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(self.facts["control"] + path, body) as answer:
            return json.load(answer)

    def refused(self, operation, expected, client=None, **arguments):
        """The operation has to fail with this code."""
        try:
            getattr(client or self.client, operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            found = error.response["Error"]["Code"]
        else:
            found = "success"
        assert found == expected, f"{operation} {arguments}: {found}, expected {expected}"

    def content(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()


def objects(server):
    client, bucket = server.client, server.bucket
    for key in KEYS:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert server.content(key) == key.encode(), key
        size = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
        assert size == len(key.encode()), key
    expected = sorted(KEYS, key=str.encode)
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 3}
    )
    found = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert found == expected, found
    part = client.get_object(Bucket=bucket, Key="a b", Range="bytes=1-9")
    assert part["ContentRange"] == "bytes 1-2/3" and part["Body"].read() == b" b"
    server.refused("get_object", "InvalidRange", Key="a", Range="bytes=5-9")
    server.refused("get_object", "NoSuchKey", Key="none")
    server.refused("put_object", "PreconditionFailed", Key="a", Body=b"2", IfNoneMatch="*")
    server.refused(
        "put_object", "BadDigest", Key="a", Body=b"2", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg=="
    )
    assert server.content("a") == b"a"
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in KEYS]})
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def uploads(server):
    client, bucket = server.client, server.bucket
    data = hashlib.sha256(b"seed").digest() * (13 << 15)
    transfer = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    client.upload_fileobj(io.BytesIO(data), bucket, "large", Config=transfer)
    assert server.content("large") == data
    assert client.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    name = client.create_multipart_upload(Bucket=bucket, Key="left")["UploadId"]
    assert server.control(f"/uploads?bucket={bucket}") == ["left"]
    client.abort_multipart_upload(Bucket=bucket, Key="left", UploadId=name)
    server.refused("abort_multipart_upload", "NoSuchUpload", Key="left", UploadId=name)


def refusals(server):
    wrong = server.connect(aws_secret_access_key="wrong")
    server.refused("get_object", "SignatureDoesNotMatch", wrong, Key="large")
    unknown = server.connect(aws_access_key_id="UNKNOWN")
    server.refused("get_object", "InvalidAccessKeyId", unknown, Key="large")
    token = server.connect(aws_session_token="stale")
    server.refused("get_object", "InvalidToken", token, Key="large")
    server.control("/settings", {"clock_offset": 1000})
    server.refused("get_object", "RequestTimeTooSkewed", Key="large")
    server.control("/settings", {"clock_offset": 0})


FAULTS = [
    {"action": "answer", "code": "SlowDown"}, {"action": "reset"}, {"action": "close"},
    {"action": "lost"}, {"action": "reset_body"}, {"action": "truncate_body"},
    {"action": "hang_after_headers", "seconds": 0.5}, {"action": "corrupt_body"},
    {"action": "error_in_200"}, {"action": "drip", "bytes": 1 << 20, "seconds": 0.01},
    {"action": "slow", "seconds": 0.1}, {"action": "skew", "seconds": 60},
]


def faults(server):
    right = server.content("large")
    for rule in FAULTS:
        server.control("/rules", [{**rule, "key": "^large$", "times": 1}])
        try:
            outcome = "data" if server.content("large") == right else "other data"
        except (ClientError, HTTPClientError):
            outcome = "error"
        action = rule["action"]
        expected = (
            "data" if action in ("drip", "slow", "skew")
            else "other data" if action in ("corrupt_body", "error_in_200") else "error"
        )
        assert outcome == expected, f"{action}: {outcome}"
        assert server.content("large") == right, f"after {action}"
        assert server.control("/rules")[0]["fired"] == 1, action


def main():
    server = Server()
    try:
        for check in (objects, uploads, refusals, faults):
            check(server)
        log = server.control("/log?after=0")
        assert all(entry["number"] > 0 and "authorization" not in entry["headers"]
                   for entry in log)
    finally:
        server.process.stdin.close()
        assert server.process.wait(10) == 0
    print("ok")


if __name__ == "__main__":
    main()

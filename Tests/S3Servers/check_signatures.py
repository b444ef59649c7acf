"""Compares signatures with botocore's. Reads requests as JSON lines on standard input:

{"method", "path", "query": [[name, value]…], "headers": [[name, value]…], "payload_hash",
 "date", "region", "access_key", "secret_key", "token" if any, "url", "authorization"}

`path`, `query` and `headers` are what was meant, `url` what would be sent. Prints each
difference and ends with 1, or prints how many agreed.
"""

import json
import sys
import urllib.parse

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


# botocore sets these by itself.
OWN = ("host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256")


class FixedAuth(botocore.auth.S3SigV4Auth):
    """botocore's signer for S3, at a time of ours and with a payload hash of ours."""

    def __init__(self, *arguments, payload_hash, **named):
        super().__init__(*arguments, **named)
        self.payload_hash = payload_hash

    def payload(self, request):
        return self.payload_hash


def authorization(item):
    """What botocore would send as Authorization."""
    path = urllib.parse.quote(item["path"], safe="/~")
    query = "&".join(
        f"{urllib.parse.quote(name, safe='~')}={urllib.parse.quote(value, safe='~')}"
        for name, value in item["query"]
    )
    host = next(value for name, value in item["headers"] if name.lower() == "host")
    url = f"http://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=item["method"], url=url)
    for name, value in item["headers"]:
        if name.lower() not in OWN:
            request.headers[name] = value
    request.context["timestamp"] = item["date"]
    credentials = Credentials(item["access_key"], item["secret_key"], item.get("token"))
    signer = FixedAuth(credentials, "s3", item["region"], payload_hash=item["payload_hash"])
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders="
        f"{signer.signed_headers(signer.headers_to_sign(request))}, "
        f"Signature={signer.signature(text, request)}", canonical, url,
    )


def main():
    different = compared = 0
    for line in sys.stdin:
        item = json.loads(line)
        expected, canonical, url = authorization(item)
        compared += 1
        if expected != item["authorization"]:
            different += 1
            if different <= 3:
                print(f"{item}\nbotocore: {expected}\n{canonical}\n")
        sent = urllib.parse.urlsplit(item["url"])
        if urllib.parse.unquote(sent.path) != item["path"]:
            different += 1
            print(f"{item['path']!r} would be sent as {sent.path!r}")
    if different or not compared:
        raise SystemExit(f"{different} of {compared} signatures differ from botocore's")
    print(f"{compared} signatures agree with botocore's")


if __name__ == "__main__":
    main()

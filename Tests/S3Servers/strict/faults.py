"""Misbehaviour on command: rules that tests set through the control endpoint.

A rule is a JSON object. What it applies to: `operation`, `method`, `bucket` (equal), `key`
(a regular expression); `skip` requests that match go by first, at most `times` are hit, each
with `probability` (by `seed`). What happens is `action`:

before the request takes effect
    answer      status, code, message, headers; or a raw body and content_type, as a proxy
                or a web server sends them: without S3's headers
    reset       the connection ends with RST
    close       it ends without an answer
    hang        no answer for `seconds`, then the connection ends
    reset_upload    RST after `bytes` of the body
after it took effect
    lost        RST instead of the answer
    duplicate   the request is carried out twice; the second answer is sent
    slow        the answer comes after `seconds`
    hang_after_headers   the headers, then nothing for `seconds`
    reset_body, truncate_body    half of the body, then RST, or an orderly end
    corrupt_body     one byte of the body is another
    drip        the body in pieces of `bytes`, each after `seconds`
    error_in_200     status 200, and a body that is the error `code`
    skew        the Date header is `seconds` off
    replace     headers as they were, the body is `body`
    hostile     an XML body: kind `entities`, `nested`, or `huge` of `bytes`
"""

import random
import re

from answers import DECLARATION, STATUS, S3Error
from wire import Response

BEFORE = {"answer", "reset", "close", "hang", "reset_upload"}
AFTER = {
    "lost", "duplicate", "slow", "hang_after_headers", "reset_body", "truncate_body",
    "corrupt_body", "drip", "error_in_200", "skew", "replace", "hostile",
}


class Rule:
    """One rule and how often it matched and fired."""

    def __init__(self, fields):
        self.fields = dict(fields)
        self.action = fields["action"]
        if self.action not in BEFORE | AFTER:
            raise ValueError(f"no action {self.action!r}")
        self.key = re.compile(fields["key"]) if "key" in fields else None
        self.random = random.Random(fields.get("seed", 1))
        self.matched = 0
        self.fired = 0

    def applies(self, call):
        fields = self.fields
        wanted = fields.get("operation")
        if wanted is not None:
            if call.operation not in (wanted if isinstance(wanted, list) else [wanted]):
                return False
        if "method" in fields and fields["method"] != call.request.method:
            return False
        if "bucket" in fields and fields["bucket"] != call.bucket_name:
            return False
        return self.key is None or self.key.search(call.key or "") is not None

    def hits(self, call):
        if not self.applies(call):
            return False
        self.matched += 1
        times = self.fields.get("times")
        if self.matched <= self.fields.get("skip", 0):
            return False
        if times is not None and self.fired >= times:
            return False
        if self.random.random() >= self.fields.get("probability", 1):
            return False
        self.fired += 1
        return True

    def get(self, name, default=None):
        return self.fields.get(name, default)

    def state(self):
        return {**self.fields, "matched": self.matched, "fired": self.fired}


def choose(rules, lock, call):
    """The first rule that hits a call."""
    with lock:
        for rule in rules:
            if rule.hits(call):
                return rule
    return None


def answer(rule, call, request_id):
    """The answer of an `answer` rule."""
    headers = list(rule.get("headers", {}).items())
    if rule.get("body") is not None:
        response = Response(
            rule.get("status", 200), headers, rule.get("body").encode(),
            rule.get("content_type", "text/html"),
        )
        response.is_foreign = True
    else:
        code = rule.get("code", "InternalError")
        error = S3Error(
            code, rule.get("message", "a fault of the test"), rule.get("extra"), headers,
            rule.get("status", STATUS.get(code, 500)),
        )
        response = error.response(call.resource, request_id)
        if call.request.method == "HEAD":
            response.headers.append(("Content-Length", str(len(response.body))))
            response.body = b""
    response.code = rule.get("code")
    return response


def transform(rule, response, call, request_id):
    """The answer that is sent instead of `response`."""
    action = rule.action
    if action == "error_in_200":
        response.discard()
        error = S3Error(rule.get("code", "InternalError"), "We encountered an internal error.")
        changed = error.response(call.resource, request_id)
        changed.status = 200
        return changed
    if action == "replace":
        response.discard()
        response.body = rule.get("body", "").encode()
    if action == "hostile":
        response.discard()
        return hostile(rule)
    if action == "corrupt_body" and response.length:
        data = bytearray(response.whole())
        data[rule.get("offset", len(data) // 2) % len(data)] ^= 0x40
        response.body = bytes(data)
    return response


def hostile(rule):
    kind = rule.get("kind", "entities")
    if kind == "entities":
        lines = ['<!ENTITY a0 "highwater">']
        lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
        body = (
            DECLARATION + "<!DOCTYPE x [" + "".join(lines) + "]><ListBucketResult>"
            "<Contents><Key>&a9;</Key></Contents></ListBucketResult>"
        ).encode()
    elif kind == "nested":
        depth = rule.get("bytes", 1_000_000) // 3
        body = (DECLARATION + "<a>" * depth).encode()
    else:
        entry = (
            b"<Contents><Key>x</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            b"<ETag>&quot;0&quot;</ETag><Size>1</Size></Contents>"
        )
        total = rule.get("bytes", 100_000_000)
        body = (
            DECLARATION.encode() + b"<ListBucketResult><IsTruncated>false</IsTruncated>"
            + entry * (total // len(entry)) + b"</ListBucketResult>"
        )
    return Response(200, [], body, "application/xml")

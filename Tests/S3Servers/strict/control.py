"""The control endpoint: plain HTTP and JSON on a port of its own, unsigned.

GET  /log?after=N      requests number N+1 and later, as they were answered
GET  /stats            counts: requests, by operation, errors, connections, refused signatures
GET  /rules            the rules, and how often each matched and fired
POST /rules            a list of rules that replaces the present ones (faults.py)
POST /settings         an object of settings that change (server.py)
GET  /objects?bucket=B key, size, MD5-like ETag, headers of each object, in key order
GET  /uploads?bucket=B keys of uploads that are not complete
POST /bucket           {"name": …, "region": …}: makes a bucket
POST /damage           {"bucket", "key", "offset"}: changes one byte of a stored object
"""

import collections
import json
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faults import Rule

REFUSALS = {
    "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "XAmzContentSHA256Mismatch",
    "BadDigest", "RequestTimeTooSkewed", "InvalidAccessKeyId",
}


class ControlServer(ThreadingHTTPServer):
    """Serves the control endpoint of one strict server."""

    daemon_threads = True

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), Handler)
        self.subject = server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One request of a test."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self._reply(getattr(self, "get_" + url.path[1:])(query))

    def do_POST(self):
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        url = urllib.parse.urlsplit(self.path)
        self._reply(getattr(self, "post_" + url.path[1:])(data))

    def _reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    @property
    def subject(self):
        return self.server.subject

    def get_log(self, query):
        with self.subject.log_lock:
            return self.subject.log[int(query.get("after", "-1")) + 1 :]

    def get_stats(self, _):
        with self.subject.log_lock:
            log = list(self.subject.log)
            arrived = self.subject.arrived
        return {
            "requests": arrived,
            "operations": collections.Counter(str(e.get("operation")) for e in log),
            "errors": collections.Counter(e["error"] for e in log if e["error"]),
            "faults": collections.Counter(e["fault"] for e in log if e.get("fault")),
            "refused": sum(e["error"] in REFUSALS for e in log),
            "connections": self.subject.connections,
        }

    def get_rules(self, _):
        with self.subject.rule_lock:
            return [rule.state() for rule in self.subject.rules]

    def post_rules(self, data):
        rules = [Rule(fields) for fields in data]
        with self.subject.rule_lock:
            self.subject.rules[:] = rules
        return len(rules)

    def post_settings(self, data):
        unknown = set(data) - set(self.subject.settings)
        if unknown:
            raise ValueError(f"no settings {unknown}")
        self.subject.settings.update(data)
        return self.subject.settings

    def get_objects(self, query):
        shelf = self.subject.shelf
        with shelf.lock:
            found = sorted(shelf.buckets[query["bucket"]].objects.items())
        return [
            {"key": key, "size": o.size, "etag": o.etag, "headers": o.headers}
            for key, o in found
        ]

    def get_uploads(self, query):
        shelf = self.subject.shelf
        with shelf.lock:
            return [u.key for u in shelf.buckets[query["bucket"]].uploads.values()]

    def post_bucket(self, data):
        region = data.get("region", self.subject.settings["region"])
        self.subject.shelf.create(data["name"], region)
        return data["name"]

    def post_damage(self, data):
        shelf = self.subject.shelf
        with shelf.lock:
            stored = shelf.buckets[data["bucket"]].objects[data["key"]]
            with open(stored.path, "r+b") as f:
                f.seek(data["offset"])
                byte = f.read(1)
                f.seek(data["offset"])
                f.write(bytes([byte[0] ^ 1]))
        return True

"""The strict S3 server (Tests/S3Servers/strict) under a scenario, and how it is asked about."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER = os.path.join(os.path.dirname(HERE), "S3Servers", "strict", "server.py")
# Ways to fail, with the operations that they make sense for. Together they make a fault rate.
FAILURES = [
    {"action": "answer", "code": "InternalError", "status": 500},
    {"action": "answer", "code": "ServiceUnavailable", "status": 503},
    {"action": "reset"},
    {"action": "close"},
    {"action": "lost"},
    {"action": "reset_upload", "bytes": 100, "operation": ["put", "upload-part"]},
    {"action": "reset_body", "operation": ["get", "list"]},
    {"action": "truncate_body", "operation": ["get", "list"]},
    {"action": "error_in_200", "operation": ["complete"]},
    {"action": "answer", "code": "SlowDown", "status": 503, "headers": {"Retry-After": "0"}},
]


class Bucket:
    """A bucket of its own server. The server ends with the scenario, or with the harness."""

    def __init__(self, folder, arguments=(), name="backup"):
        self.folder = folder
        self.name = name
        os.makedirs(folder, exist_ok=True)
        self.log_file = open(os.path.join(folder, "server.log"), "ab")
        self.process = subprocess.Popen(
            [sys.executable, SERVER, "--folder", folder, "--bucket", name, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log_file, text=True,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the strict S3 server did not start; see its server.log")
        self.facts = json.loads(line)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.log_file.close()

    def url(self, prefix="app", **options):
        """The URL of a prefix in the bucket."""
        values = {
            "endpoint": self.facts["endpoint"], "region": self.facts["region"],
            "force-path-style": "true", **options,
        }
        given = {name: value for name, value in values.items() if value is not None}
        name = given.pop("bucket", self.name)
        return f"s3://{name}/{prefix}?" + urllib.parse.urlencode(given, safe=":/")

    def path(self, prefix="app"):
        """The folder in which the server keeps what is stored under a prefix."""
        return os.path.join(self.folder, self.name, prefix)

    @property
    def environment(self):
        """Variables with which a client may use the bucket."""
        return {
            "AWS_ACCESS_KEY_ID": self.facts["access_key"],
            "AWS_SECRET_ACCESS_KEY": self.facts["secret_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def control(self, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(self.facts["control"] + path, body, timeout=30) as answer:
            return json.load(answer)

    def rules(self, *rules):
        self.control("/rules", list(rules))

    def settings(self, **changes):
        self.control("/settings", changes)

    def fail(self, rate, seed=1):
        """From now on this share of all requests fails, in many ways."""
        if not rate:
            return self.rules()
        general = [rule for rule in FAILURES if "operation" not in rule]
        each = 1 - (1 - rate) ** (1 / len(general))
        return self.rules(*(
            {**rule, "probability": each, "seed": seed * 100 + number}
            for number, rule in enumerate(FAILURES)
        ))

    def log(self, after=-1):
        return self.control(f"/log?after={after}")

    def stats(self):
        return self.control("/stats")

    def requests(self):
        return self.stats()["requests"]

    def check_signatures(self):
        """No request was signed wrongly or had another content than it announced."""
        stats = self.stats()
        if stats["refused"]:
            wrong = [entry for entry in self.log() if entry["error"]]
            raise AssertionError(f"{stats['refused']} requests were refused: {wrong[:3]}")
        return stats

    def wait_quiet(self, quiet=0.5, seconds=20):
        """Until no request has come for a while; returns how many there were."""
        until = time.monotonic() + seconds
        last, since = self.requests(), time.monotonic()
        while time.monotonic() - since < quiet:
            if time.monotonic() > until:
                raise AssertionError(f"requests go on after {seconds} s: {self.log()[-3:]}")
            time.sleep(0.05)
            now = self.requests()
            if now != last:
                last, since = now, time.monotonic()
        return last

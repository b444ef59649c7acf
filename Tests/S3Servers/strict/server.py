"""A strict S3 server for tests, on 127.0.0.1 and a free port; it misbehaves on command.

server.py [--folder FOLDER] [--bucket NAME]... [--region R] [--port N]
          [--tls-certificate FILE --tls-key FILE]

Prints one line of JSON when it listens: endpoint, control, region, bucket, and keys. It ends
when its standard input ends or on SIGTERM, so it never outlives whoever started it.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import faults
from answers import S3Error
from control import ControlServer
from objects import Shelf
from operations import Call, perform
from rules import check_md5
from sigv4 import Verifier, decode, query_pairs
from wire import Connection, Disconnected

ACCESS_KEY = "STRICTACCESSKEY00001"
SECRET_KEY = "strict/Secret+Key=0123456789abcdefghijkl"


def default_settings(region):
    return {
        "region": region,
        "identities": [{"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}],
        "pedantic": True,  # which headers a client has to sign, and which it must not
        "clock_offset": 0,  # seconds that the server's clock is ahead
        "conditional": "on",  # or "unsupported" (501), or "ignored"
        "min_part_size": 5 << 20,
        "equal_parts": False,
        "page_size": 1000,  # most entries of one listing answer
        "undeletable": "",  # keys that DeleteObjects refuses, a regular expression
        "domain": "localhost",  # bucket.localhost is that bucket
    }


class StrictServer:
    """Listens, verifies, carries out, and logs every request."""

    def __init__(self, folder, region, port=0, tls=None):
        self.settings = default_settings(region)
        self.shelf = Shelf(folder)
        self.verifier = Verifier(self.settings)
        self.rules, self.rule_lock = [], threading.Lock()
        self.log, self.log_lock = [], threading.Lock()
        self.connections = 0
        self.arrived = 0  # requests, also those that are not answered yet
        self.tls = tls
        self.stopping = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self.socket.getsockname()[1]

    @property
    def endpoint(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(
                target=self._serve_connection, args=(sock, self.connections), daemon=True
            ).start()

    def _serve_connection(self, sock, number):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self._note({"connection": number, "status": 0, "error": f"TLS: {error}"})
            sock.close()
            return
        connection = Connection(sock, number, self.shelf.staging)
        try:
            while self._serve_request(connection):
                pass
        except (Disconnected, OSError):
            pass
        finally:
            connection.close()

    def _serve_request(self, connection):
        """One request; whether the connection goes on."""
        request = connection.read_head()
        if request is None:
            return False
        with self.log_lock:
            self.arrived += 1
        entry = {
            "connection": connection.number, "time": time.time(), "method": request.method,
            "target": request.target, "path": request.path, "status": 0, "request_bytes": 0,
            "response_bytes": 0, "headers": dict(request.headers), "error": None, "fault": None,
        }
        entry["headers"].pop("authorization", None)
        started = time.monotonic()
        try:
            return self._answer(connection, request, entry)
        except Disconnected as error:
            entry["error"] = entry["error"] or f"disconnected: {error}"
            raise
        finally:
            if request.body is not None:
                request.body.discard()
            entry["ms"] = round((time.monotonic() - started) * 1e3, 3)
            self._note(entry)

    def _answer(self, connection, request, entry):
        request_id = f"{self.shelf.next_serial():016X}"
        call, rule = None, None
        try:
            call = self._call(request)
            entry["operation"], entry["key"] = call.operation, call.key
            expected, length = self._check_head(request, call)
            rule = faults.choose(self.rules, self.rule_lock, call)
            if rule is not None:
                entry["fault"] = rule.get("name", rule.action)
                if rule.action in faults.BEFORE:
                    return self._fault_before(connection, request, call, rule, entry, request_id)
            self._read_body(connection, request, length, expected, entry)
            response = perform(self.shelf, self.settings, call)
            if rule is not None and rule.action == "duplicate":
                response = self._again(call, response)
        except S3Error as error:
            resource = call.resource if call else request.path
            response = error.response(resource, request_id)
            entry["error"] = error.code
            if request.method == "HEAD":
                response.headers.append(("Content-Length", str(len(response.body))))
                response.body = b""
            if request.body is None:
                response.closes = not self._skip_body(connection, request)
        if rule is not None and rule.action in faults.AFTER:
            response = faults.transform(rule, response, call, request_id)
            if rule.action == "lost":
                entry["status"], entry["lost"] = response.status, True
                response.discard()
                connection.reset()
                return False
        return self._send(connection, request, response, rule, entry, request_id)

    def _call(self, request):
        if not request.path.startswith("/"):
            raise S3Error("InvalidURI", "the target is not a path")
        host = (request.get("host") or "").rpartition(":")[0] or (request.get("host") or "")
        try:
            path = decode(request.path).decode("utf-8")
            query = {
                name.decode("utf-8"): value.decode("utf-8")
                for name, value in query_pairs(request.query)
            }
        except UnicodeDecodeError:
            raise S3Error("InvalidURI", "the target is not UTF-8") from None
        domain = "." + self.settings["domain"]
        if host.endswith(domain):
            return Call(request, host[: -len(domain)], path[1:], query)
        bucket, _, key = path[1:].partition("/")
        return Call(request, bucket, key, query)

    def _check_head(self, request, call):
        """Signature, length, and the payload hash that the body has to have."""
        bucket = self.shelf.buckets.get(call.bucket_name)
        region = bucket.region if bucket else self.settings["region"]
        expected = self.verifier.check(request, region, self.tls is not None)
        if request.get("transfer-encoding"):
            raise S3Error("NotImplemented", "a length is needed, chunks are not taken")
        text = request.get("content-length")
        if text is None:
            if request.method in ("PUT", "POST"):
                raise S3Error("MissingContentLength", "You must provide Content-Length.")
            return expected, 0
        if not text.isdigit():
            raise S3Error("InvalidArgument", "Content-Length is not a number")
        return expected, int(text)

    @staticmethod
    def _read_body(connection, request, length, expected, entry):
        body = connection.read_body(request, length)
        entry["request_bytes"] = body.size
        if expected is not None and body.sha256 != expected:
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        check_md5(request)

    @staticmethod
    def _skip_body(connection, request):
        """Whether the connection can go on after a body that was not read."""
        text = request.get("content-length") or "0"
        if (request.get("expect") or "").lower() == "100-continue":
            return False
        return text.isdigit() and connection.drain(int(text))

    def _again(self, call, response):
        """Carries out a request whose delivery was doubled."""
        if call.request.body is not None and call.operation in ("put", "upload-part"):
            # The body was moved into its place; a second delivery would bring the same bytes.
            if call.request.get("if-none-match") is None:
                return response
            response.discard()
            raise S3Error("PreconditionFailed", "the first delivery has stored it already")
        response.discard()
        return perform(self.shelf, self.settings, call)

    def _fault_before(self, connection, request, call, rule, entry, request_id):
        if rule.action == "answer":
            response = faults.answer(rule, call, request_id)
            response.closes = not self._skip_body(connection, request)
            entry["error"] = rule.get("code")
            return self._send(connection, request, response, None, entry, request_id)
        if rule.action == "hang":
            self.stopping.wait(rule.get("seconds", 60))
        if rule.action == "reset_upload":
            connection.input.read(rule.get("bytes", 1))
        entry["lost"] = True
        if rule.action in ("reset", "reset_upload"):
            connection.reset()
        return False

    def _send(self, connection, request, response, rule, entry, request_id):
        if not response.is_foreign:
            response.headers += [
                ("x-amz-request-id", request_id), ("x-amz-id-2", request_id[::-1]),
            ]
        action = rule.action if rule else None
        if action == "slow":
            self.stopping.wait(rule.get("seconds", 1))
        date = time.time() + self.settings["clock_offset"]
        if action == "skew":
            date += rule.get("seconds", 3600)
        closes = response.closes or not request.keeps_alive or self.stopping.is_set()
        entry["status"] = response.status
        connection.send(connection.head_bytes(response, date, closes))
        if request.method == "HEAD":
            response.discard()
            return not closes
        if action == "hang_after_headers":
            response.discard()
            self.stopping.wait(rule.get("seconds", 60))
            return False
        limit = response.length // 2 if action in ("reset_body", "truncate_body") else None
        for piece in response.pieces():
            if limit is not None:
                piece = piece[: limit - entry["response_bytes"]]
            if action == "drip":
                self._drip(connection, piece, rule)
            elif piece:
                connection.send(piece)
            entry["response_bytes"] += len(piece)
        if limit is not None:
            if action == "reset_body":
                connection.reset()
            return False
        return not closes

    def _drip(self, connection, piece, rule):
        size = rule.get("bytes", 1)
        for start in range(0, len(piece), size):
            self.stopping.wait(rule.get("seconds", 0.1))
            connection.send(piece[start : start + size])

    def _note(self, entry):
        with self.log_lock:
            entry["number"] = len(self.log)
            self.log.append(entry)

    def stop(self):
        self.stopping.set()
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder")
    parser.add_argument("--bucket", action="append", default=[])
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls-certificate")
    parser.add_argument("--tls-key")
    options = parser.parse_args()
    tls = None
    if options.tls_certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls_certificate, options.tls_key)
    folder = options.folder or tempfile.mkdtemp(prefix="highwater-strict-s3-")
    server = StrictServer(os.path.abspath(folder), options.region, options.port, tls)
    for bucket in options.bucket or ["bucket"]:
        server.shelf.create(bucket, options.region)
    control = ControlServer(server)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    threading.Thread(target=control.serve_forever, daemon=True).start()
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    print(json.dumps({
        "endpoint": server.endpoint, "control": control.url, "region": options.region,
        "bucket": (options.bucket or ["bucket"])[0], "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY, "folder": folder, "pid": os.getpid(),
    }), flush=True)
    server.serve()
    if not options.folder:
        shutil.rmtree(folder, ignore_errors=True)


def _stop_at_end_of_input(server):
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    server.stop()


if __name__ == "__main__":
    main()

"""HTTP/1.1 on a socket, byte for byte: what was sent is what the rest of the server sees.

Python's own server normalises targets and merges headers; a server that checks signatures must
not. One request at a time on a connection, bodies by Content-Length only.
"""

import email.utils
import hashlib
import os
import socket
import struct
import tempfile

LINE_LIMIT = 16 * 1024
HEADER_LIMIT = 100
MEMORY_LIMIT = 1 << 20
CHUNK = 256 * 1024


class Disconnected(Exception):
    """The client went away, or what it sends is no HTTP."""


class Body:
    """A request's body: in memory while small, else in a file; hashed while it arrives."""

    def __init__(self, folder):
        self.folder = folder
        self.size = 0
        self.parts = []
        self.file = None
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5()

    def append(self, piece):
        self.size += len(piece)
        self._sha256.update(piece)
        self._md5.update(piece)
        if self.file is None and self.size <= MEMORY_LIMIT:
            self.parts.append(piece)
            return
        if self.file is None:
            self.file = tempfile.NamedTemporaryFile(dir=self.folder, delete=False)
            for part in self.parts:
                self.file.write(part)
            self.parts = []
        self.file.write(piece)

    @property
    def sha256(self):
        return self._sha256.hexdigest()

    @property
    def md5(self):
        return self._md5.digest()

    def data(self):
        """All bytes, for bodies that are documents."""
        if self.file is None:
            return b"".join(self.parts)
        self.file.flush()
        with open(self.file.name, "rb") as f:
            return f.read()

    def move_to(self, path):
        """Makes the body the file at `path`."""
        if self.file is not None:
            self.file.close()
            os.replace(self.file.name, path)
            self.file, self.parts = None, []
            return
        staged = tempfile.NamedTemporaryFile(dir=self.folder, delete=False)
        with staged:
            staged.write(b"".join(self.parts))
        os.replace(staged.name, path)

    def discard(self):
        if self.file is not None:
            self.file.close()
            if os.path.exists(self.file.name):
                os.remove(self.file.name)
            self.file = None


class Request:
    """A request's head as it was sent, and later its body."""

    def __init__(self, method, target, headers):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.has_query = "?" in target
        self.headers = headers
        self.body = None

    def values(self, name):
        return [value for key, value in self.headers if key == name]

    def get(self, name, default=None):
        found = self.values(name)
        return ",".join(found) if found else default


class Response:
    """A status, headers, and a body: bytes, or (open file, offset, length)."""

    def __init__(self, status, headers=(), body=b"", content_type=None):
        self.status = status
        self.headers = list(headers)
        if content_type:
            self.headers.append(("Content-Type", content_type))
        self.body = body
        self.closes = False
        self.code = None
        self.is_foreign = False  # an answer of something that is no S3 server

    @property
    def length(self):
        if isinstance(self.body, tuple):
            return self.body[2]
        return len(self.body)

    def pieces(self):
        if not isinstance(self.body, tuple):
            for start in range(0, len(self.body), CHUNK):
                yield bytes(self.body[start : start + CHUNK])
            return
        file, offset, length = self.body
        with file:
            file.seek(offset)
            while length > 0:
                piece = file.read(min(CHUNK, length))
                if not piece:
                    raise Disconnected(f"{file.name} became shorter")
                length -= len(piece)
                yield piece

    def discard(self):
        """Lets go of a body that is not going to be sent."""
        if isinstance(self.body, tuple):
            self.body[0].close()

    def whole(self):
        return b"".join(self.pieces())


REASONS = {
    100: "Continue", 200: "OK", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 304: "Not Modified", 307: "Temporary Redirect",
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    409: "Conflict", 411: "Length Required", 412: "Precondition Failed",
    416: "Range Not Satisfiable", 417: "Expectation Failed", 429: "Too Many Requests",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable",
}


class Connection:
    """One client's connection."""

    def __init__(self, sock, number, folder):
        self.socket = sock
        self.number = number
        self.folder = folder
        self.input = sock.makefile("rb", buffering=64 * 1024)
        self.requests = 0

    def read_head(self):
        """The next request's head; None when the client is done."""
        line = self._line()
        if line is None:
            return None
        parts = line.split(" ")
        if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise Disconnected(f"not a request line: {line[:100]!r}")
        headers = []
        while True:
            text = self._line()
            if text is None:
                raise Disconnected("the head ends early")
            if text == "":
                break
            if text[0] in " \t" and headers:
                name, value = headers[-1]
                headers[-1] = (name, value + " " + text.strip(" \t"))
                continue
            name, colon, value = text.partition(":")
            if not colon or not name or name != name.strip():
                raise Disconnected(f"not a header: {text[:100]!r}")
            headers.append((name.lower(), value.strip(" \t")))
            if len(headers) > HEADER_LIMIT:
                raise Disconnected("too many headers")
        self.requests += 1
        request = Request(parts[0], parts[1], headers)
        request.keeps_alive = parts[2] == "HTTP/1.1" and (
            (request.get("connection") or "").lower() != "close"
        )
        return request

    def _line(self):
        raw = self.input.readline(LINE_LIMIT + 1)
        if not raw:
            return None
        if not raw.endswith(b"\r\n"):
            raise Disconnected("a line of the head does not end with CR LF")
        return raw[:-2].decode("latin-1")

    def read_body(self, request, length):
        """Reads the body; a client that waits for leave gets it."""
        if (request.get("expect") or "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = Body(self.folder)
        request.body = body
        while body.size < length:
            piece = self.input.read(min(CHUNK, length - body.size))
            if not piece:
                body.discard()
                raise Disconnected(f"a body of {length} bytes ended after {body.size}")
            body.append(piece)
        return body

    def drain(self, length):
        """Reads a small body that nobody wants, so that the connection can go on."""
        if length > MEMORY_LIMIT:
            return False
        self.input.read(length)
        return True

    def head_bytes(self, response, date, closes):
        lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        if not any(name.lower() == "date" for name, _ in response.headers):
            lines.append("Date: " + email.utils.formatdate(date, usegmt=True))
        has_length = any(name.lower() == "content-length" for name, _ in response.headers)
        if not has_length and response.status not in (204, 304):
            lines.append(f"Content-Length: {response.length}")
        if closes:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Disconnected(str(error)) from None

    def reset(self):
        """Ends the connection with RST, as a crashed host or an impatient middlebox does."""
        try:
            self.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        except OSError:
            pass
        self.close(gracefully=False)

    def close(self, gracefully=True):
        try:
            if gracefully:
                self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        for thing in (self.input, self.socket):
            try:
                thing.close()
            except OSError:
                pass

"""The exact committed state of a WAL database, read from its bytes with code of its own.

This module never opens SQLite: a process that holds SQLite connections must not open the database
file by other means, because closing it would drop all its POSIX locks. So writers run `Recorder`,
which talks to this program in a process of its own.

State of a database = page count N and N pages; the lock page counts as zero. Pages come from the
newest frame at or below mxFrame (as the WAL-index header says), else from the database file.
Whoever asks for an image must keep other writers from committing meanwhile; checkpoints by
anybody do not matter.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import time

HASH_SIZE = 16
_zero_hashes = {}
_zeros = {}


def page_hash(page):
    """16 bytes that stand for a page's content."""
    size = len(page)
    if size not in _zeros:
        _zeros[size] = bytes(size)
        _zero_hashes[size] = hashlib.blake2b(_zeros[size], digest_size=HASH_SIZE).digest()
    if page == _zeros[size]:
        return _zero_hashes[size]
    return hashlib.blake2b(page, digest_size=HASH_SIZE).digest()


def digest(page_size, hashes):
    """One text for a whole state: page size, page count and all page hashes."""
    return f"{page_size}:{len(hashes)}:" + hashlib.sha256(b"".join(hashes)).hexdigest()[:32]


def lock_page(page_size):
    return 0x40000000 // page_size + 1


def header_page_size(head):
    size = struct.unpack(">H", head[16:18])[0]
    return 65536 if size == 1 else size


def file_state(path):
    """Page size and page hashes of a database file that has no WAL (a restored one)."""
    with open(path, "rb") as f:
        head = f.read(100)
        if len(head) < 100 or head[:16] != b"SQLite format 3\0":
            raise ValueError(f"{path} is not a database: {head[:16]!r}")
        page_size = header_page_size(head)
        f.seek(0)
        hashes = []
        while page := f.read(page_size):
            if len(page) != page_size:
                raise ValueError(f"{path}: {len(page)} bytes after page {len(hashes)}")
            hashes.append(page_hash(page))
    return page_size, hashes


class NotSteady(Exception):
    """Somebody committed or reset the WAL while the image was taken."""


class Imager:
    """Takes images of one database, again and again."""

    def __init__(self, path):
        self.path = path
        self.salts = None
        self.parsed = 0
        self.frames = {}

    def capture(self):
        """(page size, list of pages as bytes)"""
        for _ in range(2000):
            try:
                return self._capture()
            except NotSteady:
                time.sleep(0.0005)
        raise RuntimeError(f"{self.path}: the WAL never came to rest")

    def _index_header(self):
        try:
            with open(self.path + "-shm", "rb") as f:
                data = f.read(96)
        except FileNotFoundError:
            return None
        if len(data) < 96:
            return None
        if data[:48] != data[48:96]:
            raise NotSteady
        change, init = struct.unpack_from("=IB", data, 8)
        frame_count, page_count = struct.unpack_from("=II", data, 16)
        return change, init, frame_count, page_count, data[32:40]

    def _wal_mark(self, wal):
        if wal is None:
            return None
        return os.pread(wal, 32, 0), os.fstat(wal).st_size

    def _capture(self):
        index = self._index_header()
        wal = None
        try:
            wal = os.open(self.path + "-wal", os.O_RDONLY)
        except FileNotFoundError:
            pass
        try:
            mark = self._wal_mark(wal)
            with open(self.path, "rb") as f:
                data = f.read()
            page_size = header_page_size(data)
            page_count = len(data) // page_size
            frames = {}
            if index is not None and index[1] and index[3]:
                page_count = index[3]
                if index[2]:
                    frames = self._frame_map(wal, page_size, index)
            pages = self._overlay(wal, data, page_size, page_count, frames)
            if self._index_header() != index or self._wal_mark(wal) != mark:
                raise NotSteady
            return page_size, pages
        finally:
            if wal is not None:
                os.close(wal)

    def _frame_map(self, wal, page_size, index):
        """Newest frame of each page, frames 1 to mxFrame."""
        _, _, frame_count, page_count, salts = index
        if wal is None:
            raise NotSteady
        if self.salts != salts or self.parsed > frame_count:
            self.salts, self.parsed, self.frames = salts, 0, {}
        for frame in range(self.parsed + 1, frame_count + 1):
            head = os.pread(wal, 24, 32 + (frame - 1) * (24 + page_size))
            # Salts and checksums are not looked at: SQLite 3.40.1 commits frames without them
            # after a ROLLBACK TO of spilled pages (scenario unchecked_frames), and its readers
            # see those frames all the same.
            if len(head) < 24 or head[:4] == b"\0\0\0\0":
                self.salts = None
                raise NotSteady
            self.frames[struct.unpack(">I", head[:4])[0]] = frame
            if frame == frame_count and struct.unpack(">I", head[4:8])[0] != page_count:
                self.salts = None
                raise NotSteady
        self.parsed = frame_count
        return self.frames

    def _overlay(self, wal, data, page_size, page_count, frames):
        pages = []
        empty = bytes(page_size)
        for number in range(1, page_count + 1):
            frame = frames.get(number)
            if number == lock_page(page_size):
                page = empty
            elif frame is not None:
                offset = 32 + (frame - 1) * (24 + page_size) + 24
                page = os.pread(wal, page_size, offset)
                if len(page) != page_size:
                    raise NotSteady
            else:
                page = data[(number - 1) * page_size : number * page_size].ljust(page_size, b"\0")
            pages.append(page)
        return pages


class Records:
    """The folder in which images are recorded: `records.jsonl` and one file of hashes each."""

    def __init__(self, folder):
        self.folder = folder
        self._known, self._offset = [], 0
        os.makedirs(os.path.join(folder, "hashes"), exist_ok=True)

    @property
    def path(self):
        return os.path.join(self.folder, "records.jsonl")

    def load(self):
        """All records so far, those of other processes too."""
        try:
            with open(self.path, "rb") as f:
                f.seek(self._offset)
                data = f.read()
        except FileNotFoundError:
            return self._known
        end = data.rfind(b"\n") + 1
        self._known += [json.loads(line) for line in data[:end].splitlines()]
        self._offset += end
        return self._known

    def append(self, seq, label, page_size, pages, whole=False):
        hashes = [page_hash(page) for page in pages]
        state = digest(page_size, hashes)
        known = self.load()
        if known and known[-1]["digest"] == state:
            return known[-1]["index"]
        index = len(known)
        with open(os.path.join(self.folder, "hashes", str(index)), "wb") as f:
            f.write(b"".join(hashes))
        if whole:
            with open(os.path.join(self.folder, f"whole-{index}.db"), "wb") as f:
                f.writelines(pages)
        record = {
            "index": index, "seq": seq, "label": label, "digest": state,
            "page_size": page_size, "pages": len(pages), "time": time.time(),
        }
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(record) + "\n")
        return index

    def hashes(self, index):
        with open(os.path.join(self.folder, "hashes", str(index)), "rb") as f:
            data = f.read()
        return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


class Recorder:
    """A process of its own that records images when a writer asks it to."""

    def __init__(self, path, folder):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), path, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, close_fds=True,
        )

    def record(self, seq, label="", whole=False):
        self.process.stdin.write(json.dumps({"seq": seq, "label": label, "whole": whole}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the imager ended")
        return int(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    path, folder = sys.argv[1:3]
    imager, records = Imager(path), Records(folder)
    for line in sys.stdin:
        request = json.loads(line)
        page_size, pages = imager.capture()
        index = records.append(
            request["seq"], request["label"], page_size, pages, request.get("whole", False)
        )
        print(index, flush=True)


if __name__ == "__main__":
    main()

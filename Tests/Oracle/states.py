"""All states of a generation in one pass, read from a store's folder by docs/FORMAT.md alone.

`walk(store, generation)` yields the state that the generation begins with, its base snapshot or a
state of its parent, and the one after each commit of the chain. Every checksum, hash and digest on
the way is checked.
"""

import json
import os
import struct
from dataclasses import dataclass

import xxhash
import zstandard

HEADER, FOOTER, BLOCK = 144, 144, 48
META, CONTENT, MEMBERS = 1, 2, 3
WHOLE, XOR, REMOVED, REMOVED_BARE, COMMIT = 1, 2, 3, 4, 16
LOW = (1 << 64) - 1
ALL = (1 << 128) - 1


class FormatError(AssertionError):
    """An object in the store is not what docs/FORMAT.md says."""


def need(condition, path, what):
    if not condition:
        raise FormatError(f"{path}: {what}")


def hash_of(page, number):
    return xxhash.xxh3_128_intdigest(page, seed=number)


@dataclass
class Segment:
    """One object: its header and footer, and its decompressed streams."""

    path: str
    page_size: int
    low: int
    high: int
    link: bytes | None
    digest_before: int | None
    count_before: int
    count_after: int
    digest_after: int | None
    checksum: bytes
    blocks: list
    data: bytes

    def stream(self, kind):
        return b"".join(raw for block, raw in self.raw(kind))

    def raw(self, kind):
        """(block, decompressed bytes) of the blocks of one kind, in the table's order."""
        for block in self.blocks:
            if block[0] == kind:
                _, _, offset, stored, raw, check, _, _ = block
                part = self.data[offset : offset + stored]
                need(xxhash.xxh3_64_intdigest(part) == check, self.path, "block checksum")
                yield block, zstandard.ZstdDecompressor().decompress(part, max_output_size=raw)


def read_segment(path):
    with open(path, "rb") as f:
        data = f.read()
    need(len(data) >= HEADER + FOOTER, path, "too short")
    head, foot = data[:HEADER], data[-FOOTER:]
    need(head[:8] == b"HWsegm\x1a\n" and foot[136:] == b"HWend\x1a\n\0", path, "magic")
    (version,) = struct.unpack_from("<H", head, 8)
    need(version == 1, path, f"version {version}")
    (check,) = struct.unpack_from("<Q", head, 136)
    need(xxhash.xxh3_64_intdigest(head[:136]) == check, path, "header checksum")
    (check,) = struct.unpack_from("<Q", foot, 128)
    need(xxhash.xxh3_64_intdigest(foot[:128]) == check, path, "footer checksum")
    offset, length, count, check = struct.unpack_from("<QIIQ", foot, 0)
    table = data[offset : offset + length]
    need(xxhash.xxh3_64_intdigest(table) == check, path, "block table checksum")
    need(length == count * BLOCK, path, "block table length")
    blocks = [struct.unpack_from("<B3xIQIIQQQ", table, n * BLOCK) for n in range(count)]
    whole = xxhash.xxh3_128_intdigest(data[: len(data) - FOOTER + 112])
    need(whole == int.from_bytes(foot[112:128], "little"), path, "segment checksum")
    return segment_of(path, head, foot, blocks, data)


def segment_of(path, head, foot, blocks, data):
    """A segment from its header and footer; `blocks` may lie anywhere in `data`."""
    page_size, low = struct.unpack_from("<IQ", head, 12)
    (high,) = struct.unpack_from("<Q", foot, 24)
    (flags,) = struct.unpack_from("<I", head, 68)
    count_after, foot_flags = struct.unpack_from("<II", foot, 64)
    return Segment(
        path, page_size, low, high,
        head[32:48] if flags & 2 else None,
        int.from_bytes(head[48:64], "little") if flags & 1 else None,
        struct.unpack_from("<I", head, 64)[0],
        count_after,
        int.from_bytes(foot[48:64], "little") if foot_flags & 1 else None,
        foot[112:128], blocks, data,
    )


def members_of(pack):
    """The log segments in a pack (§13), each with its own blocks."""
    ends, result = pack.stream(MEMBERS), []
    blocks = [block for block in pack.blocks if block[0] != MEMBERS]
    for start in range(0, len(ends), HEADER + FOOTER):
        head = ends[start : start + HEADER]
        foot = ends[start + HEADER : start + HEADER + FOOTER]
        (count,) = struct.unpack_from("<I", foot, 12)
        need(head[10] == 1 and len(blocks) >= count, pack.path, "member")
        result.append(segment_of(pack.path, head, foot, blocks[:count], pack.data))
        blocks = blocks[count:]
    need(not blocks and result[-1].high == pack.high, pack.path, "members do not fill the pack")
    return result


def level_pages(level):
    """(page number, low hash before or None, page or None) of a level (§14)."""
    meta, content, position = level.stream(META), level.stream(CONTENT), 0
    for place in range(0, len(meta), 24):
        kind, flags, _, number, pre, _ = struct.unpack_from("<BBHIQQ", meta, place)
        need(kind in (WHOLE, REMOVED_BARE), level.path, "record type")
        page = None
        if kind == WHOLE:
            page = content[position : position + level.page_size]
            position += level.page_size
        yield number, pre if flags & 1 else None, page
    need(position == len(content), level.path, "content is left over")


class State:
    """Pages, their hashes and the running digest of one database."""

    def __init__(self, page_size):
        self.page_size = page_size
        self.lock_page = 0x40000000 // page_size + 1
        self.zero = bytes(page_size)
        self.pages, self.hashes, self.digest = [], [], 0

    def resize(self, count):
        for number in range(len(self.pages) + 1, count + 1):
            self.pages.append(self.zero)
            self.hashes.append(0)
        for value in self.hashes[count:]:
            self.digest = self.digest - value & ALL
        del self.pages[count:], self.hashes[count:]

    def put(self, number, page):
        value = hash_of(page, number)
        self.digest = self.digest - self.hashes[number - 1] + value & ALL
        self.pages[number - 1], self.hashes[number - 1] = page, value


def load_snapshot(segment):
    """The state in a snapshot, and per page the TXID of its slice."""
    state = State(segment.page_size)
    state.resize(segment.count_after)
    slices = {}
    hashes = {}
    for (_, count, _, _, _, _, first, _), raw in segment.raw(META):
        numbers = consecutive(first, count, state.lock_page)
        hashes.update(zip(numbers, struct.unpack(f"<{count}Q", raw)))
    for (_, count, _, _, _, _, first, txid), raw in segment.raw(CONTENT):
        need(len(raw) == count * segment.page_size, segment.path, "content length")
        for n, number in enumerate(consecutive(first, count, state.lock_page)):
            page = raw[n * segment.page_size : (n + 1) * segment.page_size]
            state.put(number, page)
            need(state.hashes[number - 1] & LOW == hashes[number], segment.path, "page hash")
            slices[number] = txid
    need(len(slices) == present(state), segment.path, f"{len(slices)} pages")
    return state, slices


def consecutive(first, count, lock_page):
    numbers = [n for n in range(first, first + count + 1) if n != lock_page]
    return numbers[:count]


def present(state):
    return len(state.pages) - (1 if len(state.pages) >= state.lock_page else 0)


def chain(base, segments):
    """The longest run of log segments that link to one another, from TXID `base` on."""
    by_first = {}
    for segment in segments:
        by_first.setdefault(segment.low, []).append(segment)
    best = []
    open_paths = [([], base, None)]
    while open_paths:
        path, high, checksum = open_paths.pop()
        if not best or high > best[-1].high:
            best = path
        for segment in by_first.get(high + 1, []):
            if segment.link == checksum:
                open_paths.append((path + [segment], segment.high, segment.checksum))
    return best


def apply_commit(state, records, content, position, commit, path):
    """One commit's page records; returns the position in the content stream after them."""
    count = commit[3]
    before = len(state.pages)
    where = f"{path}, TXID {commit[4]:016x}"
    if count > before:
        state.resize(count)
    seen = set()
    for kind, flags, _, number, pre, result in records:
        need(number not in seen and number != state.lock_page, where, f"page {number}")
        seen.add(number)
        page = b""
        if kind != REMOVED_BARE:
            page = content[position : position + state.page_size]
            position += state.page_size
            need(len(page) == state.page_size, where, "content ends early")
        if kind in (REMOVED, REMOVED_BARE):
            need(count < number <= before, where, f"page {number} is not removed")
            if kind == REMOVED:
                need(page == state.pages[number - 1], where, f"removed page {number}")
            continue
        need(number <= count, where, f"page {number} of {count}")
        old = state.zero if flags & 2 else state.pages[number - 1]
        need(bool(flags & 2) == (number > before), where, f"new flag of page {number}")
        if flags & 1:
            need(hash_of(old, number) & LOW == pre, where, f"pre-image of page {number}")
        if kind == XOR:
            size = state.page_size
            mixed = int.from_bytes(page, "little") ^ int.from_bytes(old, "little")
            page = mixed.to_bytes(size, "little")
        state.put(number, page)
        need(state.hashes[number - 1] & LOW == result, where, f"result of page {number}")
    grown = set(range(before + 1, count + 1)) - {state.lock_page}
    removed = set(range(count + 1, before + 1)) - {state.lock_page}
    need(grown <= seen and removed <= seen, where, "pages of growth or shrinking are not listed")
    state.resize(count)
    if commit[1] & 1:
        digest = int.from_bytes(commit[9], "little")
        need(state.digest == digest, where, "digest after the commit")
    return position


def commits_of(segment):
    """(commit record, its page records) in order."""
    meta, position, records = segment.stream(META), 0, []
    while position < len(meta):
        if meta[position] == COMMIT:
            commit = struct.unpack_from("<BBHIQqqII16s", meta, position)
            position += 56
            need(commit[7] == len(records), segment.path, "number of page records")
            yield commit, records
            records = []
        else:
            need(WHOLE <= meta[position] <= REMOVED_BARE, segment.path, "record type")
            records.append(struct.unpack_from("<BBHIQQ", meta, position))
            position += 24
    need(not records, segment.path, "page records without a commit")


class Levels:
    """The levels of a generation, compared with what the log says at both ends."""

    def __init__(self, root):
        self.starts, self.ends = {}, {}
        for level in range(1, 255):
            folder = os.path.join(root, f"{level:02x}")
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
                if name.endswith(".level"):
                    segment = read_segment(os.path.join(folder, name))
                    self.starts.setdefault(segment.low - 1, []).append(segment)

    def compare(self, state, txid):
        for level, before in self.ends.pop(txid, []):
            pages = before + [None] * (level.count_after - len(before))
            for number, pre, page in level_pages(level):
                old = pages[number - 1]
                need((pre is None) == (old is None), level.path, f"page {number} is new or not")
                need(pre is None or hash_of(old, number) & LOW == pre, level.path, "hash before")
                pages[number - 1] = page
            del pages[level.count_after :]
            if level.count_after >= state.lock_page:
                pages[state.lock_page - 1] = state.zero
            need(pages == state.pages, level.path, "the pages are not those at its end")
            need(level.digest_after == state.digest, level.path, "digest after")
        for level in self.starts.pop(txid, []):
            need(level.count_before == len(state.pages), level.path, "page count before")
            need(level.digest_before == state.digest, level.path, "digest before")
            self.ends.setdefault(level.high, []).append((level, list(state.pages)))


class Slices:
    """A snapshot that was taken in slices becomes a state by the commits between them (§6)."""

    def __init__(self, low=0, high=0, as_of=None):
        self.low, self.high, self.as_of = low, high, as_of or {}

    def apply(self, state, records, content, position, txid):
        """The pages whose slice is older than the commit; the rest have it already."""
        for kind, flags, _, number, pre, result in records:
            page = b""
            if kind != REMOVED_BARE:
                page = content[position : position + state.page_size]
                position += state.page_size
            if txid <= self.as_of.get(number, self.high):
                continue
            where = f"page {number} of a slice, TXID {txid:016x}"
            old = state.zero if flags & 2 else state.pages[number - 1]
            need(not flags & 1 or hash_of(old, number) & LOW == pre, where, "pre-image")
            if kind in (REMOVED, REMOVED_BARE):
                page = state.zero
            elif kind == XOR:
                mixed = int.from_bytes(page, "little") ^ int.from_bytes(old, "little")
                page = mixed.to_bytes(state.page_size, "little")
            state.put(number, page)
            if kind in (WHOLE, XOR):
                need(state.hashes[number - 1] & LOW == result, where, "result")
        return position


def base_of(store, generation):
    """What a generation begins with, as (state, slices)."""
    root = os.path.join(store, "highwater-1", generation)
    folder = os.path.join(root, "ff")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    snapshots = [name for name in names if name.endswith(".snapshot")]
    with open(os.path.join(root, "generation.json"), encoding="utf-8") as f:
        parent = json.load(f).get("parent")
    if parent:
        wanted = int(parent["txid"], 16)
        for txid, page_size, pages, _ in walk(store, parent["generation"]):
            if txid == wanted:
                state = State(page_size)
                state.resize(len(pages))
                for number in consecutive(1, present(state), state.lock_page):
                    state.put(number, pages[number - 1])
                return state, Slices(wanted, wanted)
        raise FormatError(f"{root}: the parent has no state {parent['txid']}")
    need(snapshots, root, "no snapshot")
    base = read_segment(os.path.join(folder, snapshots[0]))
    state, slices = load_snapshot(base)
    if base.low == base.high:
        need(base.digest_after in (None, state.digest), base.path, "digest")
    return state, Slices(base.low, base.high, slices)


def logs_of(root):
    """The log segments of a generation, those in packs, too."""
    folder = os.path.join(root, "00")
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    logs = {}
    for name in names:
        if name.endswith((".log", ".pack")):
            segment = read_segment(os.path.join(folder, name))
            for member in members_of(segment) if name.endswith(".pack") else [segment]:
                logs[member.checksum] = member
    return logs.values()


def walk(store, generation):
    """Every state of a generation as (TXID, page size, pages, whether a bridge leads to it)."""
    root = os.path.join(store, "highwater-1", generation)
    state, base = base_of(store, generation)
    last = base.low
    levels = Levels(root)
    if last == base.high:
        levels.compare(state, last)
        yield last, state.page_size, list(state.pages), False
    for segment in chain(last, logs_of(root)):
        if last >= base.high:
            need(segment.count_before == len(state.pages), segment.path, "page count before")
            need(segment.digest_before in (None, state.digest), segment.path, "digest before")
        content, position = segment.stream(CONTENT), 0
        for commit, records in commits_of(segment):
            need(commit[4] == last + 1, segment.path, f"TXID {commit[4]:016x}")
            last = commit[4]
            if last <= base.high:
                position = base.apply(state, records, content, position, last)
                if last < base.high:
                    continue
                digest = int.from_bytes(commit[9], "little")
                need(not commit[1] & 1 or state.digest == digest, segment.path, "slices' digest")
            else:
                position = apply_commit(state, records, content, position, commit, segment.path)
            levels.compare(state, last)
            yield last, state.page_size, list(state.pages), bool(commit[1] & 2)
        need(position == len(content), segment.path, "content is left over")
        need(last == segment.high, segment.path, "max TXID")
        if last >= base.high:
            need(segment.digest_after in (None, state.digest), segment.path, "digest after")

#!/usr/bin/env python3
"""Restores a database from a Highwater store. Written from docs/FORMAT.md alone.

    restore.py STORE_FOLDER OUT [--txid HEX] [--generation ID] [--levels]

Shares no code with highwater and needs two packages: zstandard and xxhash. Every checksum, hash and
digest that the format has is verified on the way. Exit status: 0 restored, 1 damaged or impossible,
2 wrong usage, 5 nothing found.
"""

import argparse
import json
import os
import re
import struct
import sys
from dataclasses import dataclass, field

import xxhash
import zstandard

FORMAT = "highwater-1"
LOG, PACK, LEVEL, SNAPSHOT = 1, 2, 3, 4
EXTENSION = {LOG: "log", PACK: "pack", LEVEL: "level", SNAPSHOT: "snapshot"}
META, CONTENT, MEMBERS = 1, 2, 3
WHOLE, XOR, REMOVED_KEPT, REMOVED, COMMIT = 1, 2, 3, 4, 16
MASK128 = (1 << 128) - 1
MASK64 = (1 << 64) - 1
MAX_TXID = (1 << 63) - 1
NAME = re.compile(
    r"^([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{12})-([0-9a-f]{16})\.(log|pack|level|snapshot)$"
)
GENERATION = re.compile(r"^[0-9]{8}T[0-9]{9}Z-[0-9a-fA-F]{8}$")


class Refused(Exception):
    """The store does not hold what it should."""


class NotFound(Refused):
    """There is no backup, or no such target."""


def need(condition, message):
    if not condition:
        raise Refused(message)


def hash64(data):
    return xxhash.xxh3_64_intdigest(data)


def hash128(data, seed=0):
    return xxhash.xxh3_128_intdigest(data, seed)


def lock_page(page_size):
    return 0x40000000 // page_size + 1


def stored_pages(count, page_size):
    """The numbers of the pages that a database of `count` pages stores."""
    lock = lock_page(page_size)
    return (page for page in range(1, count + 1) if page != lock)


# --- One segment (FORMAT.md §3 to §6) ---------------------------------------------------------


@dataclass
class Block:
    kind: int
    count: int
    offset: int
    stored: int
    raw: int
    checksum: int
    first: int
    txid: int


@dataclass
class Commit:
    txid: int
    page_count: int
    digest: int | None
    seen: int
    bridge: bool
    # (type, page, pre-hash or None, is new, result hash, content or None)
    pages: list = field(default_factory=list)


class Segment:
    """Header, footer and block table of one object, all checked; contents on demand."""

    def __init__(self, path, generation):
        self.path = path
        self.where = os.path.join(*path.split(os.sep)[-2:])
        with open(path, "rb") as file:
            self.parse(file.read(), generation)
        self.check_name()

    def parse(self, data, generation):
        self.data = data
        need(len(self.data) >= 288, f"{self.where}: too short for a segment")
        self.read_header(self.data[:144], generation)
        self.read_footer(self.data[-144:])
        self.read_table()
        self.members = self.read_members(generation) if self.kind == PACK else [self]

    def read_header(self, header, generation):
        w = self.where
        need(header[:8] == b"HWsegm\x1a\n", f"{w}: not a segment")
        sum64 = struct.unpack_from("<Q", header, 136)[0]
        need(hash64(header[:136]) == sum64, f"{w}: header damaged")
        version, self.kind, self.level, self.page_size, self.min, self.writer = struct.unpack_from(
            "<HBBIQQ", header, 8
        )
        need(version == 1, f"{w}: format version {version} is newer than this script")
        self.link = int.from_bytes(header[32:48], "little")
        digest = int.from_bytes(header[48:64], "little")
        self.count_before, flags = struct.unpack_from("<II", header, 64)
        need(flags & ~3 == 0, f"{w}: unknown header flags")
        need(header[100:136] == bytes(36), f"{w}: reserved header bytes in use")
        need(header[72:100] == generation.encode(), f"{w}: belongs to another generation")
        need(self.kind in EXTENSION, f"{w}: unknown kind {self.kind}")
        levels = {LOG: (0, 0), PACK: (0, 0), LEVEL: (1, 254), SNAPSHOT: (255, 255)}[self.kind]
        need(levels[0] <= self.level <= levels[1], f"{w}: wrong level")
        size = self.page_size
        need(512 <= size <= 65536 and size & (size - 1) == 0, f"{w}: impossible page size")
        self.digest_before = digest if flags & 1 else None
        self.link = self.link if flags & 2 else None
        need(flags & 1 or digest == 0, f"{w}: digest without flag")
        need(flags & 2 or header[32:48] == bytes(16), f"{w}: link without flag")
        if self.kind == SNAPSHOT:
            need(flags == 0 and self.count_before == 0, f"{w}: a snapshot has nothing before it")
        else:
            need(self.min >= 1, f"{w}: TXID zero names no commit")
        need(self.kind != LEVEL or flags == 1, f"{w}: a level has a digest before it, and no link")

    def read_footer(self, footer):
        w = self.where
        need(footer[136:] == b"HWend\x1a\n\0", f"{w}: cut off")
        sum64 = struct.unpack_from("<Q", footer, 128)[0]
        need(hash64(footer[:128]) == sum64, f"{w}: footer damaged")
        (self.table_offset, self.table_length, self.block_count, self.table_checksum, self.max,
         self.first_time, self.last_time) = struct.unpack_from("<QIIQQqq", footer, 0)
        digest = int.from_bytes(footer[48:64], "little")
        self.count_after, flags = struct.unpack_from("<II", footer, 64)
        need(flags & ~3 == 0, f"{w}: unknown footer flags")
        need(footer[92:96] == bytes(4), f"{w}: reserved footer bytes in use")
        need(flags & 1 or digest == 0, f"{w}: digest without flag")
        need(flags & 2 or footer[72:92] == bytes(20), f"{w}: WAL position without flag")
        self.digest_after = digest if flags & 1 else None
        self.commits, self.entries = struct.unpack_from("<QQ", footer, 96)
        self.checksum = int.from_bytes(footer[112:128], "little")
        need(hash128(self.data[:-32]) == self.checksum, f"{w}: segment damaged")
        need(self.min <= self.max <= MAX_TXID, f"{w}: impossible TXIDs")
        need(0 <= self.first_time < 1 << 48 and 0 <= self.last_time < 1 << 48, f"{w}: times")
        if self.kind in (LOG, PACK):
            need(self.commits == self.max - self.min + 1, f"{w}: commits do not fill the TXIDs")
        elif self.kind == LEVEL:
            need(self.commits == 0 and flags & 1, f"{w}: a level has no commits, but a digest")
        else:
            expected = self.count_after - (self.count_after >= lock_page(self.page_size))
            need(self.commits == 0 and self.entries == expected, f"{w}: pages are missing")
            need(self.first_time == self.last_time, f"{w}: a snapshot has one time")

    def read_table(self):
        w = self.where
        need(self.table_length == 48 * self.block_count, f"{w}: block table length")
        need(self.table_offset + self.table_length + 144 == len(self.data), f"{w}: table place")
        table = self.data[self.table_offset:-144]
        need(hash64(table) == self.table_checksum, f"{w}: block table damaged")
        self.blocks, place = [], 144
        seen = {META: 0, CONTENT: 0, MEMBERS: 0}
        low, pages = dict(seen), dict(seen)
        for index in range(self.block_count):
            fields = struct.unpack_from("<BBHIQIIQQQ", table, 48 * index)
            need(fields[1] == 0 and fields[2] == 0, f"{w}: reserved table bytes in use")
            block = Block(fields[0], *fields[3:])
            need(block.kind in seen and block.count > 0, f"{w}: unknown or empty block")
            need(block.kind != MEMBERS or self.kind == PACK, f"{w}: members outside of a pack")
            need(block.kind == MEMBERS or not seen[MEMBERS], f"{w}: members are not last")
            need(self.kind != LEVEL or block.kind == META or not seen[META], f"{w}: index not last")
            need(block.offset == place, f"{w}: gap between blocks")
            place += block.stored
            self.check_sizes(block)
            first = seen[block.kind]
            if self.kind == SNAPSHOT:
                first += 1 if first + 1 < lock_page(self.page_size) else 2
            if self.kind == LEVEL:
                need(block.first > pages[block.kind], f"{w}: blocks out of order")
                pages[block.kind] = block.first + block.count - 1
                need(block.txid == self.max, f"{w}: a level's block is of another TXID")
            else:
                need(block.first == first, f"{w}: blocks out of order")
            need(self.min <= block.txid <= self.max, f"{w}: block outside of the TXIDs")
            need(block.txid >= low[block.kind], f"{w}: blocks' TXIDs run backwards")
            need(self.kind != SNAPSHOT or low[block.kind] or block.txid == self.min,
                 f"{w}: first slice")
            low[block.kind] = block.txid
            seen[block.kind] += block.count
            self.blocks.append(block)
        need(place == self.table_offset, f"{w}: bytes before the block table")
        self.check_sums(seen, low)

    def check_sums(self, seen, low):
        w = self.where
        need((seen[MEMBERS] > 0) == (self.kind == PACK), f"{w}: members")
        if self.kind in (LOG, PACK):
            need(seen[META] == self.commits + self.entries, f"{w}: record count")
            need(seen[CONTENT] <= self.entries, f"{w}: content count")
        elif self.kind == LEVEL:
            need(seen[META] == self.entries, f"{w}: record count")
        else:
            need(seen[META] == seen[CONTENT] == self.entries, f"{w}: page count")
            ends = {low[META], low[CONTENT]} if self.blocks else {self.min}
            need(ends == {self.max}, f"{w}: last slice")

    def check_sizes(self, block):
        fits = block.raw <= (1 << 20 if block.kind == CONTENT else 1 << 16)
        if block.kind == CONTENT:
            fits = fits and block.raw == block.count * self.page_size
        elif block.kind == MEMBERS:
            fits = fits and block.raw == block.count * 288
        elif self.kind == SNAPSHOT:
            fits = fits and block.raw == block.count * 8
        elif self.kind == LEVEL:
            fits = fits and block.raw == block.count * 24
        else:
            fits = fits and block.count * 24 <= block.raw <= block.count * 56
        fits = fits and block.stored <= block.raw + block.raw // 128 + 512
        need(fits, f"{self.where}: impossible block sizes")

    def check_name(self):
        name = "%016x-%016x-%012x-%016x.%s" % (
            self.min, self.max, self.last_time, self.writer, EXTENSION[self.kind],
        )
        expected = os.path.join("%02x" % self.level, name)
        need(self.where == expected, f"{self.where}: the name does not fit the content")

    def raw(self, block):
        """The decompressed content of a block."""
        stored = self.data[block.offset:block.offset + block.stored]
        need(hash64(stored) == block.checksum, f"{self.where}: block at {block.offset} damaged")
        params = zstandard.get_frame_parameters(stored)
        need(params.content_size == block.raw, f"{self.where}: block at {block.offset}: size")
        engine = zstandard.ZstdDecompressor().decompressobj()
        content = engine.decompress(stored)
        need(engine.eof and not engine.unused_data, f"{self.where}: not exactly one frame")
        need(len(content) == block.raw, f"{self.where}: block at {block.offset}: length")
        return content

    def stream(self, kind):
        return b"".join(self.raw(block) for block in self.blocks if block.kind == kind)

    def read_members(self, generation):
        """The log segments that the pack was made of, each put together again (§13)."""
        w, ends, members = self.where, self.stream(MEMBERS), []
        blocks = [block for block in self.blocks if block.kind != MEMBERS]
        firsts = {block.first: block.txid for block in self.blocks if block.kind == MEMBERS}
        for start in range(0, len(ends), 288):
            header, footer = ends[start:start + 144], ends[start + 144:start + 288]
            count = struct.unpack_from("<I", footer, 12)[0]
            own, blocks, place = blocks[:count], blocks[count:], 144
            need(len(own) == count, f"{w}: blocks are missing")
            body, table, base = b"", b"", {}
            for block in own:
                first = block.first - base.setdefault(block.kind, block.first)
                body += self.data[block.offset:block.offset + block.stored]
                table += struct.pack("<B3xIQIIQQQ", block.kind, block.count, place, block.stored,
                                     block.raw, block.checksum, first, block.txid)
                place += block.stored
            member = Segment.__new__(Segment)
            member.path, member.where = self.path, f"{w}, member {len(members)}"
            member.parse(header + body + table + footer, generation)
            need(member.kind == LOG and member.page_size == self.page_size, f"{w}: not a member")
            need(firsts.get(len(members), member.min) == member.min, f"{w}: block TXID")
            if members:
                last = members[-1]
                need(member.link == last.checksum and member.min == last.max + 1
                     and member.count_before == last.count_after, f"{w}: members do not follow")
                need(None in (member.digest_before, last.digest_after)
                     or member.digest_before == last.digest_after, f"{w}: members' digests")
            members.append(member)
        first, last = members[0], members[-1]
        need(not blocks, f"{w}: blocks are left over")
        need((self.min, self.link, self.digest_before, self.count_before, self.first_time)
             == (first.min, first.link, first.digest_before, first.count_before, first.first_time),
             f"{w}: not as its first member")
        need((self.max, self.writer, self.digest_after, self.count_after, self.last_time)
             == (last.max, last.writer, last.digest_after, last.count_after, last.last_time),
             f"{w}: not as its last member")
        need(self.commits == sum(m.commits for m in members)
             and self.entries == sum(m.entries for m in members), f"{w}: counts")
        return members

    def level_pages(self):
        """(page, low hash before or None, content or None) of a level, all checked (§14)."""
        w, size = self.where, self.page_size
        meta, content = self.stream(META), self.stream(CONTENT)
        before, after = self.count_before, self.count_after
        starts = {CONTENT: set(), META: set()}
        for block in self.blocks:
            starts[block.kind].add(block.first)
        result, taken, last, difference = [], 0, 0, 0
        new, gone = set(), set()
        for place in range(0, len(meta), 24):
            code, flags, rest, page, pre, post = struct.unpack_from("<BBHIQQ", meta, place)
            need(code in (WHOLE, REMOVED) and rest == 0 and flags in (1, 2), f"{w}: record")
            need(last < page <= max(before, after) and page != lock_page(size), f"{w}: page order")
            need((flags == 2) == (page > before) and (flags == 1 or pre == 0), f"{w}: new flag")
            need((code == REMOVED) == (page > after), f"{w}: page {page} is there, or is not")
            starts[META].discard(page)
            body = None
            if code == WHOLE:
                body = content[taken:taken + size]
                need(len(body) == size, f"{w}: content is missing")
                need(hash128(body, page) & MASK64 == post, f"{w}: page {page} is not what it was")
                starts[CONTENT].discard(page)
                taken += size
            else:
                need(post == 0, f"{w}: hash of a removed page")
            (new if flags == 2 else gone if code == REMOVED else set()).add(page)
            result.append((page, pre if flags == 1 else None, body))
            difference += post - pre
            last = page
        lock = {lock_page(size)}
        need(taken == len(content) and not any(starts.values()), f"{w}: blocks and records")
        need(new == set(range(before + 1, after + 1)) - lock, f"{w}: a new page is missing")
        need(gone == set(range(after + 1, before + 1)) - lock, f"{w}: a removed page is missing")
        need((self.digest_after - self.digest_before - difference) & MASK64 == 0,
             f"{w}: the pages do not account for the difference of the digests")
        return result

    def snapshot_pages(self):
        """(page, TXID of its slice, content) of every page, hashes checked."""
        hashes = self.stream(META)
        numbers, index, total = stored_pages(self.count_after, self.page_size), 0, 0
        for block in self.blocks:
            if block.kind != CONTENT:
                continue
            content = self.raw(block)
            for start in range(0, len(content), self.page_size):
                page, bytes_ = next(numbers), content[start:start + self.page_size]
                value = hash128(bytes_, page)
                low = struct.unpack_from("<Q", hashes, 8 * index)[0]
                need(value & MASK64 == low, f"{self.where}: page {page} is not what it was")
                total = (total + value) & MASK128
                index += 1
                yield page, block.txid, bytes_
        if self.min == self.max:
            need(self.digest_after == total, f"{self.where}: pages do not add up to the digest")

    def log_commits(self):
        """The commits, in order, their records checked against each other."""
        w, size = self.where, self.page_size
        meta, content, result = self.stream(META), self.stream(CONTENT), []
        place, taken, pages, count = 0, 0, [], self.count_before
        starts = {}  # ordinal of a record or a content page -> TXID that its block names
        for block in self.blocks:
            starts[(block.kind, block.first)] = block.txid
        ordinal = 0
        while place < len(meta):
            txid, code, flags = self.min + len(result), meta[place], meta[place + 1]
            need(starts.get((META, ordinal), txid) == txid, f"{w}: block TXID")
            need(meta[place + 2:place + 4] == b"\0\0", f"{w}: reserved record bytes in use")
            need(flags & ~3 == 0, f"{w}: unknown record flags")
            if code in (WHOLE, XOR, REMOVED_KEPT, REMOVED):
                page, pre, post = struct.unpack_from("<IQQ", meta, place + 4)
                need(flags != 3 and (flags & 1 or pre == 0), f"{w}: pre-hash flags")
                body = None
                if code != REMOVED:
                    start = taken * size
                    need(starts.get((CONTENT, taken), txid) == txid, f"{w}: block TXID")
                    body = content[start:start + size]
                    need(len(body) == size, f"{w}: content is missing")
                    taken += 1
                pages.append((code, page, pre if flags & 1 else None, bool(flags & 2), post, body))
                place += 24
            elif code == COMMIT:
                (after, number, unseen, seen, entries, _) = struct.unpack_from(
                    "<IQqqII", meta, place + 4
                )
                digest = int.from_bytes(meta[place + 40:place + 56], "little")
                need(flags & 1 or digest == 0, f"{w}: digest without flag")
                need(number == txid and entries == len(pages), f"{w}: commit {number} out of order")
                need(0 <= unseen < 1 << 48 and 0 <= seen < 1 << 48, f"{w}: times")
                commit = Commit(txid, after, digest if flags & 1 else None, seen, bool(flags & 2))
                commit.pages = pages
                self.check_commit(commit, count)
                result.append(commit)
                pages, count, place = [], after, place + 56
            else:
                raise Refused(f"{w}: unknown record type {code}")
            ordinal += 1
        need(place == len(meta) and not pages and taken * size == len(content), f"{w}: left over")
        need(len(result) == self.commits, f"{w}: commit count")
        last = result[-1]
        need(sum(len(c.pages) for c in result) == self.entries, f"{w}: entry count")
        need((last.digest, last.page_count) == (self.digest_after, self.count_after), f"{w}: end")
        need((result[0].seen, last.seen) == (self.first_time, self.last_time), f"{w}: times")
        return result

    def check_commit(self, commit, before):
        w, after = f"{self.where}: commit {commit.txid:016x}", commit.page_count
        lock = lock_page(self.page_size)
        kept = {page for code, page, *_ in commit.pages if code in (WHOLE, XOR)}
        gone = {page for code, page, *_ in commit.pages if code in (REMOVED_KEPT, REMOVED)}
        need(len(kept) + len(gone) == len(commit.pages) and not kept & gone, f"{w}: page twice")
        need(all(0 < page <= after and page != lock for page in kept), f"{w}: page out of range")
        need(set(range(before + 1, after + 1)) - {lock} <= kept, f"{w}: a new page is missing")
        need(gone == set(range(after + 1, before + 1)) - {lock}, f"{w}: removed pages")
        for code, page, _, is_new, post, _ in commit.pages:
            need(is_new == (code in (WHOLE, XOR) and page > before), f"{w}: page {page}: new flag")
            need(code in (WHOLE, XOR) or post == 0, f"{w}: page {page}: hash of a removed page")


# --- One generation: the chain (FORMAT.md §7, §8) ---------------------------------------------


class Generation:
    def __init__(self, root, name):
        self.root, self.name = root, name
        with open(os.path.join(root, name, "generation.json"), encoding="utf-8") as file:
            self.record = json.load(file)
        need(self.record.get("format") == FORMAT, f"{name}: not a {FORMAT} generation")
        need(self.record.get("version") == 1, f"{name}: written by a newer version")
        need(self.record.get("id") == name, f"{name}: generation.json names another generation")
        self.page_size = self.record["page_size"]
        parent = self.record.get("parent")
        self.parent = (parent["generation"], int(parent["txid"], 16)) if parent else None
        self.snapshots = self.names("ff", "snapshot")
        self.logs = sorted(self.names("00", "log") + self.names("00", "pack"))
        self.levels = [level for number in range(1, 255)
                       for level in self.names("%02x" % number, "level")]
        self.opened = {}

    def names(self, level, extension):
        """(min, max, path), by the key alone; what is not a segment's name is not ours."""
        folder, found = os.path.join(self.root, self.name, level), []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            match = NAME.match(name)
            if match and match[5] == extension:
                path = os.path.join(folder, name)
                found.append((int(match[1], 16), int(match[2], 16), path))
        return found

    def open(self, path):
        if path not in self.opened:
            segment = Segment(path, self.name)
            need(segment.page_size == self.page_size, f"{segment.where}: another page size")
            self.opened[path] = segment
        return self.opened[path]

    def chains(self, base, target):
        """Every chain of log segments from the state at `base` to `target` (None: its end)."""
        members = [member for low, high, path in self.logs if high > base
                   for member in self.open(path).members]
        # What is in a pack and still there as an object of its own is the same segment.
        by_checksum = {member.checksum: member for member in members if member.max > base}
        segments = list(by_checksum.values())
        has_next = set()
        for segment in segments:
            before = by_checksum.get(segment.link)
            if before and before.max + 1 == segment.min:
                has_next.add(before.checksum)
        result = []
        for tip in segments:
            # A chain ends at its tip, or with the segment that holds the target.
            if target is None and tip.checksum in has_next:
                continue
            if target is not None and not tip.min <= target <= tip.max:
                continue
            chain = [tip]
            while chain[0].min > base + 1:
                before = by_checksum.get(chain[0].link)
                if before is None or before.max + 1 != chain[0].min:
                    break  # a hole: what comes after it is an orphan
                chain.insert(0, before)
            if chain[0].min <= base + 1 <= chain[0].max:
                result.append(chain)
        return result

    def chain(self, base, target):
        """The chain to follow, perhaps empty; sides of a fork must hold the same commits."""
        if target is not None and target <= base:
            return []
        chains = sorted(self.chains(base, target), key=lambda chain: chain[-1].max, reverse=True)
        for other in chains[1:]:
            best = facts(chains[0])
            for txid, fact in facts(other).items():
                need((target is not None and txid > target) or best.get(txid, fact) == fact,
                     f"{self.name} is forked: {chains[0][-1].where} and {other[-1].where} differ"
                     f" at commit {txid:016x}: two writers, or two histories")
        return chains[0] if chains else []

    def plan(self, target):
        """(snapshot, chain) that lead to the target, or as far as the generation goes; or None."""
        plans = []
        for low, high, path in self.snapshots:
            if target is None or high <= target:
                chain = self.chain(low, target)
                end = max(low, chain[-1].max) if chain else low
                if end >= high:
                    last = min(end, MAX_TXID if target is None else target)
                    plans.append((last, high, path, chain))
        if not plans:
            return None
        _, _, path, chain = max(plans, key=lambda plan: plan[:2])
        return self.open(path), chain


def facts(chain):
    """What a commit did, however it is stored."""
    return {
        commit.txid: (commit.page_count, frozenset((p[1], p[4]) for p in commit.pages))
        for segment in chain for commit in segment.log_commits()
    }


# --- The database (FORMAT.md §9) --------------------------------------------------------------


class Database:
    """Pages in memory, their digest carried along, and for each page the TXID that it is as of."""

    def __init__(self, page_size):
        self.page_size, self.zero = page_size, bytes(page_size)
        self.pages, self.as_of = {}, {}
        self.count, self.digest = 0, 0
        # The commits up to `txid` are applied; the pages make up a state from `base` on.
        self.txid, self.base = 0, 0

    def load(self, snapshot):
        for page, txid, content in snapshot.snapshot_pages():
            self.put(page, content)
            self.as_of[page] = txid
        self.count, self.txid, self.base = snapshot.count_after, snapshot.min, snapshot.max
        if self.txid == self.base:
            self.check(snapshot.digest_after, snapshot.where)

    def put(self, page, content):
        old = self.pages.pop(page, None)
        if old is not None:
            self.digest = (self.digest - hash128(old, page)) & MASK128
        if content is not None:
            self.pages[page] = content
            self.digest = (self.digest + hash128(content, page)) & MASK128

    def apply(self, commit):
        where = f"commit {commit.txid:016x}"
        need(commit.txid == self.txid + 1, f"{where} does not follow {self.txid:016x}")
        for record in commit.pages:
            # Pages that the snapshot does not hold are as of its last slice.
            if commit.txid > self.as_of.get(record[1], self.base):
                self.change(record, where)
        self.txid = commit.txid
        if commit.txid >= self.base:
            self.count = commit.page_count
            self.check(commit.digest, where)

    def apply_level(self, level):
        w = level.where
        for page, pre, content in level.level_pages():
            old = self.pages.get(page)
            if level.min == self.txid + 1:
                need((old is None) == (pre is None), f"{w}: page {page} is new, or is not")
                need(pre is None or hash128(old, page) & MASK64 == pre, f"{w}: page {page} before")
            self.put(page, content)
        self.count, self.txid, self.base = level.count_after, level.max, level.max
        self.as_of = {}
        for page in [page for page in self.pages if page > self.count]:
            self.put(page, None)
        self.check(level.digest_after, w)

    def change(self, record, where):
        code, page, pre, is_new, post, content = record
        old = self.pages.get(page)
        need((old is None) == is_new, f"{where}: page {page} is new, or is not")
        need(pre is None or hash128(old, page) & MASK64 == pre,
             f"{where}: page {page} is not what it was before")
        if code in (REMOVED, REMOVED_KEPT):
            need(code == REMOVED or content == old, f"{where}: page {page}: kept content")
            self.put(page, None)
            return
        if code == XOR:
            content = xor(content, old or self.zero)
        need(hash128(content, page) & MASK64 == post,
             f"{where}: page {page} is not what it should become")
        self.put(page, content)

    def check(self, digest, where):
        need(digest is None or digest == self.digest, f"{where}: the digest differs")

    def write(self, path):
        lock = lock_page(self.page_size)
        with open(path, "xb") as file:
            for page in range(1, self.count + 1):
                file.write(self.zero if page == lock else self.pages[page])
            file.flush()
            os.fsync(file.fileno())


def xor(a, b):
    value = int.from_bytes(a, "little") ^ int.from_bytes(b, "little")
    return value.to_bytes(len(a), "little")


def take_levels(database, generation, end):
    """Applies the levels that lead furthest, up to `end`."""
    while True:
        start = max(database.txid, database.base)
        fitting = [(high, path) for low, high, path in generation.levels
                   if low - 1 <= database.txid and start < high <= end]
        if not fitting:
            return
        database.apply_level(generation.open(max(fitting)[1]))


def restore(generations, name, target, levels=False):
    """The database at `target`, or as far as the generation's gap-free chain goes."""
    need(name in generations, f"generation {name} is not in the store")
    generation = generations[name]
    database = Database(generation.page_size)
    plan = generation.plan(target)
    if plan:
        snapshot, chain = plan
        database.load(snapshot)
    elif generation.parent:
        parent, at = generation.parent
        limit = at if target is None else min(at, target)
        database = restore(generations, parent, limit, levels)
        need(database.page_size == generation.page_size, f"{name}: page size changed")
        database.as_of, database.base = {}, database.txid
        chain = generation.chain(at, target)
    else:
        raise NotFound(f"generation {name} has no snapshot at or before the target")
    if levels:
        end = max([database.txid] + [segment.max for segment in chain])
        take_levels(database, generation, end if target is None else min(end, target))
    for segment in chain:
        if segment.min == database.txid + 1 and database.txid >= database.base:
            need(segment.count_before == database.count, f"{segment.where}: page count before")
            database.check(segment.digest_before, segment.where)
        for commit in segment.log_commits():
            if database.txid < commit.txid and (target is None or commit.txid <= target):
                database.apply(commit)
    need(database.txid >= database.base, f"{name}: the log ends within the snapshot's slices")
    if target is not None and database.txid != target:
        raise NotFound(f"commit {target:016x} is not in the gap-free chain of {name}:"
                       f" it ends at {database.txid:016x}")
    return database


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store")
    parser.add_argument("out")
    parser.add_argument("--txid", type=lambda text: int(text, 16))
    parser.add_argument("--generation")
    parser.add_argument("--levels", action="store_true", help="use levels where there are any")
    options = parser.parse_args()
    root = os.path.join(options.store, FORMAT)
    names = sorted(os.listdir(root)) if os.path.isdir(root) else []
    names = [name for name in names if GENERATION.match(name)
             and os.path.exists(os.path.join(root, name, "generation.json"))]
    generations = {name: Generation(root, name) for name in names}
    name = options.generation
    if name is None:
        # The newest that no other goes on from, and that can be restored at all.
        parents = {g.parent[0] for g in generations.values() if g.parent}
        leaves = [n for n in names if n not in parents
                  and (generations[n].snapshots or generations[n].parent)]
        if not leaves:
            raise NotFound(f"no backup in {options.store}")
        name = leaves[-1]
    if options.txid is not None:
        # A commit at or before the parent's end is the parent's.
        while generations[name].parent and options.txid <= generations[name].parent[1]:
            name = generations[name].parent[0]
            need(name in generations, f"generation {name} is not in the store")
    database = restore(generations, name, options.txid, options.levels)
    database.write(options.out)
    print(f"{name} {database.txid:016x} {database.count} pages"
          f" digest {database.digest:032x}")


if __name__ == "__main__":
    try:
        main()
    except NotFound as error:
        print(f"restore.py: {error}", file=sys.stderr)
        sys.exit(5)
    except (Refused, OSError, KeyError, ValueError, zstandard.ZstdError) as error:
        print(f"restore.py: {error}", file=sys.stderr)
        sys.exit(1)

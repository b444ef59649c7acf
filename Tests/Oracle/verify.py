"""The oracle's judgement: every TXID in the store against the recorded states."""

import os
import random
import shutil
import sqlite3
import zlib

from agent import folder_url
from imager import digest, file_state, page_hash

EXPECTED_SCHEMA = {"state", "items", "items_crc"}


class OracleFailure(AssertionError):
    """A restored state is not the committed one."""


def check_logic(data, where):
    """Opens a whole state with SQLite; returns its seq after checking its content."""
    image = bytearray(data)
    image[18:20] = b"\1\1"  # a database in memory cannot be in WAL mode
    db = sqlite3.connect(":memory:")
    try:
        db.deserialize(bytes(image))
        problem = db.execute("PRAGMA integrity_check").fetchone()[0]
        if problem != "ok":
            raise OracleFailure(f"{where}: integrity_check says {problem}")
        seq, total = db.execute("SELECT seq, sum FROM state").fetchone()
        found = 0
        for identifier, body, value in db.execute("SELECT id, body, crc FROM items"):
            if zlib.crc32(body, identifier & 0xFFFFFFFF) != value:
                raise OracleFailure(f"{where}: row {identifier} does not match its checksum")
            found += value
        if found != total:
            raise OracleFailure(f"{where}: rows sum to {found}, seq {seq} says {total}")
        return seq
    finally:
        db.close()


def quick_seq(data):
    image = bytearray(data)
    image[18:20] = b"\1\1"
    db = sqlite3.connect(":memory:")
    try:
        db.deserialize(bytes(image))
        return db.execute("SELECT seq FROM state").fetchone()[0]
    finally:
        db.close()


def check_user_database(path, leaked=False):
    """The user's database holds nothing but what the application made."""
    db = sqlite3.connect(path, timeout=10)
    try:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
        names = {name for name in names if not name.startswith("sqlite_autoindex")}
        if names != EXPECTED_SCHEMA:
            raise OracleFailure(f"the user's database holds {sorted(names ^ EXPECTED_SCHEMA)}")
        for pragma in ("user_version", "application_id"):
            if db.execute(f"PRAGMA {pragma}").fetchone()[0] != 0:
                raise OracleFailure(f"somebody set {pragma}")
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            raise OracleFailure("somebody changed journal_mode")
        if leaked:
            return
        problem = db.execute("PRAGMA integrity_check").fetchone()[0]
        if problem != "ok":
            raise OracleFailure(f"the user's database is damaged: {problem}")
    finally:
        db.close()


class Judge:
    """Compares a store with records; collects what was compared for the report."""

    def __init__(self, highwater, store, records, scratch, walk, url=None):
        self.highwater = highwater
        self.store = store
        self.url = url or folder_url(store)
        self.records = records
        self.known = records.load()
        # A state that was restored is recorded once more, when an application begins on it.
        self.by_digest = {}
        for record in self.known:
            self.by_digest.setdefault(record["digest"], set()).add(record["index"])
        self.scratch = scratch
        self.walk = walk
        self.compared = 0
        self.last = [], []
        self.restored = 0
        self.bridges = 0

    def difference(self, where, page_size, hashes, index):
        """Which pages differ from record `index`."""
        if not 0 <= index < len(self.known):
            return f"{where}: there is no record {index}"
        record, expected = self.known[index], self.records.hashes(index)
        pages = [
            n + 1
            for n in range(max(len(hashes), len(expected)))
            if n >= len(hashes) or n >= len(expected) or hashes[n] != expected[n]
        ]
        return (
            f"{where} is not the state of seq {record['seq']} (record {index} "
            f"{record['label']}): page size {page_size}/{record['page_size']}, page count "
            f"{len(hashes)}/{len(expected)}, {len(pages)} pages differ: {pages[:20]}"
        )

    def generation(self, generation, sparse=False):
        """Walks all TXIDs of one generation in one pass. Returns {txid: record index or seq}."""
        result, expected, last_txid = {}, None, None
        for txid, page_size, pages, is_bridge in self.walk(self.store, generation):
            where = f"TXID {txid:016x} of {generation}"
            if last_txid is not None and txid != last_txid + 1:
                raise OracleFailure(f"{where} follows {last_txid:016x}: a commit is missing")
            last_txid = txid
            self.compared += 1
            if is_bridge:
                # Commits are lost: the state is a later one, and it cannot be told which.
                self.bridges += 1
                skipped, expected = expected, None
            if sparse:
                seq = expected and max(expected)
                found = {self._sparse(where, page_size, pages, seq)}
            else:
                found = self._exact(where, page_size, pages, expected)
            if is_bridge and max(found) < min(skipped):
                raise OracleFailure(f"{where} is a bridge back, from before {skipped} to {found}")
            result[txid] = max(found)
            expected = {index + 1 for index in found}
        return result

    def _exact(self, where, page_size, pages, expected):
        hashes = self._hashes(pages)
        found = self.by_digest.get(digest(page_size, hashes))
        if found is None:
            guess = max(expected) if expected else self._closest(hashes)
            raise OracleFailure(self.difference(where, page_size, hashes, guess))
        if expected is None:
            return found
        if not found & expected:
            record, wanted = max(found), max(expected)
            raise OracleFailure(
                f"{where} is record {record} (seq {self.known[record]['seq']}), expected record "
                f"{wanted}: " + ("a commit is missing" if record > wanted else "doubled")
            )
        return found & expected

    def _hashes(self, pages):
        """Page hashes; pages that are the same objects as before are not hashed again."""
        old_pages, old_hashes = self.last
        hashes = [
            old_hashes[n] if n < len(old_pages) and old_pages[n] is page else page_hash(page)
            for n, page in enumerate(pages)
        ]
        self.last = list(pages), hashes
        return hashes

    def _closest(self, hashes):
        """The record that shares most pages with a state, for the report."""
        own = set(hashes)
        scores = [len(own & set(self.records.hashes(r["index"]))) for r in self.known]
        return scores.index(max(scores)) if scores else 0

    def _sparse(self, where, page_size, pages, expected):
        data = b"".join(pages)
        seq = quick_seq(data) if self.compared % 10 else check_logic(data, where)
        if expected is not None and seq != expected:
            raise OracleFailure(f"{where} holds seq {seq}, expected {expected}")
        records = [r for r in self.known if r["seq"] == seq]
        if len(records) == 1:
            hashes = self._hashes(pages)
            if digest(page_size, hashes) != records[0]["digest"]:
                raise OracleFailure(
                    self.difference(where, page_size, hashes, records[0]["index"])
                )
        return seq

    def sample(self, generation, states, count, sparse=False, newest=True):
        """Restores some TXIDs with the program itself, bit for bit."""
        txids = sorted(states)
        chosen = set(txids[:2] + txids[-2:])
        chosen |= set(random.Random(1).sample(txids, min(count, len(txids))))
        for txid in sorted(chosen):
            self.one(generation, txid, states[txid], sparse)
        if newest and txids:
            self.one(None, None, states[txids[-1]], sparse)

    def one(self, generation, txid, expected, sparse=False):
        """Restores one TXID (None: the newest) and compares the file."""
        output = os.path.join(self.scratch, "restored.db")
        where = f"restore of TXID {txid:016x}" if txid is not None else "restore of the newest"
        self.highwater.restore(self.url, output, txid, generation)
        try:
            page_size, hashes = file_state(output)
            if sparse:
                with open(output, "rb") as f:
                    seq = check_logic(f.read(), where)
                if seq != expected:
                    raise OracleFailure(f"{where} holds seq {seq}, expected {expected}")
            elif digest(page_size, hashes) != self.known[expected]["digest"]:
                raise OracleFailure(self.difference(where, page_size, hashes, expected))
            elif os.path.getsize(output) < 64 * 2**20:
                self._open(output, where, self.known[expected]["seq"])
            left = [n for n in os.listdir(self.scratch) if n.startswith("restored.db.restoring")]
            if left:
                raise OracleFailure(f"{where} left {left} behind")
            self.restored += 1
        finally:
            for name in os.listdir(self.scratch):
                if name.startswith("restored.db"):
                    os.remove(os.path.join(self.scratch, name))

    def _open(self, output, where, seq):
        """A copy of a restored file is a working database and holds `seq`."""
        copy = os.path.join(self.scratch, "restored.db-opened")
        shutil.copy(output, copy)
        db = sqlite3.connect(copy)
        try:
            problem = db.execute("PRAGMA integrity_check").fetchone()[0]
            if problem != "ok":
                raise OracleFailure(f"{where}: integrity_check says {problem}")
            found = self._seq(db)
            if found != seq:
                raise OracleFailure(f"{where} holds seq {found}, expected {seq}")
        finally:
            db.close()

    @staticmethod
    def _seq(db):
        row = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'state'").fetchone()
        return db.execute("SELECT seq FROM state").fetchone()[0] if row else 0

"""Databases that come back in an earlier state, and backups that go away."""

import os
import shutil
import sqlite3

from testbed import commits

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def objects(bed):
    """Size of each object in the store, by key."""
    found = {}
    for folder, _, names in os.walk(bed.store):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, bed.store)] = os.path.getsize(path)
    return found


def goes_on_restored(bed, name, txid, generation, offline, rewinds=False):
    """Puts a former state in the database's place, commits there before and while an agent runs;
    the new generation.

    The application has the database open when the agent comes, so that the WAL has what it
    committed since the restore."""
    known = set(bed.generations())
    if rewinds:
        arguments = ["-in-place", "-generation", generation, "-txid", f"{txid:016x}"]
        bed.highwater.run("rewind", *arguments, bed.database, bed.url)
    else:
        bed.highwater.restore(bed.url, bed.database, txid, generation, more=["-force"])
    holder = None
    if offline:
        holder = sqlite3.connect(bed.database)
        holder.execute("SELECT * FROM state").fetchall()
        bed.writer(f"{name}-offline", commits=offline, autocheckpoint=0).wait()
    before = objects(bed)
    agent = bed.started_agent()
    if not offline:
        agent.wait_until(lambda: "restored database" in agent.log(), "the agent knows its place")
        assert objects(bed) == before, "something was uploaded before the first commit"
    bed.writer(name, commits=20, autocheckpoint=0).wait()
    agent.stop()
    if holder:
        holder.close()
    (child,) = set(bed.generations()) - known
    assert not bed.has_snapshot(child), f"{child} has a snapshot: every page was sent again"
    assert bed.parent(child) == (generation, txid), f"{child}'s parent is {bed.parent(child)}"
    return child


@scenario
def restored_earlier(bed):
    """A database is restored in an earlier state, then in a state that only a generation has that
    is not an ancestor of the newest, and rewound: it goes on in a child there, without a page."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=commits(40)).wait()
    agent.stop()
    (first,) = bed.generations()
    listed = sorted(bed.highwater.history(bed.url, first))
    goes_on_restored(bed, "early", listed[10], first, offline=0)
    late = goes_on_restored(bed, "late", listed[30], first, offline=15)
    commits_of_late = sorted(bed.highwater.history(bed.url, late))
    goes_on_restored(bed, "rewound", commits_of_late[-9], late, offline=0, rewinds=True)
    bed.judge(generations=4, least=110)


@scenario
def restored_hint_is_no_oath(bed):
    """Hints that are hostile, or not of this database, are ignored, with a reason."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=commits(20)).wait()
    agent.stop()
    (first,) = bed.generations()
    listed = sorted(bed.highwater.history(bed.url, first))
    restored = os.path.join(bed.application, "restored.db")
    bed.highwater.restore(bed.url, restored, listed[5], first)
    with open(restored + ".highwater", encoding="utf-8") as file:
        hint = file.read()
    hostile = {
        "no hint of Highwater": ["", "[" * 4000, hint[:-9], hint.replace('"version":1', '"v":1')],
        "there is no such generation": [hint.replace(first[:4], "1999")],
        "impossible": [hint.replace(f"{listed[5]:016x}", "f" * 16)],
        "another state": [hint.replace(f"{listed[5]:016x}", f"{listed[6]:016x}")],
        "File too large": [hint + " " * (1 << 20)],
    }
    for reason, texts in hostile.items():
        for number, text in enumerate(texts):
            bed.database = os.path.join(bed.application, f"{reason[:6]}-{number}.db")
            shutil.copy(restored, bed.database)
            with open(bed.database + ".highwater", "w", encoding="utf-8") as file:
                file.write(text)
            agent = bed.agent()
            agent.log_path = bed.path(f"{reason[:6]}-{number}.log")
            agent.start().wait_attached().stop()
            lines = [line for line in agent.log().splitlines() if "hint of a restore" in line]
            assert len(lines) == 1 and reason in lines[0], f"{reason}: {agent.log()}"


@scenario
def deleted_underneath(bed):
    """Somebody deletes everything below the store while the agent runs: at the next upload it
    begins a new generation with a snapshot, and all that is reported from then on restores."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer("before", commits=commits(20)).wait()
    agent.wait_until(lambda: bed.highwater.history(bed.url), "the backup has commits")
    (first,) = bed.generations()
    for name in os.listdir(bed.store):
        shutil.rmtree(os.path.join(bed.store, name))
    bed.writer("first", commits=1).wait()
    agent.wait_until(lambda: bed.generations() not in ([], [first]), "a new generation begins")
    (second,) = bed.generations()
    agent.wait_until(lambda: bed.has_snapshot(second), "its base is stored")
    bed.writer("after", commits=commits(20)).wait()
    agent.stop()
    assert "been deleted from the store" in agent.log()
    assert os.listdir(f"{bed.store}/highwater-1") == [second], "something was added to the old one"
    bed.judge(generations=1, least=20)

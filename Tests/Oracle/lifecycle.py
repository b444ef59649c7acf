"""Deaths, starts and stops of agent and application, by name."""

import os
import random
import shutil
import signal
import sqlite3
import time

from imager import file_state
from testbed import SCALE, commits

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


@scenario
def writer_killed(bed):
    """kill -9 of the writer in the middle of transactions."""
    bed.prepare()
    agent = bed.started_agent()
    chance = random.Random(bed.seed)
    for round in range(int(20 * SCALE)):
        writer = bed.writer(
            workload="slow_transaction", seed=round, autocheckpoint=chance.choice([0, 30]),
            cache_size=10, rows=100,
        )
        time.sleep(chance.uniform(0.15, 0.45))
        writer.kill()
    bed.writer(commits=5).wait()
    agent.stop()
    bed.judge(least=20)


def _agent_killed(bed, rounds, autocheckpoint, bridges):
    bed.prepare()
    agent = bed.started_agent()
    chance = random.Random(bed.seed)
    writer = bed.writer(rate=120, autocheckpoint=autocheckpoint, seconds=600, close="hold")
    claims = {}
    for round in range(rounds):
        time.sleep(chance.choice([0.0, 0.02, 0.1, 0.2, 0.4]) * chance.random())
        if round % 10 == 9:
            for generation in bed.generations()[-2:]:
                listed = bed.highwater.history(bed.url, generation)
                claims[generation] = max(listed, default=0)
        agent.kill()
        agent.start()
    agent.wait_attached()
    os.kill(writer.process.pid, signal.SIGUSR1)
    writer.release()
    agent.stop(30)
    # Kills before the first base was stored leave generations that nothing was durable in.
    states = bed.judge(generations=1, sample=20, least=10, bridges=bridges)
    for generation, txid in claims.items():
        listed = bed.highwater.history(bed.url, generation)
        assert txid <= max(listed, default=0), f"{generation}: {txid:016x} was durable and is gone"
    return states, agent


@scenario
def agent_killed(bed):
    """kill -9 of the agent, 100 rounds. Only the agent checkpoints, so that no commit leaves the
    WAL before it is safe: none is lost."""
    _agent_killed(bed, int(100 * SCALE), autocheckpoint=0, bridges=0)


@scenario
def agent_killed_autocheckpoint(bed):
    """kill -9 of the agent while the application checkpoints every 30 pages: commits that a reset
    hid from it are bridged, with a warning, in the same generation."""
    rounds = int(40 * SCALE)
    _, agent = _agent_killed(bed, rounds, autocheckpoint=30, bridges=rounds)
    assert "warn" in agent.log().lower(), "no commit was missed: the scenario shows nothing"


@scenario
def backfilled_while_dead(bed):
    """The agent is dead while the application checkpoints past the resume point, and a reader
    keeps the WAL from being reset: pre-images after the restart must not come from the file."""
    bed.prepare(autocheckpoint=0)
    holder = sqlite3.connect(bed.database, isolation_level=None)
    holder.execute("SELECT * FROM state").fetchall()  # now it has the WAL open
    agent = bed.agent()
    for round in range(6):
        agent.start().wait_attached()
        bed.writer(commits=12, autocheckpoint=0, seed=round).wait()
        agent.kill()
        bed.writer("b", commits=10, autocheckpoint=0, seed=100 + round).wait()
        holder.execute("BEGIN")
        holder.execute("SELECT * FROM state").fetchall()
        bed.writer("c", commits=10, autocheckpoint=0, seed=200 + round).wait()
        bed.sql("PRAGMA wal_checkpoint(PASSIVE)")
        agent.start().wait_attached()
        bed.writer("d", commits=12, autocheckpoint=0, seed=300 + round).wait()
        holder.execute("COMMIT")
        bed.writer("e", commits=5, autocheckpoint=0, seed=400 + round).wait()
        agent.stop()
    holder.close()
    # A kill before the first commit has arrived leaves no place in the WAL to go on from.
    bed.judge(generations=1, least=200, bridges=1)


@scenario
def reset_while_dead(bed):
    """The agent is dead while the application checkpoints and resets the WAL: what it missed is
    said in a warning and stored as one commit, a bridge, in the same generation."""
    bed.prepare(autocheckpoint=0)
    holder = sqlite3.connect(bed.database, isolation_level=None)
    holder.execute("SELECT * FROM state").fetchall()
    agent = bed.started_agent()
    for round in range(4):
        bed.writer(commits=12, autocheckpoint=0, seed=round).wait()
        agent.kill()
        bed.writer("b", commits=40, autocheckpoint=5, seed=100 + round).wait()
        agent.start().wait_attached()
    bed.writer("c", commits=12, seed=400).wait()
    agent.stop()
    holder.close()
    bed.judge(generations=1, least=12, bridges=4)
    assert "warn" in agent.log().lower(), "commits were missed, and the log has no warning"


@scenario
def reset_directly_after_the_last_commit(bed):
    """The WAL is reset while the agent is away, but only after the commits that it has, and what
    came since is still in the WAL: nothing is lost, and nothing bridged."""
    bed.prepare(autocheckpoint=0)
    holder = sqlite3.connect(bed.database, isolation_level=None)
    holder.execute("PRAGMA wal_autocheckpoint=0")
    agent = bed.agent()
    for round in range(3):
        agent.start().wait_attached()
        bed.writer(commits=12, autocheckpoint=0, seed=round).wait()
        agent.stop()
        holder.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        bed.writer("b", commits=12, autocheckpoint=0, seed=100 + round).wait()
    agent.start().wait_attached()
    agent.stop()
    holder.close()
    bed.judge(generations=1, least=72, bridges=0)


def _goes_on_elsewhere(bed, make):
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=40).wait()
    agent.stop()
    (first,) = bed.generations()
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    elsewhere = os.path.join(bed.application, "elsewhere.db")
    make(elsewhere)
    bed.database = elsewhere
    agent = bed.started_agent()
    bed.writer(commits=20, seed=7).wait()
    agent.stop()
    (child,) = set(bed.generations()) - {first}
    assert bed.parent(child)[0] == first, f"{child}'s parent is {bed.parent(child)}"
    tree = bed.highwater.run("generations", bed.url).stdout.splitlines()
    assert tree[0].startswith(first) and tree[1].startswith("└─ " + child), tree
    assert f"from {first} at " in tree[1], tree
    assert not bed.has_snapshot(child), f"{child} has a snapshot: every page was sent again"
    bed.judge(generations=2, least=60)


@scenario
def copied(bed):
    """The database is copied to another place and goes on there, with an agent to the same store:
    a child generation that sends no page again."""
    _goes_on_elsewhere(bed, lambda path: shutil.copy(bed.database, path))


@scenario
def restored(bed):
    """The same with a restored database."""
    _goes_on_elsewhere(bed, lambda path: bed.highwater.restore(bed.url, path))


@scenario
def second_agent(bed):
    """A second agent for the same database and place ends with exit code 8 and does no harm."""
    bed.prepare()
    agent = bed.started_agent()
    writer = bed.writer(commits=60, rate=100)
    other = bed.agent().start()
    assert other.process.wait(20) == 8, other.process.returncode
    assert "another agent" in other.log()
    writer.wait()
    agent.stop()
    bed.judge(generations=1, least=60)


@scenario
def behind_the_backup(bed):
    """The database is put back to an earlier state, as a power cut may do: the commits that only
    the backup has stay restorable, and a child generation begins at the earlier one."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=40).wait()
    agent.stop()
    (first,) = bed.generations()
    listed = sorted(bed.highwater.history(bed.url, first))
    earlier = listed[len(listed) // 2]
    bed.highwater.restore(bed.url, f"{bed.scratch}/earlier.db", earlier)
    with open(f"{bed.scratch}/earlier.db", "rb") as f:
        data = f.read()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(bed.database + suffix):
            os.remove(bed.database + suffix)
    with open(bed.database, "r+b") as f:  # the same file
        f.write(data)
        f.truncate(len(data))
    holder = sqlite3.connect(bed.database)
    holder.execute("SELECT * FROM state").fetchall()
    agent = bed.started_agent()
    holder.execute("UPDATE state SET seq = seq + 1000")
    holder.commit()
    agent.stop()
    holder.close()
    (child,) = set(bed.generations()) - {first}
    assert bed.parent(child) == (first, earlier), bed.parent(child)
    assert not bed.has_snapshot(child), "every page was sent again"
    assert "ahead" in agent.log(), "the log does not say that the backup is ahead"
    assert sorted(bed.highwater.history(bed.url, first)) == listed
    bed.highwater.restore(bed.url, f"{bed.scratch}/later.db", listed[-1], first)
    bed.highwater.restore(bed.url, f"{bed.scratch}/child.db", None, child)
    seq = [
        sqlite3.connect(f"{bed.scratch}/{name}.db").execute("SELECT seq FROM state").fetchone()[0]
        for name in ("earlier", "later", "child")
    ]
    assert seq[1] > seq[0] and seq[2] == seq[0] + 1000, seq


@scenario
def spool_outlives_the_agent(bed):
    """The store is away, the application resets its WAL, and the agent is killed: the commits are
    in the spool alone, and the next agent sends them."""
    bed.prepare(autocheckpoint=0)
    holder = sqlite3.connect(bed.database, isolation_level=None, timeout=5)
    holder.execute("PRAGMA wal_autocheckpoint=0")
    agent = bed.started_agent()
    bed.writer(commits=10, autocheckpoint=0).wait()
    agent.wait_until(lambda: len(bed.highwater.history(bed.url)) >= 10, "the first commits", 60)
    away = bed.store + ".away"
    os.rename(bed.store, away)
    with open(bed.store, "w", encoding="utf-8") as f:
        f.write("not a folder")
    for round in range(3):
        bed.writer("b", commits=15, autocheckpoint=0, seed=round).wait()
        agent.wait_until(
            lambda: holder.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0,
            "the application's checkpoint", 20,
        )
    agent.kill()
    bed.writer("c", commits=15, autocheckpoint=0, seed=9).wait()
    os.remove(bed.store)
    os.rename(away, bed.store)
    agent.start().wait_attached()
    agent.stop()
    holder.close()
    bed.judge(generations=1, least=70, bridges=0)
    left = [n for _, _, names in os.walk(bed.application) for n in names if n.endswith(".log")]
    assert not left, f"the spool still holds {left}"


@scenario
def last_connection_closes(bed):
    """The application closes its last connection, again and again, and the agent stops and
    starts between."""
    bed.prepare()
    for round in range(6):
        agent = bed.started_agent()
        for name in ("a", "b"):
            bed.writer(name, commits=10, seed=round).wait()
        agent.stop()
    bed.judge(generations=6, least=30)


@scenario
def resumed(bed):
    """A clean stop and start while the application holds its connection: one generation."""
    bed.prepare()
    holder = bed.writer("holder", commits=3, autocheckpoint=0, close="hold")
    agent = bed.agent()
    for round in range(5):
        agent.start().wait_attached()
        bed.writer("b", commits=10, autocheckpoint=0, seed=round).wait()
        agent.stop()
    holder.release()
    bed.judge(generations=1, least=50)


@scenario
def final_sync(bed):
    """SIGTERM directly after the last commit: exit 0, and the commit is in the store."""
    bed.prepare()
    agent = bed.started_agent()
    writer = bed.writer(commits=commits(120), close="hold")
    agent.wait_until(lambda: "done" in writer.text(), "the commits", 30)
    agent.stop(expect=0)
    writer.release()
    bed.judge(least=20)


@scenario
def second_signal(bed):
    """The final upload cannot succeed: a second signal ends the agent at once."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=20).wait()
    os.rename(bed.store, bed.store + ".away")
    with open(bed.store, "w", encoding="utf-8") as f:
        f.write("not a folder")
    bed.sql("INSERT INTO items(body, crc) VALUES('', 0)")
    time.sleep(0.2)
    agent.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    if agent.is_running():
        started = time.monotonic()
        agent.process.send_signal(signal.SIGTERM)
        code = agent.process.wait(5)
        took = time.monotonic() - started
        assert took < 1, f"the second signal took {took:.1f} s"
        assert code != 0, "the agent says 0 although commits were not stored"
    else:
        assert agent.process.returncode != 0, "the agent says 0 although commits were not stored"


@scenario
def starts_before_the_application(bed):
    """The agent waits for a database that does not exist yet."""
    agent = bed.agent().start()
    time.sleep(0.5)
    assert agent.is_running(), f"the agent did not wait\n{agent.log()}"
    assert os.listdir(bed.application) == [], "the agent made files"
    bed.writer(commits=commits(150), rate=150).wait()
    agent.stop()
    bed.judge(least=20)


@scenario
def other_user_starts_first(bed):
    """An agent that does not own the database creates neither -wal nor -shm; it waits."""
    if os.getuid() != 0:
        bed.notes.append("skipped: needs root to run the agent as another user")
        return
    os.umask(0)
    bed.prepare()
    for name in os.listdir(bed.application):
        assert name == "app.db", f"the application left {name}"
    for path in (bed.application, bed.store):
        os.chmod(path, 0o777)
    os.chmod(bed.database, 0o666)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    agent = bed.agent(prefix=prefix).start()
    time.sleep(1.5)
    assert agent.is_running(), f"the agent ended\n{agent.log()}"
    assert os.listdir(bed.application) == ["app.db"], os.listdir(bed.application)
    holder = bed.writer("holder", commits=1, close="hold")
    agent.wait_attached()
    bed.writer(commits=commits(100)).wait()
    agent.stop()
    holder.release()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(bed.database + suffix):
            owner = os.stat(bed.database + suffix).st_uid
            assert owner == 0, f"{suffix} belongs to user {owner}, not to the application's"
    bed.judge(least=20)


def _bounded(bed, autocheckpoint, limit):
    """A saturating writer; the WAL stays below `limit` MiB."""
    bed.prepare()
    agent = bed.started_agent()
    writer = bed.writer(
        exact_every=200, seconds=5 * SCALE, autocheckpoint=autocheckpoint, rows=100
    )
    largest = 0
    while writer.is_running():
        try:
            largest = max(largest, os.path.getsize(bed.database + "-wal"))
        except FileNotFoundError:
            pass
        time.sleep(0.01)
    writer.wait()
    agent.stop()
    bed.notes.append(f"WAL at most {largest / 2**20:.1f} MiB")
    assert largest < limit * 2**20, f"the WAL grew to {largest / 2**20:.0f} MiB"
    bed.judge(sparse=True, sample=10, least=100)


@scenario
def wal_is_bounded(bed):
    """The writer never checkpoints: the agent makes room."""
    # Without the agent's resets more than a GiB. A debug build alone on two cores was seen to need
    # 46 MiB; the limit leaves room for a slow disk, benchmarks say what a release build needs.
    _bounded(bed, autocheckpoint=0, limit=128)


@scenario
def wal_is_bounded_beside_checkpoints(bed):
    """The writer has SQLite's default: as soon as the WAL has grown, each of its commits begins a
    checkpoint, which is in the way of the agent's own."""
    _bounded(bed, autocheckpoint=1000, limit=128)


@scenario
def nothing_is_left_in_the_database(bed):
    """The database has the bytes that the same statements make without an agent."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=80, autocheckpoint=20).wait()
    agent.stop()
    bed.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    bed.judge(least=20)
    page_size, hashes = file_state(bed.database)
    with bed.twin():
        bed.prepare()
        bed.writer(commits=80, autocheckpoint=20).wait()
        bed.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        twin = file_state(bed.database)
    differing = [n + 1 for n, pair in enumerate(zip(hashes, twin[1])) if pair[0] != pair[1]]
    assert (page_size, hashes) == twin, f"pages {differing} differ from a run without an agent"

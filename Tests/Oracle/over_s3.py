"""An agent that stores into S3 through the strict server, which misbehaves where it is said."""

import os
import random
import signal
import time

from imager import digest, file_state
from testbed import SCALE, commits

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


@scenario
def s3_backup(bed):
    """Each commit goes into a bucket and comes back, and no request is signed wrongly."""
    bed.prepare()
    agent = bed.started_agent(options=["-sync-interval", "0"])
    bed.writer(commits=commits(100), autocheckpoint=30, rate=150).wait()
    agent.stop()
    unfinished = bed.bucket.control(f"/uploads?bucket={bed.bucket.name}")
    assert not unfinished, f"uploads that were not completed: {unfinished}"
    bed.judge(least=50, sample=5)


@scenario
def s3_faults(bed):
    """30 % of all requests fail, in ten ways, some after they took effect: the agent's, and those
    of the restores that follow."""
    bed.bucket.fail(0.3, bed.seed)
    bed.prepare()
    agent = bed.started_agent(options=["-sync-interval", "0"])
    bed.writer(commits=commits(60), autocheckpoint=20, rate=40).wait()
    agent.stop(120)
    stats = bed.bucket.check_signatures()
    share = sum(stats["faults"].values()) / stats["requests"]
    assert share > 0.15, f"only {share:.0%} of {stats['requests']} requests failed"
    txids = bed.highwater.history(bed.url)
    output = os.path.join(bed.scratch, "out.db")
    restored = {}
    for txid in (txids[len(txids) // 2], txids[-1]):
        bed.highwater.restore(bed.url, output, txid)
        restored[txid] = digest(*file_state(output))
        os.remove(output)
    total = bed.bucket.check_signatures()
    share = sum(total["faults"].values()) / total["requests"]
    bed.notes.append(f"{share:.0%} of {total['requests']} requests failed")
    bed.bucket.rules()
    states = bed.judge(least=40, sample=2)
    records = bed.records.load()
    for txid, found in restored.items():
        assert found == records[states[txid]]["digest"], f"TXID {txid:016x} is another state"


@scenario
def s3_agent_killed(bed):
    """kill -9 of the agent while its uploads are under way."""
    slow = {"operation": ["put", "upload-part", "complete"], "action": "slow", "seconds": 0.08}
    bed.bucket.rules(slow)
    bed.prepare()
    agent = bed.started_agent(options=["-sync-interval", "0"])
    chance = random.Random(bed.seed)
    writer = bed.writer(rate=80, autocheckpoint=0, seconds=600, close="hold")
    rounds = int(12 * SCALE)
    for _ in range(rounds):
        seen = bed.bucket.requests()
        agent.wait_until(lambda: bed.bucket.requests() > seen, "a request")
        time.sleep(chance.uniform(0.0, 0.3))
        agent.kill()
        agent.start()
    agent.wait_attached()
    bed.bucket.rules()
    os.kill(writer.process.pid, signal.SIGUSR1)
    writer.release()
    agent.stop(60)
    bed.judge(generations=rounds + 1, sample=10, least=30)


@scenario
def s3_idle(bed):
    """An agent whose database does not change makes no request."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer("holder", commits=20, rate=100, close="hold")
    agent.wait_until(lambda: bed.bucket.requests() > 0, "a request")
    before = bed.bucket.wait_quiet(quiet=3)
    time.sleep(12 * SCALE)
    during = bed.bucket.requests() - before
    assert during == 0, f"{during} requests while idle: {bed.bucket.log(before - 1)[:3]}"
    bed.notes.append(f"0 requests in {12 * SCALE:.0f} s")
    bed.programs[-1].release()
    agent.stop()
    bed.judge(least=5, sample=2)


@scenario
def s3_outage(bed):
    """The store answers nobody for some seconds, as a storm of 503, and then hangs: the agent goes
    on, sends no storm of its own, and nothing is lost."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=30, rate=100).wait()
    agent.wait_until(lambda: bed.bucket.requests() > 2, "an upload")
    for rule in ({"action": "answer", "code": "SlowDown"}, {"action": "hang", "seconds": 4}):
        before = bed.bucket.wait_quiet()
        bed.bucket.rules(rule)
        bed.writer(commits=commits(40), rate=40).wait()
        time.sleep(4)
        asked = bed.bucket.requests() - before
        assert asked <= 30, f"{asked} requests to a store that cannot serve"
        assert agent.is_running(), f"the agent ended\n{agent.log()[-2000:]}"
        bed.bucket.rules()
        bed.writer(commits=5).wait()
        newest = bed.bucket.requests()
        agent.wait_until(
            lambda: bed.bucket.requests() > newest, "a request after the outage", seconds=60
        )
    agent.stop(60)
    bed.judge(least=20, sample=5)


@scenario
def s3_large_snapshot(bed):
    """A snapshot that takes many parts, while parts fail and answers get lost."""
    bed.prepare(autocheckpoint=0)
    # The dropped table's bytes stay in free pages, and do not compress.
    bed.sql(
        "PRAGMA secure_delete = OFF",
        "CREATE TABLE IF NOT EXISTS filler(body BLOB)",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40000) "
        "INSERT INTO filler SELECT randomblob(900) FROM n",
        "DROP TABLE filler",
    )
    bed.bucket.rules(
        {"operation": "upload-part", "skip": 1, "times": 1, "action": "reset_upload",
         "bytes": 100_000},
        {"operation": "upload-part", "skip": 2, "times": 1, "action": "lost"},
        {"operation": "upload-part", "skip": 3, "times": 1, "action": "answer",
         "code": "InternalError"},
        {"operation": "complete", "times": 1, "action": "error_in_200"},
        {"operation": "complete", "times": 1, "action": "lost"},
    )
    agent = bed.started_agent()
    bed.writer(commits=30, rate=100).wait()
    agent.stop(120)
    fired = {rule["action"]: rule["fired"] for rule in bed.bucket.control("/rules")}
    assert all(fired.values()), f"faults that never came about: {fired}"
    unfinished = bed.bucket.control(f"/uploads?bucket={bed.bucket.name}")
    assert not unfinished, f"uploads that were not completed: {unfinished}"
    bed.bucket.rules()
    bed.judge(least=10, sample=3)


@scenario
def s3_without_conditions(bed):
    """A store that ignores If-None-Match: backups work, and the log says what is missing."""
    bed.bucket.settings(conditional="ignored")
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=commits(60), rate=200).wait()
    agent.stop()
    bed.judge(least=10, sample=5)


@scenario
def s3_restore_faults(bed):
    """restore reads through answers that break off, lie about their content, or come late."""
    bed.prepare()
    agent = bed.started_agent()
    bed.writer(commits=commits(80), rate=150).wait()
    agent.stop()
    output = os.path.join(bed.scratch, "out.db")
    for rule in (
        {"action": "reset_body", "operation": "get", "times": 3},
        {"action": "truncate_body", "operation": "get", "times": 3},
        {"action": "answer", "code": "SlowDown", "headers": {"Retry-After": "1"}, "times": 2},
        {"action": "slow", "seconds": 0.3, "operation": "get"},
        {"action": "drip", "bytes": 4000, "seconds": 0.005, "operation": "get"},
        {"action": "skew", "seconds": 3600},
        {"action": "close", "times": 3},
    ):
        bed.bucket.rules(rule)
        bed.highwater.restore(bed.url, output)
        os.remove(output)
    bed.bucket.rules({"action": "corrupt_body", "operation": "get"})
    failed = bed.highwater.restore(bed.url, output, expect={1, 3, 5, 7})
    assert not os.path.exists(output), "a damaged download became a file"
    assert failed.stderr.strip(), "no message"
    bed.bucket.rules()
    bed.judge(least=10, sample=5)

"""The runbook of a deleted prefix in a bucket that keeps versions: moto's server, and the AWS
command line as docs/RECOVERY.md uses it."""

import json
import os
import subprocess
import sys
import urllib.parse

from recovery import dump, refused, runbook
from testbed import commits

HERE = os.path.dirname(os.path.abspath(__file__))
SERVERS = os.path.join(os.path.dirname(HERE), "S3Servers", "servers.py")
NOTHING = 5
SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def servers(*arguments):
    done = subprocess.run(
        [sys.executable, SERVERS, *arguments], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"servers.py {arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout.strip()


class Missing(Exception):
    """What the scenario needs cannot be had; the text says why."""


class Versions:
    """A bucket of moto's server in which nothing is deleted for good."""

    def __init__(self, bed):
        self.bed = bed
        self.is_ours = not servers("list", "moto")
        if self.is_ours:
            servers("up", "moto")
        listed = servers("list", "moto")
        if not listed:
            raise Missing("moto cannot be installed here: see Tests/S3Servers/servers.py up moto")
        facts = json.loads(listed)
        self.folder = os.path.dirname(servers("aws"))
        self.name = f"versions-{os.getpid()}"
        self.url = f"s3://{self.name}/app?" + urllib.parse.urlencode({
            "endpoint": facts["endpoint"], "region": facts["region"], "force-path-style": "true",
        }, safe=":/")
        os.environ.update({
            "AWS_ACCESS_KEY_ID": facts["access_key"], "AWS_SECRET_ACCESS_KEY": facts["secret_key"],
            "AWS_DEFAULT_REGION": facts["region"], "AWS_ENDPOINT_URL": facts["endpoint"],
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
        })

    def aws(self, *arguments):
        done = subprocess.run(
            [f"{self.folder}/aws", *arguments], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"aws {arguments}: {done.stderr}"
        return done.stdout

    def __enter__(self):
        self.aws("s3api", "create-bucket", "--bucket", self.name)
        self.aws(
            "s3api", "put-bucket-versioning", "--bucket", self.name,
            "--versioning-configuration", "Status=Enabled",
        )
        return self

    def __exit__(self, *_):
        if self.is_ours:
            servers("down", "moto")


@scenario
def runbook_deleted_versions(bed):
    """docs/RECOVERY.md, deleted prefix: the delete markers go, and everything restores."""
    try:
        versions = Versions(bed)
    except Missing as reason:
        bed.notes.append(f"skipped: {reason}")
        return
    with versions as bucket:
        bed.url = bucket.url
        bed.prepare()
        agent = bed.started_agent()
        bed.writer(commits=commits(60), rate=100).wait()
        agent.stop()
        before, txids = dump(bed.database), bed.highwater.history(bed.url)
        bucket.aws("s3", "rm", "--recursive", "--quiet", f"s3://{bucket.name}/app")
        refused(bed, ["verify", bed.url], NOTHING, "no backup")
        place = {"BUCKET": bucket.name, "TMPDIR": bed.scratch}
        left = int(runbook(bed, "deleted-prefix-markers", **place).split()[-1])
        assert left == 0, f"{left} markers are left"
        assert "ok" in runbook(bed, "deleted-prefix", **place)
        assert bed.highwater.history(bed.url) == txids
        output = os.path.join(bed.scratch, "back.db")
        bed.highwater.restore(bed.url, output, txids[-1])
        assert dump(output) == before

"""The examples of etc/ as they are written, in the image: Compose's services, and the containers
of the Kubernetes files with what a kubelet would make of them."""

import glob
import os
import shutil
import sqlite3
import time

from bucket import Bucket
from engine import Writer
from packaging import ETC, documents

CHECKS = {}
IMAGES = {"highwater", "highwater:0.1.0"}


def check(function):
    CHECKS[function.__name__] = function
    return function


def service(bed, compose, name):
    """A service's image, options and arguments, as Compose passes them on."""
    facts = compose["services"][name]
    known = {
        "image", "build", "user", "entrypoint", "command", "volumes", "depends_on", "restart",
        "stop_grace_period", "read_only", "cap_drop", "security_opt", "tmpfs",
    }
    assert set(facts) <= known, f"{name}: {set(facts) - known}"
    options, arguments = [], list(facts.get("command", []))
    for volume in facts.get("volumes", []):
        source, _, target = volume.partition(":")
        options += ["-v", f"{bed.volume(source)}:{target}"]
    if "user" in facts:
        options += ["--user", facts["user"]]
    if facts.get("read_only"):
        options += ["--read-only", "--read-only-tmpfs=false"]
        if "podman" not in bed.engine.command[0]:
            options.pop()
    for key, option in (
        ("cap_drop", "--cap-drop"), ("security_opt", "--security-opt"), ("tmpfs", "--tmpfs"),
    ):
        for value in facts.get(key, []):
            options += [option, value]
    if "entrypoint" in facts:
        options += ["--entrypoint", facts["entrypoint"][0]]
        arguments = facts["entrypoint"][1:] + arguments
    image = bed.image if facts["image"] in IMAGES else facts["image"]
    return {"image": image, "options": options}, arguments


@check
def compose(bed):
    """docker-compose.yml: the services in their order; then a new volume for the database, which
    `restore` fills from the backup, byte for byte."""
    (file,) = documents(f"{ETC}/docker-compose.yml")

    def run(name):
        where, arguments = service(bed, file, name)
        return bed.run(*arguments, **where)

    def start(name):
        where, arguments = service(bed, file, name)
        return bed.start(*arguments, **where)

    run("prepare")
    first = run("restore")
    app, agent = start("app"), start("highwater")
    agent.until(lambda: agent.health() == 0, "healthy")
    agent.until(lambda: "nothing waits" in agent.execute("highwater", "status").stdout, "a backup")
    time.sleep(5)
    app.signal("KILL")
    app.wait(expect=137)
    agent.stop()
    folder = bed.engine.inspect("volume", bed.volume("appdata"))["Mountpoint"]
    with sqlite3.connect(f"{folder}/app.db") as db:
        rows = db.execute("SELECT count(*) FROM t").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    original = open(f"{folder}/app.db", "rb").read()
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    run("restore")
    assert open(f"{folder}/app.db", "rb").read() == original, "another database was restored"
    owner = os.stat(f"{folder}/app.db")
    assert (owner.st_uid, owner.st_gid) == (1000, 1000), owner
    again = run("restore")  # it is there: nothing to do
    assert rows > 3, rows
    return (
        f"{rows} rows restored; a first start says "
        f"'{(first.stdout + first.stderr).strip().splitlines()[-1]}', a later one "
        f"'{(again.stdout + again.stderr).strip().splitlines()[-1]}'"
    )


def kubernetes():
    """All documents of etc/kubernetes by kind."""
    kinds = {}
    for path in sorted(glob.glob(f"{ETC}/kubernetes/*.yaml")):
        for document in documents(path):
            kinds.setdefault(document["kind"], []).append(document)
    return kinds


class Pod:
    """What a kubelet makes of a pod: its volumes, its user, its variables."""

    def __init__(self, bed, spec, environment=()):
        self.bed, self.spec = bed, spec
        context = spec["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] != 0
        # A volume is root's, and its group is fsGroup's.
        self.volumes = {}
        self.user = f"{context['runAsUser']}:{context.get('runAsGroup', 0)}"
        self.group = context["fsGroup"]
        self.environment = [word for pair in environment for word in ("-e", pair)]

    def folder(self, name):
        if name not in self.volumes:
            self.volumes[name] = self.bed.share(name, owner=0, group=self.group, mode=0o2775)
        return self.volumes[name]

    def line(self, facts):
        """How bed.run or bed.start is called for a container."""
        options = ["--network", "host", "--user", self.user, "--group-add", str(self.group)]
        options += self.environment
        context = facts.get("securityContext", {})
        if context.get("readOnlyRootFilesystem"):
            options += ["--read-only"]
            if "podman" in self.bed.engine.command[0]:
                options += ["--read-only-tmpfs=false"]
        for capability in context.get("capabilities", {}).get("drop", []):
            options += ["--cap-drop", capability]
        if context.get("allowPrivilegeEscalation") is False:
            options += ["--security-opt", "no-new-privileges"]
        for mount in facts["volumeMounts"]:
            options += ["-v", f"{self.folder(mount['name'])}:{mount['mountPath']}"]
        image = self.bed.image if facts["image"] in IMAGES else None
        return {"image": image, "options": options}


@check
def statefulset(bed):
    """The pod of statefulset.yaml with an empty bucket, and again with a new volume."""
    kinds = kubernetes()
    (stateful,) = kinds["StatefulSet"]
    spec = stateful["spec"]["template"]["spec"]
    bucket = Bucket(os.path.join(bed.folder, "bucket"), name="my-bucket")
    bed.closing.callback(bucket.close)
    keys = kinds["Secret"][0]["stringData"]
    assert set(keys) <= set(bucket.environment), "the secret's variables are the store's"
    variables = {**bucket.environment, "AWS_ENDPOINT_URL_S3": bucket.facts["endpoint"]}
    pod = Pod(bed, spec, [f"{name}={value}" for name, value in variables.items()])
    restore, sidecar = spec["initContainers"]
    first = bed.run(*restore["args"], **pod.line(restore))
    folder = pod.folder("data")
    agent = bed.start(*sidecar["args"], **pod.line(sidecar))
    writer = Writer(f"{folder}/app.db", 100)
    status = agent.execute("highwater", "sync", "-wait", "/data/app.db").stdout.strip()
    agent.execute(*sidecar["livenessProbe"]["exec"]["command"])
    writer.end()  # The application ends first, as native sidecars promise.
    agent.stop()
    with sqlite3.connect(f"{folder}/app.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    original = open(f"{folder}/app.db", "rb").read()
    os.rename(folder, folder + ".old")
    del pod.volumes["data"]
    bed.run(*restore["args"], **pod.line(restore))
    assert open(f"{pod.folder('data')}/app.db", "rb").read() == original
    agent = bed.start(*sidecar["args"], **pod.line(sidecar))
    writer = Writer(f"{pod.folder('data')}/app.db", 10)
    agent.execute("highwater", "sync", "-wait", "/data/app.db")
    assert writer.rows == 110, writer.rows
    writer.end()
    agent.stop()
    words = (first.stdout + first.stderr).strip().splitlines()[-1]
    return f"{status}; {len(original)} bytes restored; a first start says '{words}'"


@check
def doctor(bed):
    """The pod of doctor.yaml: both containers say that they share memory and locks."""
    (spec,) = [pod["spec"] for pod in kubernetes()["Pod"]]
    pod = Pod(bed, spec)
    sides = [bed.start(*facts["args"], **pod.line(facts)) for facts in spec["containers"]]
    for side in sides:
        side.wait(60)
        assert side.log().startswith("/data: COHERENT"), side.log()
    return sides[0].log().splitlines()[1].strip()

"""What is shipped beside the program: `make install`, the man page, completions, the systemd unit,
and the examples for containers. What a tool of the machine can check is checked with it."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys

SCENARIOS = {}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ETC = os.path.join(ROOT, "etc")


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def without(bed, program):
    """True, with a note, when the machine lacks a program."""
    if shutil.which(program):
        return False
    bed.notes.append(f"not checked: {program} is not installed")
    return True


def installed(bed):
    """The tree that `make install` makes, from the program under test."""
    tree = bed.path("tree")
    done = subprocess.run(
        ["make", "-C", ROOT, "install", "PREFIX=/usr", f"DESTDIR={tree}",
         f"BINARY={bed.highwater.binary}", f"PYTHON={sys.executable}"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tree


def documents(path):
    """The documents of a YAML file, by Debian's python3-yaml or this Python's; None without."""
    program = (
        "import json, sys, yaml; "
        "print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1], encoding='utf-8')))))"
    )
    for python in ("/usr/bin/python3", sys.executable):
        done = subprocess.run([python, "-c", program, path], capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(done.stdout)
        assert "ModuleNotFoundError" in done.stderr, f"{path}: {done.stderr}"
    return None


def help_words(bed, *command):
    done = bed.highwater.run(*command, "--help")
    return done.stdout


@scenario
def install(bed):
    """make install: the files of a Debian package, with a unit for the chosen prefix."""
    tree = installed(bed)
    for path, mode in (
        ("bin/highwater", 0o755), ("share/man/man1/highwater.1.gz", 0o644),
        ("share/bash-completion/completions/highwater", 0o644),
        ("share/zsh/vendor-completions/_highwater", 0o644),
        ("share/fish/vendor_completions.d/highwater.fish", 0o644),
        ("lib/systemd/system/highwater.service", 0o644),
        ("share/doc/highwater/HAZARDS.md", 0o644), ("share/doc/highwater/copyright", 0o644),
        ("share/doc/highwater/examples/kubernetes/statefulset.yaml", 0o644),
    ):
        full = f"{tree}/usr/{path}"
        assert os.stat(full).st_mode & 0o777 == mode, full
    subprocess.run([f"{tree}/usr/bin/highwater", "version"], check=True, capture_output=True)
    for shell, path in (
        ("bash", "bash-completion/completions/highwater"),
        ("zsh", "zsh/vendor-completions/_highwater"),
        ("fish", "fish/vendor_completions.d/highwater.fish"),
    ):
        text = open(f"{tree}/usr/share/{path}", encoding="utf-8").read()
        assert "replicate" in text and "allow-hazard" in text, path
        if not without(bed, shell):
            subprocess.run([shell, "-n", f"{tree}/usr/share/{path}"], check=True)


@scenario
def manual(bed):
    """The man page: every command and option of the program, and no complaint of man's."""
    tree = installed(bed)
    path = f"{tree}/usr/share/man/man1/highwater.1.gz"
    source = gzip.open(path, "rt", encoding="utf-8").read()
    dump = json.loads(bed.highwater.run("--experimental-dump-help").stdout)
    missing = []

    def walk(command):
        for argument in command.get("arguments") or []:
            for name in argument.get("names") or []:
                if name["name"] not in ("help", "version", "h"):
                    word = name["name"].replace("-", "\\-")
                    if argument.get("shouldDisplay", True) and word not in source:
                        missing.append(name["name"])
        for child in command.get("subcommands") or []:
            if child["commandName"] != "help" and child.get("shouldDisplay", True):
                walk(child)

    walk(dump["command"])
    assert not missing, missing
    assert ".SS doctor probe" in source and "\n.SS doctor\n" in source
    if without(bed, "man"):
        return
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", path], capture_output=True, text=True,
        env={**os.environ, "MANWIDTH": "100", "PAGER": "cat", "MANPAGER": "cat"},
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    for word in ("EXIT STATUS", "replicate", "/etc/highwater.yml"):
        assert word in done.stdout, word


@scenario
def systemd_unit(bed):
    """The unit verifies, is hardened, and does not give the agent folders of its own."""
    text = open(f"{ETC}/systemd/highwater.service", encoding="utf-8").read()
    settings = dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#"
    )
    assert "PrivateTmp" not in settings, "a database below /tmp would be another one"
    assert settings["NoNewPrivileges"] == "yes" and settings["ProtectSystem"] == "strict"
    assert {"2", "9"} <= set(settings["RestartPreventExitStatus"].split())
    words = settings["ExecStart"].split()[1:]
    for option in words[1:]:
        if option.startswith("-"):
            assert option in help_words(bed, words[0]), f"{words[0]} has no option {option}"
    if without(bed, "systemd-analyze"):
        return
    unit = bed.path("highwater.service")
    with open(unit, "w", encoding="utf-8") as f:
        f.write(text.replace("/usr/bin/highwater", bed.highwater.binary))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert done.returncode == 0 and "highwater.service:" not in done.stderr, done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=40", unit],
        capture_output=True, text=True,
    )
    if "unrecognized option" not in done.stderr:
        assert done.returncode == 0, done.stdout[-500:] + done.stderr


def command_line(bed, arguments, source):
    """The options in an example are options of the program."""
    words = [a for a in arguments if not a.startswith("-")]
    command = [words[0]] + ([words[1]] if words[0] == "doctor" and words[1] == "probe" else [])
    text = help_words(bed, *command)
    for option in (a for a in arguments if a.startswith("-")):
        assert option in text, f"{source}: {' '.join(command)} has no option {option}"


@scenario
def container_examples(bed):
    """Compose and Kubernetes files parse, mount folders and never a file, run without root, and
    call the program with options that it has."""
    compose = documents(f"{ETC}/docker-compose.yml")
    if compose is None:
        bed.notes.append("not checked: no Python with yaml")
        return
    services = compose[0]["services"]
    agent, app = services["highwater"], services["app"]
    shared = {v.split(":")[0] for v in agent["volumes"]} & {
        v.split(":")[0] for v in app["volumes"]
    }
    assert shared <= set(compose[0]["volumes"]) and shared, "they share a named volume"
    for service in services.values():
        for volume in service.get("volumes", []):
            target = volume.split(":")[1]
            assert "." not in os.path.basename(target), f"{volume} mounts a file"
    assert agent["user"] == app["user"] != "0:0"
    # The image's health check asks the control socket, which needs a place.
    assert not agent["read_only"] or agent["tmpfs"] == ["/run/highwater"]
    for name in ("highwater", "restore"):
        command_line(bed, services[name]["command"], "docker-compose.yml")

    kinds = {}
    for name in os.listdir(f"{ETC}/kubernetes"):
        for document in documents(f"{ETC}/kubernetes/{name}"):
            kinds.setdefault(document["kind"], []).append(document)
    (stateful,) = kinds["StatefulSet"]
    assert stateful["spec"]["replicas"] == 1
    pod = stateful["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    restore, sidecar = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always", "a native sidecar"
    assert {"-if-db-not-exists", "-if-replica-exists"} <= set(restore["args"])
    for container in (restore, sidecar, *pod["containers"]):
        mount = next(m for m in container["volumeMounts"] if m["name"] == "data")
        assert "subPath" not in mount and mount["mountPath"] == "/data"
        if container["image"].startswith("highwater"):
            command_line(bed, container["args"], "statefulset.yaml")
    assert "/run/highwater" in [m["mountPath"] for m in sidecar["volumeMounts"]]
    program, *probe = sidecar["livenessProbe"]["exec"]["command"]
    assert program == "highwater"
    command_line(bed, probe, "statefulset.yaml")
    for container in kinds["Pod"][0]["spec"]["containers"]:
        command_line(bed, container["args"], "doctor.yaml")


@scenario
def image(bed):
    """The Dockerfile: not root, a health check, no compiler in what runs."""
    text = open(f"{ROOT}/Dockerfile", encoding="utf-8").read()
    last = text[text.rindex("\nFROM "):]
    assert "USER 10001" in last and "ENTRYPOINT" in last
    (check,) = re.findall(r"HEALTHCHECK .* CMD (\[.*\])", last)
    command_line(bed, json.loads(check)[1:], "Dockerfile")
    assert "ENV HIGHWATER_SOCKET=/run/highwater/" in last
    assert "swift:" not in last, "what runs has no compiler"
    manifest = open(f"{ROOT}/Package.swift", encoding="utf-8").read()
    named = {path.split("/")[0] for path in re.findall(r'path: "([^"]+)"', manifest)}
    for folder in {"Sources", "Tests"} | named:
        assert f"\nCOPY {folder} {folder}\n" in text, f"{folder} is not there when it is built"
    needed = subprocess.run(["ldd", bed.highwater.binary], capture_output=True, text=True).stdout
    packages = {
        "libsqlite3": "libsqlite3-0", "libzstd": "libzstd1", "libxxhash": "libxxhash0",
        "libcurl": "libcurl4", "libcrypto": "libssl3", "libexpat": "libexpat1",
        "libyaml": "libyaml-0-2", "libmicrohttpd": "libmicrohttpd12", "libstdc++": "libstdc++6",
    }
    for library, package in packages.items():
        if library in needed:
            assert package in last.split(), f"the image lacks {package}"

"""Writes highwater(1) in troff from what the program itself says of its commands.

Usage: manpage.py BINARY > highwater.1

Commands, arguments and options come from `--experimental-dump-help`, so that the page cannot
disagree with the program; only the sections at the end are written here.
"""

import json
import subprocess
import sys

EXIT_CODES = [
    (0, "Success."),
    (1, "Unexpected failure."),
    (2, "Usage or configuration."),
    (3, "The store cannot be reached."),
    (4, "Access denied."),
    (5, "Nothing found: no backup, no such commit."),
    (6, "Outside the range that can be restored."),
    (7, "Integrity failure."),
    (8, "Owned by another writer, or forked."),
    (9, "Unsafe target, or a hazard: see highwater doctor."),
    (10, "Some databases failed."),
    (130, "Interrupted."),
]
FILES = [
    ("/etc/highwater.yml", "What is backed up, and where to."),
    ("/etc/default/highwater", "Variables for it, and credentials, when run by systemd."),
    (
        ".NAME-highwater/",
        "Beside each database: the agent's few local files. They may be deleted while it does "
        "not run.",
    ),
]


def escaped(text):
    """Text for a troff line: backslashes, hyphens that must stay hyphens, and dots or quotes that
    would be requests at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def shown(items):
    return [item for item in items or [] if item.get("shouldDisplay", True)]


def is_common(argument):
    return any(n["name"] in ("version", "help") for n in argument.get("names", []))


def value(argument):
    return f"\\fI{escaped(argument['valueName'])}\\fR"


def option_name(argument):
    """Both spellings of an option, as `-name` and `--name`."""
    parts = []
    for name in argument["names"]:
        dashes = "--" if name["kind"] == "long" else "-"
        parts.append(f"\\fB{escaped(dashes + name['name'])}\\fR")
    parts.sort(key=len)
    text = ", ".join(parts)
    return text + (" " + value(argument) if argument["kind"] == "option" else "")


def synopsis(path, command):
    parts = [f"\\fB{escaped(' '.join(path))}\\fR"]
    if any(a["kind"] != "positional" and not is_common(a) for a in shown(command.get("arguments"))):
        parts.append("[\\fIoptions\\fR]")
    for argument in shown(command.get("arguments")):
        if argument["kind"] == "positional":
            text = value(argument) + ("..." if argument.get("isRepeating") else "")
            parts.append(f"[{text}]" if argument.get("isOptional") else text)
    return " ".join(parts)


def commands(command, path):
    """Every command that can be run, with the words that call it, in the order of the help."""
    children = [c for c in shown(command.get("subcommands")) if c["commandName"] != "help"]
    for child in children:
        words = [*path, child["commandName"]]
        # What may be left out is left out: `highwater doctor DB`.
        if child["commandName"] == command.get("defaultSubcommand"):
            words = path
        yield from commands(child, words)
    if not children:
        yield path, command


def paragraphs(text):
    return "\n.PP\n".join(
        escaped(" ".join(part.split())) for part in (text or "").split("\n\n") if part.strip()
    )


def section(path, command):
    lines = [f".SS {escaped(' '.join(path[1:]))}", synopsis(path, command), ".PP"]
    lines.append(paragraphs(command.get("abstract")))
    if command.get("discussion"):
        lines += [".PP", paragraphs(command["discussion"])]
    for argument in shown(command.get("arguments")):
        if is_common(argument):
            continue
        positional = argument["kind"] == "positional"
        lines += [".TP", value(argument) if positional else option_name(argument)]
        text = argument.get("abstract") or ""
        if argument.get("defaultValue") not in (None, ""):
            text += f" Default: {argument['defaultValue']}."
        lines.append(escaped(" ".join(text.split())) or "\\&")
    return lines


def page(dump, version):
    root = dump["command"]
    lines = [
        f'.TH HIGHWATER 1 "" "highwater {version}" "User Commands"',
        ".SH NAME",
        "highwater \\- " + escaped((root.get("abstract") or "").rstrip(".")),
        ".SH SYNOPSIS",
        "\\fBhighwater\\fR \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        "Highwater follows the write\\-ahead log of SQLite databases and stores every commit, so "
        "that a database can be restored as it was after any of them. It runs beside the one "
        "application that writes the database.",
        ".PP",
        "Long options are written with one or two hyphens.",
        ".SH COMMANDS",
    ]
    for path, command in commands(root, ["highwater"]):
        lines += section(path, command)
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES:
        lines += [".TP", f"\\fB{code}\\fR", escaped(meaning)]
    lines.append(".SH FILES")
    for path, meaning in FILES:
        lines += [".TP", f"\\fI{escaped(path)}\\fR", escaped(meaning)]
    lines += [".SH SEE ALSO", "\\fBsqlite3\\fR(1), \\fBsystemctl\\fR(1)"]
    return "\n".join(lines) + "\n"


def main():
    binary = sys.argv[1]

    def output(*arguments):
        done = subprocess.run([binary, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    dump = json.loads(output("--experimental-dump-help"))
    sys.stdout.write(page(dump, output("version").strip()))


if __name__ == "__main__":
    main()

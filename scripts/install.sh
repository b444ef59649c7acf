#!/usr/bin/env bash
# Installs what `make install` says: program, man page, completions, unit, examples, documentation.
# Usage: scripts/install.sh BINARY; PREFIX (default /usr/local), DESTDIR and PYTHON from outside.
#
# The places are Debian's: with PREFIX=/usr the unit goes to /usr/lib/systemd/system and calls
# /usr/bin/highwater; with another prefix it is written for that one.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=$1
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
share=$root/share
python=${PYTHON:-python3}

put() { install -D -m "$1" "$2" "$3"; }

put 0755 "$binary" "$root/bin/highwater"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" scripts/manpage.py "$binary" >"$work/highwater.1"
gzip -9n "$work/highwater.1"
put 0644 "$work/highwater.1.gz" "$share/man/man1/highwater.1.gz"

completion() { # shell, file
    "$binary" --generate-completion-script "$1" >"$work/$1"
    put 0644 "$work/$1" "$share/$2"
}
completion bash bash-completion/completions/highwater
completion zsh zsh/vendor-completions/_highwater
completion fish fish/vendor_completions.d/highwater.fish

sed "s|/usr/bin/highwater|$prefix/bin/highwater|" etc/systemd/highwater.service >"$work/unit"
put 0644 "$work/unit" "$root/lib/systemd/system/highwater.service"

examples=$share/doc/highwater/examples
for example in etc/*.yml etc/kubernetes/*.yaml etc/prometheus/*.yml etc/grafana/*.json; do
    put 0644 "$example" "$examples/${example#etc/}"
done
put 0644 LICENSE "$share/doc/highwater/copyright"
for page in README.md docs/*.md; do
    put 0644 "$page" "$share/doc/highwater/$(basename "$page")"
done

#!/usr/bin/env bash
# Runs Python with the packages of the oracle (apsw, zstandard, xxhash), which it installs once
# into .build/oracle. Usage: scripts/python.sh PROGRAM ARGUMENT...
# `scripts/python.sh --print-environment` prints the variables that the Swift tests need.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder="$root/.build/oracle"
packages=(apsw zstandard xxhash)
python="$folder/bin/python3"

prepare() {
    rm -rf "$folder" && mkdir -p "$folder"
    # Debian's own python3 first: the one on PATH may be a version manager's shim.
    local base
    for base in /usr/bin/python3 python3; do
        command -v "$base" >/dev/null || continue
        if "$base" -m venv "$folder" >/dev/null 2>&1; then
            "$folder/bin/python3" -m pip install --quiet "${packages[@]}" && break
        fi
        rm -rf "$folder" && mkdir -p "$folder/bin"
        "$base" -m pip install --quiet --target "$folder/site" "${packages[@]}" || continue
        printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" "$@"\n' "$folder/site" \
            "$(command -v "$base")" >"$python"
        chmod +x "$python"
        break
    done
    "$python" -c 'import apsw, sqlite3, xxhash, zstandard' || {
        echo "error: no Python 3 with ${packages[*]}. Debian: apt-get install python3-venv" >&2
        rm -rf "$folder"
        exit 2
    }
    touch "$folder/ready"
}

[[ -e "$folder/ready" ]] || prepare >&2
if [[ "${1:-}" == --print-environment ]]; then
    echo "HIGHWATER_PYTHON=$python"
    exit 0
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" "$@"

#!/usr/bin/env bash
# Installs the Debian packages that are missing. Usage: scripts/packages.sh build|test
set -euo pipefail

packages=(
    libsqlite3-dev libzstd-dev libxxhash-dev libcurl4-openssl-dev libexpat1-dev libssl-dev
    libyaml-dev libmicrohttpd-dev pkg-config sqlite3
)
if [[ "${1:-build}" == test ]]; then
    packages+=(python3 python3-venv python3-yaml curl openssl bindfs fuse)
fi

if ! command -v "${SWIFT:-swift}" >/dev/null; then
    echo "error: '${SWIFT:-swift}' is not on PATH. Highwater is built with Swift 6.3 or later," >&2
    echo "       https://www.swift.org/install/linux/, or: make SWIFT=/path/to/swift" >&2
    exit 2
fi
if ! command -v dpkg-query >/dev/null; then
    echo "note: not Debian or Ubuntu; taking it that these are installed: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ "$status" == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "error: packages are missing, and neither root nor sudo is at hand. Please run" >&2
        echo "       apt-get install ${missing[*]}" >&2
        exit 2
    fi
    as_root=(sudo)
fi
echo "installing ${missing[*]}"
${as_root[@]+"${as_root[@]}"} apt-get update -qq
${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# Builds the image of the Dockerfile and runs it as etc/ does: image.sh [CHECK...]
# ENGINE=docker, or podman, which is the default and keeps everything it has below .build/image.
#
# Base images that cannot be pulled are made here, where this is root and has podman: Debian by
# debootstrap, Swift's as the same with the packages of the real one, and this machine's toolchain
# mounted while the Dockerfile runs. What is missing for that is printed, and nothing is tested.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/.build/image
debian=docker.io/library/debian:bookworm-slim
swift=docker.io/library/swift:6.3-bookworm
application=docker.io/keinos/sqlite3:latest # of etc/docker-compose.yml
image=localhost/highwater
build=(build --tag "$image")

skip() {
    echo "image-test skipped: $1"
    exit 0
}

mkdir -p "$folder"
engine=(${ENGINE:-podman})
command -v "${engine[0]}" >/dev/null || skip "there is no ${engine[0]}; Debian has podman and crun"
if [[ ${engine[*]} == podman ]]; then
    [[ $(id -u) -eq 0 ]] || skip "podman is tested as root only"
    engine=(
        podman --root "$folder/storage" --runroot "$folder/run" --tmpdir "$folder/tmp"
        --cgroup-manager cgroupfs
    )
    # Podman's own limits are more than root may set everywhere. crun refuses hybrid cgroups.
    {
        printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
        if command -v runc >/dev/null; then printf '[engine]\nruntime = "runc"\n'; fi
    } >"$folder/containers.conf"
    export CONTAINERS_CONF=$folder/containers.conf
    # The health check is a thing of Docker's format.
    build+=(--format docker --isolation chroot)
fi
"${engine[@]}" info >/dev/null 2>&1 || skip "'${engine[0]} info' fails"

# A Debian system, as debian:bookworm-slim is one, with the package sources of this machine.
make_debian() {
    command -v debootstrap >/dev/null || skip "$debian cannot be pulled, nor made: no debootstrap"
    local system=$folder/debian
    rm -rf "$system"
    debootstrap --variant=minbase bookworm "$system" >"$folder/debootstrap.log"
    rm -rf "$system"/var/lib/apt/lists/* "$system"/var/cache/apt/archives/*.deb
    if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then
        cp /etc/apt/sources.list.d/debian.sources "$system/etc/apt/sources.list.d/"
        rm -f "$system/etc/apt/sources.list"
    fi
    grep -ls '^Acquire::' /etc/apt/apt.conf.d/* | xargs -r cp -t "$system/etc/apt/apt.conf.d/"
    cat >"$system/etc/apt/apt.conf.d/keep-nothing" <<END
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
END
    tar -C "$system" --numeric-owner -c . | "${engine[@]}" import --quiet - "$debian"
    rm -rf "$system"
}

# The packages of swift:6.3-bookworm; the toolchain itself is mounted, see below.
make_swift() {
    "${engine[@]}" build --isolation chroot --tag "$swift" - <<END
FROM $debian
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    binutils gcc git libc6-dev libcurl4-openssl-dev libedit-dev libicu-dev libncurses-dev \
    libpython3-dev libsqlite3-dev libstdc++-12-dev libxml2-dev pkg-config tzdata uuid-dev \
    && rm -rf /var/lib/apt/lists/*
ENV PATH="$toolchain/bin:\$PATH"
LABEL toolchain="$toolchain"
END
}

make_application() {
    "${engine[@]}" build --isolation chroot --tag "$application" - <<END
FROM $debian
RUN apt-get update && apt-get install -y --no-install-recommends sqlite3 \
    && rm -rf /var/lib/apt/lists/*
END
}

have() { "${engine[@]}" image inspect "$1" >/dev/null 2>&1; }

toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v "${SWIFT:-swift}")")")")
for base in debian swift application; do
    have "${!base}" && continue
    timeout 900 "${engine[@]}" pull --quiet "${!base}" 2>"$folder/pull.log" && continue
    [[ ${engine[0]} == podman ]] || skip "${!base} cannot be pulled"
    echo "${!base} cannot be pulled, and is made here"
    "make_$base"
done

toolchain=$("${engine[@]}" image inspect --format '{{index .Config.Labels "toolchain"}}' "$swift")
if [[ $toolchain == /* ]]; then
    build+=(--volume "$toolchain:$toolchain:ro")
    # Where git is told to take GitHub's repositories from a folder, so does the build.
    mirror=$(git config --get-regexp '^url\./.*\.insteadof$' '^https://github.com/$' |
        sed 's/^url\.//; s/\.insteadof .*//' || true)
    if [[ -n $mirror ]]; then
        printf '[url "%s"]\n\tinsteadOf = https://github.com/\n' "$mirror" >"$folder/gitconfig"
        build+=(--volume "$mirror:$mirror:ro" --volume "$folder/gitconfig:/etc/gitconfig:ro")
    fi
fi
"${engine[@]}" "${build[@]}" .
scripts/python.sh Tests/Image/image.py --image "$image" \
    --engine "$(printf '%q ' "${engine[@]}")" "$@"

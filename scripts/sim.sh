#!/usr/bin/env bash
# Simulated histories (docs/PROOF.md): sim.sh FIRST-LAST. With TRACE=1 they are printed.
# Hashing by the same seed in each process, and files in memory: a seed is one history.
#
# More than 2,000 seeds run optimised, in pieces of 500, JOBS at a time (default: one for each
# core), with RESTORES states restored at the end of each (default 10, else 40). What has passed is
# remembered in .build/simulation/passed for as long as the tests' binary is the same, so that an
# interrupted run goes on; a piece that fails leaves its whole log, and the others still run.
set -euo pipefail
cd "$(dirname "$0")/.."

swift=${SWIFT:-swift}
scratch=.build/simulation
passed=$scratch/passed
export SWIFT_DETERMINISTIC_HASHING=1
[[ -d /dev/shm && -w /dev/shm ]] && export TMPDIR=/dev/shm

piece() { # FIRST-LAST
    [[ -e $passed/$1 ]] && return
    local log=$scratch/$1.log
    # Not by `swift test`, which lets one run at a time.
    if HIGHWATER_SIM=$1 "$passed/tests.xctest" \
        --testing-library swift-testing --filter '^SimulationTests\..*durable' >"$log" 2>&1 &&
        grep -a '^simulated seeds' "$log" >"$passed/$1.part"; then
        mv "$passed/$1.part" "$passed/$1"
        rm "$log"
    else
        echo "seeds $1 FAILED: $log"
        grep -aE 'recorded an issue|Fatal error' "$log" | head -n 5 || tail -n 1 "$log"
        return 1
    fi
}

many() { # FIRST LAST
    "$swift" build -c release --build-tests -Xswiftc -enable-testing --scratch-path "$scratch"
    export HIGHWATER_SIM_RESTORES=${RESTORES:-10} swift scratch passed
    export -f piece
    local tests=$scratch/release/highwaterPackageTests.xctest version status=0
    version="$(sha256sum <"$tests") $HIGHWATER_SIM_RESTORES"
    [[ "$(cat "$passed/version" 2>/dev/null)" == "$version" ]] || rm -rf "$passed"
    mkdir -p "$passed"
    # A copy, so that it stays the same while others build.
    [[ -e $passed/version ]] || cp "$tests" "$passed/tests.xctest"
    echo "$version" >"$passed/version"
    for ((first = $1; first <= $2; first += 500)); do
        echo "$first-$((first + 499 < $2 ? first + 499 : $2))"
    done >"$scratch/pieces"
    xargs -a "$scratch/pieces" -P "${JOBS:-$(nproc)}" -I{} bash -c 'piece {}' || status=1
    (cd "$passed" && xargs -a "../pieces" cat 2>/dev/null || true) | awk '
        { split($3, ends, /\.\.\.|:/); seeds += ends[2] - ends[1] + 1
          sub(/.*\(/, ""); sub(/\).*/, ""); count = split($0, pairs, ", ")
          for (i = 1; i <= count; i++) {
              split(pairs[i], pair, ": ")
              if (!(pair[1] in sums)) names[++known] = pair[1]
              sums[pair[1]] += pair[2] } }
        END { printf "%d seeds passed", seeds
              for (i = 1; i <= known; i++) printf ", %s %d", names[i], sums[names[i]]
              print "" }'
    return $status
}

first=${1%-*} last=${1#*-}
if ((last - first >= 2000)); then
    many "$first" "$last"
else
    export HIGHWATER_SIM=$1
    [[ -n "${TRACE:-}" ]] && export HIGHWATER_SIM_TRACE=1
    [[ -n "${BUILD:-}" ]] && "$swift" build --build-tests
    "$swift" test --skip-build --filter '^SimulationTests\.'
fi

#!/usr/bin/env bash
# Simulated histories (docs/PROOF.md): sim.sh FIRST-LAST. With TRACE=1 they are printed.
# Hashing by the same seed in each process, and files in memory: a seed is one history.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_DETERMINISTIC_HASHING=1 HIGHWATER_SIM=$1
[[ -n "${TRACE:-}" ]] && export HIGHWATER_SIM_TRACE=1
[[ -d /dev/shm && -w /dev/shm ]] && export TMPDIR=/dev/shm
"${SWIFT:-swift}" test --skip-build --filter '^SimulationTests\.'

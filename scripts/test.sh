#!/usr/bin/env bash
# What `make test` and CI do: install, lint, format check, build, every test, totals.
# SKIP_SLOW=1 leaves out the end-to-end scenarios; ORACLE_SCALE=10 makes them ten times longer.
set -euo pipefail
cd "$(dirname "$0")/.."

swift=${SWIFT:-swift}
log=.build/test.log
started=$SECONDS
step() { printf '\n== %s (%d s)\n' "$1" $((SECONDS - started)); }

step "packages"
scripts/packages.sh test
mkdir -p .build
eval "export $(scripts/python.sh --print-environment)"
export PYTHONDONTWRITEBYTECODE=1

# Real S3 servers come up while the build runs. One that cannot be installed is skipped, and the
# totals say why; one that is installed and does not come up fails the run.
servers=(python3 Tests/S3Servers/servers.py)
{
    "${servers[@]}" python || true
    "${servers[@]}" aws || true
    "${servers[@]}" up
} >.build/servers.log 2>&1 &
starting=$!
stop_servers() {
    kill "$starting" 2>/dev/null && wait "$starting"
    "${servers[@]}" down
}
trap stop_servers EXIT

step "lint and format check"
make --no-print-directory lint
scripts/python.sh scripts/mutate.py --check

step "build"
"$swift" build --build-tests

step "S3 servers"
came_up=0
wait "$starting" || came_up=$?
cat .build/servers.log
if [[ $came_up -ne 0 ]]; then
    echo "FAILED: not every S3 server came up; see above"
    exit 1
fi
HIGHWATER_S3_SERVERS=$("${servers[@]}" list | sed 's/^{"kind": "\([a-z]*\)".*/\1/' | xargs)
export HIGHWATER_S3_SERVERS

step "tests"
# What keeps a core busy for a minute runs by itself: other tests look at the clock.
filter=(--skip '^ModelTests\.' --skip '^SimulationTests\.')
[[ -n "${SKIP_SLOW:-}" ]] && filter+=(--skip EndToEndTests)
status=0
"$swift" test --skip-build "${filter[@]}" 2>&1 | tee "$log" || status=$?

step "model check"
"$swift" test --skip-build --filter '^ModelTests\.' 2>&1 | tee -a "$log" || status=$?

step "a writer at full speed, alone on the machine"
scripts/python.sh Tests/Oracle/run.py --binary .build/debug/highwater wal_is_bounded \
    wal_is_bounded_beside_checkpoints \
    2>&1 | tee -a "$log" || status=$?

step "real processes under faults"
for store in file s3; do
    scripts/python.sh Tests/Chaos/chaos.py --binary .build/debug/highwater --store "$store" \
        --rounds 4 --seed 7 2>&1 | tee -a "$log" || status=$?
done

step "simulated histories"
# A fixed set has to pass. Fresh seeds are reported: `make sim SEEDS=N-N` repeats one.
scripts/sim.sh 1-300 2>&1 | tee -a "$log" || status=$?
fresh=$(($(date +%s) * 1000))
scripts/sim.sh "$fresh-$((fresh + 99))" 2>&1 |
    grep -aE 'simulated seeds|^. seed|passed|failed' || true

step "totals"
grep -aE 'Test run with [0-9]+ tests?' "$log" || echo "no test run finished"
grep -ahE 'skipped: .*|S3 server .* failed: .*' .build/servers.log "$log" | sort -u | head -n 20 ||
    true
if [[ $status -ne 0 ]]; then
    grep -aE 'recorded an issue|(Test|Suite) .* failed after' "$log" | head -n 60 || true
    echo "FAILED after $((SECONDS - started)) s; the whole log is $log"
    exit 1
fi
echo "passed after $((SECONDS - started)) s"

#!/usr/bin/env bash
# Feeds every decoder of bytes from disk or network what libFuzzer makes of the seeds in
# Fuzz/Corpus (docs/PROOF.md): fuzz.sh SECONDS [TARGET...], seconds for each decoder.
# What was learnt stays in .build/fuzz-corpus, so that a longer run goes on; input that ended the
# process is in .build/fuzz-found, and `fuzz.sh replay FILE TARGET` shows it again.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
HIGHWATER_FUZZ=build "${SWIFT:-swift}" build --sanitize fuzzer --scratch-path .build/fuzz \
    --product Fuzz
fuzz=.build/fuzz/debug/Fuzz
if [[ $seconds == replay ]]; then
    HIGHWATER_FUZZ=$2 SWIFT_BACKTRACE=enable=no exec "$fuzz" "$1"
fi

targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || mapfile -t targets < <(ls Fuzz/Corpus)
total=0
found=0
for target in "${targets[@]}"; do
    learnt=.build/fuzz-corpus/$target
    crashes=.build/fuzz-found/$target
    log=.build/fuzz-corpus/$target.log
    mkdir -p "$learnt" "$crashes"
    status=0
    # Swift's own handler of signals would take them from libFuzzer.
    HIGHWATER_FUZZ=$target SWIFT_BACKTRACE=enable=no "$fuzz" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
        -artifact_prefix="$crashes/" "$learnt" "Fuzz/Corpus/$target" >"$log" 2>&1 || status=$?
    runs=$(grep -aoE '^Done [0-9]+ runs' "$log" | grep -oE '[0-9]+' || echo 0)
    edges=$(grep -aoE 'cov: [0-9]+' "$log" | tail -n 1 || true)
    total=$((total + runs))
    if [[ $status -eq 0 ]]; then
        printf '%-16s %10d inputs  %s\n' "$target" "$runs" "$edges"
    else
        found=$((found + 1))
        printf '%-16s FAILED: %s\n' "$target" "$(find "$crashes" -type f | sort | tail -n 1)"
        grep -aE 'Fatal error|ERROR: libFuzzer|Test unit written' "$log" | head -n 5 || true
    fi
done
echo "${#targets[@]} decoders, $total inputs, $found with findings"
[[ $found -eq 0 ]]

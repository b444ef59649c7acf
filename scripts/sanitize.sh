#!/usr/bin/env bash
# Runs Swift tests under a sanitizer (docs/PROOF.md): sanitize.sh thread|address [TEST-FILTER...]
# Each has a build folder of its own. Findings end the run with a report.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=$1
shift
scratch=.build/$sanitizer
log=$scratch/test.log
known=$PWD/Tests/Sanitizers
findings='WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer'
eval "export $(scripts/python.sh --print-environment)"
export PYTHONDONTWRITEBYTECODE=1
case $sanitizer in
thread)
    export TSAN_OPTIONS="exitcode=66 history_size=4 suppressions=$known/races.txt"
    mkdir -p "$scratch"
    clang=$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")
    "$clang" -O1 -shared -fPIC -o "$scratch/mutex.so" Tests/Sanitizers/mutex.c
    preload=$PWD/$scratch/mutex.so
    ;;
address)
    # Leaks are looked for at the end.
    export ASAN_OPTIONS="detect_leaks=1 detect_stack_use_after_return=0 exitcode=66"
    export LSAN_OPTIONS="suppressions=$known/leaks.txt print_suppressions=0"
    ;;
*) echo "usage: sanitize.sh thread|address [TEST-FILTER...]" >&2 && exit 2 ;;
esac
"${SWIFT:-swift}" build --build-tests --sanitize "$sanitizer" --scratch-path "$scratch"

filters=("$@")
[[ ${#filters[@]} -gt 0 ]] || filters=(
    '^(BytesTests|WALFormatTests|SegmentFormatTests|DigestsTests|FuzzTests|AgentCLITests)\.'
    '^(ObjectStorageTests|S3Tests|HTTPTransportTests)\.'
    '^(ConfigurationTests|SupervisionTests|HTTPServerTests|PlatformTests)\.'
    '^(RestoreTests|MaintenanceTests)\.' '^(ReplicationTests|HazardsTests)\.'
    '^SimulationTests\.'
)
status=0
: >"$log"
for filter in "${filters[@]}"; do
    echo "== $filter"
    LD_PRELOAD=${preload:-} "${SWIFT:-swift}" test --skip-build --sanitize "$sanitizer" \
        --scratch-path "$scratch" --filter "$filter" >"$scratch/part.log" 2>&1 || status=1
    cat "$scratch/part.log" >>"$log"
    grep -aE "$findings|recorded an issue|Test run with .* (passed|failed)" "$scratch/part.log" ||
        tail -n 20 "$scratch/part.log"
done
count=$(grep -acE "$findings" "$log" || true)
echo "$sanitizer: $count findings; the whole log is $log"
exit $((count > 0 ? 1 : status))

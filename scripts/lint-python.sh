#!/usr/bin/env bash
# Compiles every Python and shell program of the repository without running it.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t programs < <(find Tests Benchmarks Fuzz scripts -name '*.py' | sort)
if [[ ${#programs[@]} -gt 0 ]]; then
    scripts/python.sh -W error -c '
import ast, sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as source:
        compile(source.read(), path, "exec", ast.PyCF_ONLY_AST)
' "${programs[@]}"
fi
for script in scripts/*.sh .ci/run; do bash -n "$script"; done

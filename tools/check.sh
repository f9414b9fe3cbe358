#!/usr/bin/env bash
# Every check that needs no machine: all of them run, then it fails if one did.
# usage: tools/check.sh [NAME...]   format, lint, types, shell, schema, workflows
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
tools/python.sh dev
export PATH="$ROOT/.venv/bin:$PATH"

# Every shell script of the repository, by its name or its first line.
shell_scripts() {
  find . \( -name .git -o -name .venv -o -name .tools -o -name .state -o -name '.*_cache' -o -name test-report \) -prune \
    -o -type f -size -200k -print0 | while IFS= read -r -d '' file; do
    case "$file" in *.sh) printf '%s\0' "$file"; continue ;; esac
    head -n 2 "$file" | LC_ALL=C grep -aqE '^#!.*[/ ](ba|da)?sh\b|^# shellcheck shell=' && printf '%s\0' "$file" || true
  done
}

format() { ruff format --check; }
lint() { ruff check; }
# Two programs, so two modules of the name __main__: each has a run of its own.
types() { mypy && mypy tools/offline-docker-provider/__main__.py; }
shell() { shell_scripts | xargs -0 shellcheck; }
schema() { python -m fleet schema --check; }
# GitHub's own schema, as the tool carries it along.
workflows() { check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml; }

if [ $# -eq 0 ]; then set -- format lint types shell schema workflows; fi
failed=()
for name in "$@"; do
  say "$name"
  "$name" || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then fail "failed: ${failed[*]}" "" "" "make fmt mends format and some of lint; make schema the schema"; fi
say "all checks passed"

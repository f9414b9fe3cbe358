#!/usr/bin/env bash
# Runs the static checks: all of them, then fails if one of them did.
# usage: tools/check.sh [NAME...]   format, lint, types, imports, words, shell, schema, workflows
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
tools/python.sh dev
export PATH="$ROOT/.venv/bin:$PATH"

# files [TEST...]: prints the files of the repository that pass find's tests. They need not be in a git checkout.
files() {
  find . \( -name .git -o -name .venv -o -name .tools -o -name .state -o -name '.*_cache' -o -name .hypothesis -o -name test-report \) \
    -prune -o -type f -size -200k "$@" -printf '%P\0'
}

# Prints every shell script, found by its name or its first line.
shell_scripts() {
  files | while IFS= read -r -d '' file; do
    case "$file" in *.sh) printf '%s\0' "$file"; continue ;; esac
    head -n 2 "$file" | LC_ALL=C grep -aqE '^#!.*[/ ](ba|da)?sh\b|^# shellcheck shell=' && printf '%s\0' "$file" || true
  done
}

# Prints every file with prose in it: code, docs, scripts, settings.
prose() {
  shell_scripts
  files \( -name '*.py' -o -name '*.md' -o -name '*.yaml' -o -name '*.yml' -o -name '*.j2' -o -name '*.toml' -o -name '*.json' \
    -o -name '*.conf' -o -name '*.service' -o -name Makefile -o -name 'Dockerfile*' \)
}

format() { ruff format --check; }
lint() { ruff check; }
# Two programs have a module named __main__, and mypy takes one of that name in a run.
types() { mypy && mypy tools/offline-docker-provider/__main__.py; }
imports() { lint-imports --no-logo --no-cache; }
words() { prose | xargs -0 python tools/words.py; }
shell() { shell_scripts | xargs -0 shellcheck; }
schema() { python -m fleet schema --check; }
# Against GitHub's own schema, which is part of check-jsonschema.
workflows() { check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml; }

if [ $# -eq 0 ]; then set -- format lint types imports words shell schema workflows; fi
failed=()
for name in "$@"; do
  say "$name"
  "$name" || failed+=("$name")
done
if [ ${#failed[@]} -gt 0 ]; then fail "failed: ${failed[*]}" "" "" "make fmt for format and some of lint; make schema for the schema"; fi
say "all checks passed"

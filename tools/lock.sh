#!/usr/bin/env bash
# Locks every requirement with its hashes, for Linux on x86_64 and aarch64 and Python 3.11 or later. Needs the network.
# usage: tools/lock.sh [--upgrade]   --upgrade moves to newer versions; without it locked versions stay
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UV=0.13.9
scratch
cd "$ROOT"
[ -x .venv/bin/python ] || fail "there is no Python environment" "" "" "make setup"
if [ ! -x "$TOOLS/uv-$UV/bin/uv" ]; then
  .venv/bin/python -m venv "$SCRATCH/uv"
  "$SCRATCH/uv/bin/pip" install --quiet --disable-pip-version-check "uv==$UV"
  mv "$SCRATCH/uv" "$TOOLS/uv-$UV"
fi

compile() {
  "$TOOLS/uv-$UV/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --custom-compile-command "make lock" "$@"
}
compile pyproject.toml --output-file requirements.lock
compile --extra dev --constraint requirements.lock pyproject.toml --output-file requirements-dev.lock
for version in 0.15.1 0.19.0; do
  compile "tools/image/requirements-$version.in" --output-file "tools/image/requirements-$version.lock"
done
say "locked; commit requirements*.lock and tools/image/*.lock"

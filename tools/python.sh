#!/usr/bin/env bash
# Makes the virtual environment .venv from the locked and hashed requirements.
# usage: tools/python.sh [dev]   dev adds the requirements of tests and checks
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VENV="$ROOT/.venv"
STAMP="$VENV/.locked" # name and digest of the lock file that it was installed from
PLACE="$VENV/.place"  # its path and Python version; it works with no others
LEVEL="${1:-run}"
# Take .venv/bin, which .state/env adds, off PATH: an environment cannot be rebuilt with its own Python.
PATH=":$PATH:"
PATH="${PATH//":$VENV/bin:"/:}"
PATH="${PATH#:}"
PATH="${PATH%:}"

if [ "$LEVEL" = dev ]; then LOCK=requirements-dev.lock; else LOCK=requirements.lock; fi

stamp_of() { printf '%s %s\n' "$1" "$(digest "$ROOT/$1")"; }

# Prints the environment's path and Python version; fails where it has no Python.
place_of() {
  "$VENV/bin/python" -c 'import os, sys
print("%s for Python %d.%d" % (os.path.realpath(sys.argv[1]), *sys.version_info[:2]))' "$VENV" 2>/dev/null
}

# fits: whether the environment is complete, was not moved, and still has the Python version that it was made with.
fits() { [ -f "$PLACE" ] && place="$(place_of)" && [ "$(cat "$PLACE")" = "$place" ]; }

# is_current LOCKFILE: whether the environment was installed from this version of the lock file.
is_current() { [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(stamp_of "$1")" ]; }

recent_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the first Python that is recent enough.
find_python() {
  local name
  for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if have "$name" && recent_enough "$name"; then
      command -v "$name"
      return
    fi
  done
  return 1
}

# Prints the versions of the Pythons that were tried, for the error message.
seen_pythons() {
  local name
  for name in ${PYTHON:-python3}; do
    if have "$name"; then printf '%s is %s' "$name" "$("$name" --version 2>&1)"; else printf '%s is not installed' "$name"; fi
  done
}

alone
if fits && { is_current "$LOCK" || is_current requirements-dev.lock; }; then exit 0; fi

python="$(find_python)" || {
  if ! have python3 && [ -z "${PYTHON:-}" ] && is_debian && is_root; then
    apt_install "Python is needed" python3 python3-venv
  fi
  python="$(find_python)" || fail "Python 3.11 or later is needed" "${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}" \
    "$(seen_pythons)" "install one (Debian 12 and Ubuntu 24.04 have it: sudo apt-get install python3 python3-venv),
or name one: make up PYTHON=/path/to/python3.11"
}

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  # Debian splits ensurepip off into a package of its own.
  apt_install "$python cannot make virtual environments" "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
fi

fresh=
if ! fits || ! recent_enough "$VENV/bin/python"; then
  fresh=yes
  rm -rf "$VENV"
  say "creating the Python environment .venv with $("$python" --version 2>&1)"
  quietly "$python" -m venv "$VENV" || {
    rm -rf "$VENV"
    fail "the Python environment could not be created" "$python -m venv $VENV" "$(last 5)" \
      "check the disk (df -h $ROOT), or install the package python3-venv"
  }
  place_of >"$PLACE"
fi
say "installing the locked requirements ($LOCK)"
rm -f "$STAMP"
quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --requirement "$ROOT/$LOCK" || {
  if [ -n "$fresh" ]; then rm -rf "$VENV"; fi
  fail "the locked requirements could not be installed" "pip install --require-hashes -r $LOCK" "$(last 5)" \
    "check the network, pip's package index (pip config list) and the disk (df -h $ROOT)"
}
stamp_of "$LOCK" >"$STAMP"

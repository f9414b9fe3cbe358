#!/usr/bin/env bash
# The virtual environment .venv, from the locked and hashed requirements.
# usage: tools/python.sh [dev]   dev adds what tests and checks need
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VENV="$ROOT/.venv"
STAMP="$VENV/.locked"
LEVEL="${1:-run}"

if [ "$LEVEL" = dev ]; then LOCK=requirements-dev.lock; else LOCK=requirements.lock; fi

stamp_of() { printf '%s %s\n' "$1" "$(digest "$ROOT/$1")"; }

# is_current LOCKFILE: whether the environment was made from this very lock and still has a Python.
is_current() {
  [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$(stamp_of "$1")" ] && "$VENV/bin/python" -c '' 2>/dev/null
}

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

# What is there instead, for the message.
seen_pythons() {
  local name
  for name in ${PYTHON:-python3}; do
    if have "$name"; then printf '%s is %s' "$name" "$("$name" --version 2>&1)"; else printf '%s is not installed' "$name"; fi
  done
}

if is_current "$LOCK" || is_current requirements-dev.lock; then exit 0; fi

python="$(find_python)" || {
  if ! have python3 && [ -z "${PYTHON:-}" ] && is_debian && is_root; then
    apt_install "Python is needed" python3 python3-venv
  fi
  python="$(find_python)" || fail "Python 3.11 or later is needed" "${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}" \
    "$(seen_pythons)" "install one (Debian 12 and Ubuntu 24.04 have it: sudo apt-get install python3 python3-venv),
or name one: make up PYTHON=/path/to/python3.11"
}

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  # A Debian Python comes without the part of its library that makes virtual environments.
  apt_install "$python cannot make virtual environments" "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
fi

fresh=
# pip's command is the last thing that an environment gets: without it, the run that made it was interrupted.
if ! recent_enough "$VENV/bin/python" || [ ! -x "$VENV/bin/pip" ]; then
  fresh=yes
  rm -rf "$VENV"
  say "making the Python environment .venv with $("$python" --version 2>&1)"
  quietly "$python" -m venv "$VENV" || {
    rm -rf "$VENV"
    fail "the Python environment could not be made" "$python -m venv $VENV" "$(last 5)" \
      "free disk space where it says so (df -h $ROOT), or install the package python3-venv"
  }
fi
say "installing the locked requirements ($LOCK)"
rm -f "$STAMP"
quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --requirement "$ROOT/$LOCK" || {
  if [ -n "$fresh" ]; then rm -rf "$VENV"; fi
  fail "the locked requirements could not be installed" "pip install --require-hashes -r $LOCK" "$(last 5)" \
    "check the network, the package index that pip is set to (pip config list) and the disk (df -h $ROOT)"
}
stamp_of "$LOCK" >"$STAMP"

# Functions and paths that the set-up scripts share. Sourced, never run.
# shellcheck shell=bash
set -Eeuo pipefail
trap 'printf "error: %s stopped at line %s: %s\n" "$0" "$LINENO" "$BASH_COMMAND" >&2' ERR

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STATE="$ROOT/.state"  # of the dev stack: backend, passphrase, keys
TOOLS="$ROOT/.tools"  # caches and scratch folders; may be deleted at any time
export ROOT STATE TOOLS
# Where HOME is not set, the shell takes it from the user database.
if [ -z "${HOME:-}" ]; then
  unset HOME
  HOME=~
fi
export HOME
# The docker command follows its current context, but the provider and docker-py only read DOCKER_HOST. Keep them on one daemon.
# shellcheck disable=SC2034  # tools/docker.sh uses it
OWN_CONTEXT="${DOCKER_CONTEXT:-}"
export DOCKER_CONTEXT=default
# .state/env may have set it to the offline provider's folder; set-up needs the user's own.
if [ "${PULUMI_HOME:-}" = "$TOOLS/pulumi-home" ]; then unset PULUMI_HOME PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION; fi
# shellcheck source=tools/no-proxy.sh
. "$ROOT/tools/no-proxy.sh"

# Some commands exit with an ordinary code when they are interrupted; exit here before a script reads that as their result.
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '==> %s\n' "$*"; }

# Prints each disk with less than 100 MB free: many programs fail on a full disk without saying so.
full_disks() {
  local place free
  for place in "$ROOT" "$HOME" "${TMPDIR:-/tmp}"; do
    if [ ! -e "$place" ]; then continue; fi
    free="$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')" || continue
    if [ -n "$free" ] && [ "$free" -lt 100 ]; then printf '  disk:     only %s MB are free where %s is\n' "$free" "$place"; fi
  done
}

# fail WHAT TRIED ANSWERED FIX: prints what failed and how to fix it, and exits with 1. Empty parts are left out.
fail() {
  {
    printf 'error: %s\n' "$1"
    [ -z "${2:-}" ] || printf '  tried:    %s\n' "${2//$'\n'/$'\n            '}"
    [ -z "${3:-}" ] || printf '  answered: %s\n' "${3//$'\n'/$'\n            '}"
    full_disks
    [ -z "${4:-}" ] || printf '  fix:      %s\n' "${4//$'\n'/$'\n            '}"
  } >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# quietly COMMAND...: runs it with its output in $answer; a file could not be written on a full disk.
quietly() { answer="$("$@" 2>&1 </dev/null)"; }

# last LINES: prints the last lines of $answer, each cut to 300 characters.
last() { printf '%s' "$answer" | tail -n "$1" | cut -c1-300; }

is_root() { [ "$(id -u)" = 0 ]; }

# True on Debian, Ubuntu and their derivatives.
is_debian() {
  have apt-get || return 1
  (
    # shellcheck source=/dev/null
    . "${OS_RELEASE:-/etc/os-release}" 2>/dev/null || exit 1
    case " ${ID:-} ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) exit 0 ;; esac
    exit 1
  )
}

# alone: takes the lock of this checkout's set-up, waiting for another set-up to end, and holds it until this script ends.
# File descriptor 9 holds the lock. Child processes inherit it, so that it outlasts a killed script while they run; start a
# daemon with 9>&-.
alone() {
  if [ "${HERMES_FLEET_ALONE:-}" = "$ROOT" ]; then return; fi # the script that called this one has it
  have flock || fail "cannot lock the set-up" "flock" "the command is not installed" \
    "install the package util-linux"
  { mkdir -p "$TOOLS" && : >>"$TOOLS/lock"; } 2>/dev/null || fail "cannot write to $TOOLS" "touch $TOOLS/lock" "" \
    "make the repository's folder writable for $(id -un), or free some disk space (df -h $ROOT)"
  exec 9>>"$TOOLS/lock"
  if ! flock --nonblock 9; then
    say "another set-up of this checkout is running; waiting for it"
    flock 9
  fi
  export HERMES_FLEET_ALONE="$ROOT"
  rm -rf "$TOOLS"/tmp.* # scratch folders of killed set-ups
}

# Makes a scratch folder, $SCRATCH, that is removed when the script ends.
scratch() {
  alone
  SCRATCH="$(mktemp -d "$TOOLS/tmp.XXXXXX" 2>&1)" || fail "cannot make a scratch folder" "mktemp -d in $TOOLS" "$SCRATCH" \
    "free some disk space (df -h $ROOT)"
  trap 'rm -rf "$SCRATCH"' EXIT
}

# Makes the folder of the dev stack's state, which only its owner can read.
make_state() {
  { mkdir -p "$STATE" && chmod 0700 "$STATE"; } 2>/dev/null || fail "cannot write to $STATE" "mkdir $STATE" "" \
    "make the repository's folder writable, or free some disk space (df -h $ROOT)"
}

# apt_install WHY PACKAGE...: installs Debian packages as root; otherwise fails with the command to run.
apt_install() {
  local why="$1" answer
  shift
  is_debian || fail "$why" "" "this is not a Debian or Ubuntu machine" "install the equivalent of: $*"
  is_root || fail "$why" "" "only root can install packages" "sudo apt-get install --yes --no-install-recommends $*"
  alone
  say "installing $* ($why)"
  # Without the lock: a package may start a daemon.
  { quietly apt-get update -qq && quietly env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; } 9>&- ||
    fail "$why" "apt-get update && apt-get install --yes --no-install-recommends $*" "$(last 5)" \
      "check /etc/apt/sources.list, the network and the disk (df -h)"
}

# digest FILE...: prints one SHA-256 over the names, relative to the repository, and the contents.
digest() {
  (
    cd "$ROOT"
    for file in "$@"; do printf '%s\n' "${file#"$ROOT"/}"; cat "$file"; done
  ) | sha256sum | cut -c1-64
}

# version_at_least HAVE WANT: whether dotted version HAVE is WANT or later.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

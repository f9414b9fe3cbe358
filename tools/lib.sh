# Shared by the set-up scripts: how they speak, how they fail, where they keep things. Sourced, never run.
# shellcheck shell=bash
set -Eeuo pipefail
trap 'printf "error: %s stopped at line %s: %s\n" "$0" "$LINENO" "$BASH_COMMAND" >&2' ERR

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STATE="$ROOT/.state"  # of the dev stack: backend, passphrase, keys
TOOLS="$ROOT/.tools"  # caches and half-made things; may be deleted at any time
export ROOT STATE TOOLS
# A user without HOME has a home all the same.
if [ -z "${HOME:-}" ]; then
  unset HOME
  HOME=~
fi
export HOME
# The docker command would follow its current context; the provider and docker-py only know DOCKER_HOST and the default.
# shellcheck disable=SC2034  # tools/docker.sh names it
OWN_CONTEXT="${DOCKER_CONTEXT:-}"
export DOCKER_CONTEXT=default
# With .state/env sourced this may be the folder of the offline provider; the user's own is meant.
if [ "${PULUMI_HOME:-}" = "$TOOLS/pulumi-home" ]; then unset PULUMI_HOME PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION; fi
# shellcheck source=tools/no-proxy.sh
. "$ROOT/tools/no-proxy.sh"

# Some commands end quietly when they are interrupted: the script must not take that for their answer.
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '==> %s\n' "$*"; }

# Names each disk that is all but full: few programs say so themselves.
full_disks() {
  local place free
  for place in "$ROOT" "$HOME" "${TMPDIR:-/tmp}"; do
    if [ ! -e "$place" ]; then continue; fi
    free="$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')" || continue
    if [ -n "$free" ] && [ "$free" -lt 100 ]; then printf '  disk:     only %s MB are free where %s is\n' "$free" "$place"; fi
  done
}

# fail WHAT TRIED ANSWERED MEND: says what failed and how to mend it, and ends the script. Empty parts are left out.
fail() {
  {
    printf 'error: %s\n' "$1"
    [ -z "${2:-}" ] || printf '  tried:    %s\n' "${2//$'\n'/$'\n            '}"
    [ -z "${3:-}" ] || printf '  answered: %s\n' "${3//$'\n'/$'\n            '}"
    full_disks
    [ -z "${4:-}" ] || printf '  mend:     %s\n' "${4//$'\n'/$'\n            '}"
  } >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# quietly COMMAND...: runs it with its output in $answer and not in a file, which a full disk would not take.
quietly() { answer="$("$@" 2>&1 </dev/null)"; }

# last LINES: the end of $answer, short enough for an error message.
last() { printf '%s' "$answer" | tail -n "$1" | cut -c1-300; }

is_root() { [ "$(id -u)" = 0 ]; }

# True on Debian, Ubuntu and what calls itself their like.
is_debian() {
  have apt-get || return 1
  (
    # shellcheck source=/dev/null
    . "${OS_RELEASE:-/etc/os-release}" 2>/dev/null || exit 1
    case " ${ID:-} ${ID_LIKE:-} " in *" debian "* | *" ubuntu "*) exit 0 ;; esac
    exit 1
  )
}

# alone: waits until no other set-up of this checkout is at work, and keeps others out until this script ends.
# The lock is held by file descriptor 9. A killed script's own commands keep it while they still work; a daemon must
# not take it along (9>&-).
alone() {
  if [ "${HERMES_FLEET_ALONE:-}" = "$ROOT" ]; then return; fi # the script that called this one has it
  have flock || fail "two set-ups at once could not be kept apart" "flock" "the command is not installed" \
    "install the package util-linux"
  { mkdir -p "$TOOLS" && : >>"$TOOLS/lock"; } 2>/dev/null || fail "cannot write to $TOOLS" "touch $TOOLS/lock" "" \
    "make the repository's folder writable for $(id -un), or free some disk space (df -h $ROOT)"
  exec 9>>"$TOOLS/lock"
  if ! flock --nonblock 9; then
    say "another set-up of this checkout is at work; waiting for it"
    flock 9
  fi
  export HERMES_FLEET_ALONE="$ROOT"
  rm -rf "$TOOLS"/tmp.* # what a killed set-up left
}

# Makes a directory for half-made things that is removed when the script ends; its path is in $SCRATCH.
scratch() {
  alone
  SCRATCH="$(mktemp -d "$TOOLS/tmp.XXXXXX" 2>&1)" || fail "cannot make a scratch folder" "mktemp -d in $TOOLS" "$SCRATCH" \
    "free some disk space (df -h $ROOT)"
  trap 'rm -rf "$SCRATCH"' EXIT
}

# The folder of the dev stack's state: its owner's alone.
make_state() {
  { mkdir -p "$STATE" && chmod 0700 "$STATE"; } 2>/dev/null || fail "cannot write to $STATE" "mkdir $STATE" "" \
    "make the repository's folder writable, or free some disk space (df -h $ROOT)"
}

# apt_install WHY PACKAGE...: installs Debian packages, as root only; says the line to run otherwise.
apt_install() {
  local why="$1" answer
  shift
  is_debian || fail "$why" "" "this is no Debian or Ubuntu machine" "install the equivalent of: $*"
  is_root || fail "$why" "" "only root can install packages" "sudo apt-get install --yes --no-install-recommends $*"
  alone
  say "installing $* ($why)"
  # A package may start a daemon, which must not keep the lock.
  { quietly apt-get update -qq && quietly env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"; } 9>&- ||
    fail "$why" "apt-get update && apt-get install --yes --no-install-recommends $*" "$(last 5)" \
      "look at the answer above; often /etc/apt/sources.list, the network or the disk (df -h)"
}

# digest FILE...: one SHA-256 over names and contents, in the order given, relative to the repository.
digest() {
  (
    cd "$ROOT"
    for file in "$@"; do printf '%s\n' "${file#"$ROOT"/}"; cat "$file"; done
  ) | sha256sum | cut -c1-64
}

# version_at_least HAVE WANT: compares dotted versions.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

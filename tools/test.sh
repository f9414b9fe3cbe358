#!/usr/bin/env bash
# Sets up what tests need, as far as this machine allows, then runs them. What cannot run is skipped, and says why.
# usage: tools/test.sh [PYTEST ARGUMENT...]   PYTEST_WORKERS=N sets how many run side by side.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
tools/python.sh dev

# only_unit ARGUMENT...: whether the tests that are asked for are unit tests alone, which need nothing but Python.
only_unit() {
  local word before='' found=1
  for word; do
    case "$before $word" in
      -k\ * | -m\ *) ;;
      *\ --deselect* | *\ --ignore* | *..*) return 1 ;; # names what is left out, or leads elsewhere
      *\ tests/unit | *\ tests/unit[:/]*) found=0 ;;
      *) if [ -e "${word%%::*}" ]; then return 1; fi ;;
    esac
    before="$word"
  done
  return "$found"
}

# A piece that cannot be had costs the tests that need it, not the others.
try() { ("$@") || say "going on without it"; }

# tests_want COMMAND PACKAGE WHY: installs what some tests run, where this machine lets us.
tests_want() {
  if ! have "$1" && is_debian && is_root; then try apt_install "$3" "$2"; fi
}

# Only unpacked: the installed package would serve on port 80.
unpack_nginx() (
  scratch
  cd "$SCRATCH"
  quietly apt-get download nginx || fail "nginx cannot be had; tests run the socket proxy on it" "apt-get download nginx" "$(last 3)" "apt-get update"
  dpkg -x nginx_*.deb nginx
  mv nginx "$TOOLS/nginx"
)

# Where both providers are present, the tests hold them against each other.
offline_provider() {
  alone
  sh tools/offline-docker-provider/install.sh
}

set_up() {
  try tools/pulumi-cli.sh
  if [ -f "$TOOLS/pulumi-bin" ]; then
    try tools/docker-plugin.sh
    try offline_provider
  fi
  if tools/docker.sh check; then
    try tools/image.sh build 0.19.0 0.15.1 0.19.0-s6 0.15.1-s6
  else
    say "going on without Docker"
  fi
  tests_want busybox busybox-static "tests of the engine run a stand-in for the agent"
  tests_want ip iproute2 "tests give a Docker daemon of their own a bridge"
  tests_want wget wget "tests run the health check with each tool that an image may have"
  tests_want chromium chromium "tests open the reaper's page in a browser"
  if ! have nginx && [ ! -d "$TOOLS/nginx" ] && is_debian; then try unpack_nginx; fi
}

# Much of the time goes in waiting for agents to boot, and for containers to be called healthy or to stop; not so in unit
# tests, where each worker's imports count.
more=1
if ! only_unit "$@"; then
  set_up
  more=3
fi
if [ -f "$TOOLS/pulumi-bin" ]; then PATH="$(cat "$TOOLS/pulumi-bin"):$PATH"; fi
export PATH="$ROOT/.venv/bin:$PATH"
# Without it pytest compiles every test anew in every worker of every run.
unset PYTHONDONTWRITEBYTECODE
unset PULUMI_STACK PULUMI_BACKEND_URL PULUMI_CONFIG_PASSPHRASE PULUMI_CONFIG_PASSPHRASE_FILE DOCKER_CONTEXT
mkdir -p test-report
rm -rf test-report/junit.xml test-report/logs
exec python -m pytest --numprocesses "${PYTEST_WORKERS:-$(($(nproc) + more))}" --dist loadgroup --junitxml test-report/junit.xml "$@"

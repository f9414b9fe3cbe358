#!/usr/bin/env bash
# Runs the tests. A test that cannot run on this machine is skipped with the reason.
# usage: tools/test.sh all|unit [PYTEST ARGUMENT...]
#   all    sets up what the tests need, as far as this machine allows, then runs every test
#   unit   sets up Python alone, then runs tests/unit
# PYTEST_WORKERS=N sets the number of parallel workers.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Most of the time goes into waiting for containers; unit tests compute, and each worker imports everything anew.
case "${1:-}" in
  all) paths=tests more=3 ;;
  unit) paths=tests/unit more=1 ;;
  *) fail "usage: tools/test.sh all|unit [PYTEST ARGUMENT...]" ;;
esac
layers="$1"
shift

cd "$ROOT"
tools/python.sh dev

# try COMMAND...: goes on without a piece that cannot be had; the tests that need it are skipped.
try() { ("$@") || say "going on without it"; }

# tests_want COMMAND PACKAGE WHY: installs a command that some tests run, as root on Debian or Ubuntu.
tests_want() {
  if ! have "$1" && is_debian && is_root; then try apt_install "$3" "$2"; fi
}

# Unpacks nginx without installing it: the installed package would serve on port 80.
unpack_nginx() (
  scratch
  cd "$SCRATCH"
  quietly apt-get download nginx || fail "cannot download nginx, which tests run the socket proxy on" "apt-get download nginx" "$(last 3)" "apt-get update"
  dpkg -x nginx_*.deb nginx
  mv nginx "$TOOLS/nginx"
)

# The tests compare the two providers, so the offline one is installed beside the official one.
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
  tests_want busybox busybox-static "tests of the engine run a stub agent"
  tests_want ip iproute2 "tests give a Docker daemon of their own a bridge"
  tests_want wget wget "tests run the health check with each tool that an image may have"
  tests_want chromium chromium "tests open the reaper's page in a browser"
  if ! have nginx && [ ! -d "$TOOLS/nginx" ] && is_debian; then try unpack_nginx; fi
}

if [ "$layers" = all ]; then set_up; fi
if [ -f "$TOOLS/pulumi-bin" ]; then PATH="$(cat "$TOOLS/pulumi-bin"):$PATH"; fi
export PATH="$ROOT/.venv/bin:$PATH"
# Set, it would make pytest compile every test anew in every worker of every run.
unset PYTHONDONTWRITEBYTECODE
unset PULUMI_STACK PULUMI_BACKEND_URL PULUMI_CONFIG_PASSPHRASE PULUMI_CONFIG_PASSPHRASE_FILE DOCKER_CONTEXT
mkdir -p test-report
rm -rf test-report/junit.xml test-report/logs
# pytest takes `testpaths` where its arguments name no path.
exec python -m pytest --override-ini "testpaths=$paths" --numprocesses "${PYTEST_WORKERS:-$(($(nproc) + more))}" --dist loadgroup --junitxml test-report/junit.xml "$@"

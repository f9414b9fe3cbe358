#!/usr/bin/env bash
# The Docker daemon.
# usage: tools/docker.sh check   says what is wrong where none answers
#        tools/docker.sh start   installs and starts one, as root on Debian or Ubuntu; says the line to run otherwise
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST=20.10
START="sudo apt-get install --yes docker.io && sudo systemctl start docker"

# answers: whether a daemon answers; its version is in $answer, else what was said instead.
answers() {
  have docker || { answer="the docker command is not installed"; return 1; }
  answer="$(timeout 20 docker version --format '{{.Server.Version}}' 2>&1 </dev/null)"
}

where() { printf '%s' "${DOCKER_HOST:-unix:///var/run/docker.sock}"; }

# explain: fails with the cause of what `answers` found, each with its own mend.
explain() {
  case "$answer" in
    *[Pp]ermission\ denied*)
      fail "this user may not talk to the Docker daemon" "docker version ($(where))" "$(printf '%s' "$answer" | tail -n1)" \
        "sudo usermod -aG docker $(id -un), then log in again (or run: newgrp docker)" ;;
  esac
  if [ -n "${DOCKER_HOST:-}" ]; then
    fail "no Docker daemon answers at DOCKER_HOST" "docker version ($(where))" "$(printf '%s' "$answer" | tail -n1)" \
      "start that daemon, or unset DOCKER_HOST to use the one of this machine"
  fi
  if is_debian && is_root; then
    fail "no Docker daemon is running" "docker version ($(where))" "$(printf '%s' "$answer" | tail -n1)" "make docker"
  fi
  if is_debian; then
    fail "no Docker daemon is running" "docker version ($(where))" "$(printf '%s' "$answer" | tail -n1)" "$START"
  fi
  fail "no Docker daemon is running" "docker version ($(where))" "$(printf '%s' "$answer" | tail -n1)" \
    "install and start Docker: https://docs.docker.com/engine/install"
}

check() {
  answers || explain
  version_at_least "$answer" "$OLDEST" ||
    fail "the Docker daemon is too old" "docker version ($(where))" "$answer" "upgrade Docker to $OLDEST or later"
}

start() {
  if answers; then
    say "Docker $answer is running"
    return
  fi
  if [ -n "${DOCKER_HOST:-}" ] || ! is_debian || ! is_root; then explain; fi
  case "$answer" in *[Pp]ermission\ denied*) explain ;; esac
  if ! have dockerd || ! have docker; then
    local packages=(docker.io)
    # Newer releases have the command in a package of its own.
    apt-get update -qq >/dev/null 2>&1 || true
    if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
    apt_install "Docker is needed" "${packages[@]}"
  fi
  if answers; then # the package has started it
    say "Docker $answer is running"
    return
  fi
  local log="$STATE/dockerd.log" pid=
  make_state
  if [ -d /run/systemd/system ]; then
    say "starting Docker with systemd"
    quietly systemctl start docker || fail "Docker could not be started" "systemctl start docker" "$(last 5)" "journalctl -u docker"
  else
    say "starting dockerd; its log is .state/dockerd.log"
    (umask 077 && : >"$log")
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
    pid=$!
  fi
  local left
  for ((left = 120; left > 0; left--)); do
    if answers; then
      say "Docker $answer is running"
      return
    fi
    if [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.5
  done
  fail "dockerd does not come up" "dockerd (log: $log)" "$(grep -iE 'fail|error' "$log" | tail -n 4 | cut -c1-300)" \
    "read the log; in a container of its own dockerd needs --privileged"
}

case "${1:-}" in
  check) check ;;
  start) start ;;
  *) fail "usage: tools/docker.sh check | start" ;;
esac

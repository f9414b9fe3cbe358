#!/usr/bin/env bash
# Checks or starts the Docker daemon.
# usage: tools/docker.sh check   fails with the cause where no daemon answers
#        tools/docker.sh start   installs and starts one as root on Debian or Ubuntu; elsewhere fails with the command to run
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

OLDEST=20.10
START="sudo apt-get install --yes docker.io && sudo systemctl start docker"

# answers: whether a daemon answers. $answer is its version or the error, HUNG is 1 where it timed out.
answers() {
  HUNG=0
  have docker || { answer="the docker command is not installed"; return 1; }
  local code=0
  answer="$(timeout --foreground 20 docker version --format '{{.Server.Version}}' 2>&1 </dev/null)" || code=$?
  if [ "$code" = 124 ]; then answer="no answer in 20 seconds"; fi
  answer="${answer##*$'\n'}" # warnings about the command's own settings come first
  HUNG=$((code == 124))
  return "$code"
}

where() { printf '%s' "${DOCKER_HOST:-unix:///var/run/docker.sock}"; }

# Prints name and address of the user's current docker context, unless it is the default one.
other_context() {
  local name='' host=''
  if [ -n "${DOCKER_HOST:-}" ] || ! have docker; then return; fi
  read -r name host < <(DOCKER_CONTEXT="$OWN_CONTEXT" docker context inspect --format '{{.Name}} {{.Endpoints.docker.Host}}' 2>/dev/null) || true
  case "$name" in '' | default) ;; *) printf '%s %s' "$name" "$host" ;; esac
}

# explain: fails with the cause of the error that `answers` found, and its fix.
explain() {
  local tried other fix="install and start Docker: https://docs.docker.com/engine/install"
  tried="docker version ($(where))"
  case "$answer" in
    *[Pp]ermission\ denied\ while\ trying\ to\ connect* | *connect:\ permission\ denied*)
      fail "permission denied: this user cannot connect to the Docker daemon" "$tried" "$answer" \
        "sudo usermod -aG docker $(id -un), then log in again (or run: newgrp docker)" ;;
  esac
  if [ -n "${DOCKER_HOST:-}" ]; then
    fail "no Docker daemon answers at DOCKER_HOST" "$tried" "$answer" \
      "start that daemon, or unset DOCKER_HOST to use the one of this machine"
  fi
  if [ "$HUNG" = 1 ]; then fail "the Docker daemon does not answer" "$tried" "$answer" "sudo systemctl restart docker; its log: journalctl -u docker"; fi
  other="$(other_context)"
  if [ -n "$other" ]; then
    fail "no Docker daemon is running at the default address, and Pulumi's docker provider does not read docker contexts" "$tried" "$answer" \
      "to use the daemon of your context ${other% *}: export DOCKER_HOST=${other#* }"
  fi
  if is_debian && is_root; then fix="make docker"; elif is_debian; then fix="$START"; fi
  fail "no Docker daemon is running" "$tried" "$answer" "$fix"
}

check() {
  answers || explain
  version_at_least "$answer" "$OLDEST" ||
    fail "the Docker daemon is too old" "docker version ($(where))" "$answer" "upgrade Docker to $OLDEST or later"
}

# await_daemon [PID]: waits up to a minute for a daemon to answer; returns 1 at once where the process has exited.
await_daemon() {
  local left
  for ((left = 120; left > 0; left--)); do
    if answers; then return; fi
    if [ -n "${1:-}" ] && ! kill -0 "$1" 2>/dev/null; then return 1; fi
    sleep 0.5
  done
  return 1
}

start_with_systemd() {
  say "starting Docker with systemd"
  if quietly systemctl start docker && await_daemon; then return; fi
  fail "Docker could not be started" "systemctl start docker" "$(last 5)" "see its log: journalctl -u docker"
}

start_alone() {
  local log="$STATE/dockerd.log"
  make_state
  say "starting dockerd; its log is .state/dockerd.log"
  (umask 077 && : >"$log")
  setsid nohup dockerd >"$log" 2>&1 </dev/null 9>&- &
  if await_daemon "$!"; then return; fi
  answer="$(grep -iE 'fail|error' "$log" || cat "$log")"
  fail "dockerd did not start" "dockerd (log: $log)" "$(last 4)" "see the log; in a container dockerd needs --privileged"
}

start() {
  alone
  if ! answers; then
    if [ -n "${DOCKER_HOST:-}" ] || [ "$HUNG" = 1 ] || ! is_debian || ! is_root; then explain; fi
    case "$answer" in *[Pp]ermission\ denied*) explain ;; esac
    if ! have dockerd || ! have docker; then
      local packages=(docker.io)
      # Newer releases have the command in a package of its own.
      apt-get update -qq >/dev/null 2>&1 || true
      if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
      apt_install "Docker is needed" "${packages[@]}"
    fi
    # The package may have started the daemon.
    if answers; then :; elif [ -d "${SYSTEMD:-/run/systemd/system}" ]; then start_with_systemd; else start_alone; fi
  fi
  say "Docker $answer is running"
}

case "${1:-}" in
  check) check ;;
  start) start ;;
  *) fail "usage: tools/docker.sh check | start" ;;
esac

#!/command/with-contenv sh
# shellcheck shell=sh
# The container's command: an executable on PATH is run as it is, anything else is a subcommand of hermes.
export HOME=/opt/data
# shellcheck source=/dev/null
. /opt/hermes/.venv/bin/activate
if [ $# -eq 0 ]; then
  exec s6-setuidgid hermes hermes
fi
if command -v "$1" >/dev/null 2>&1; then
  exec s6-setuidgid hermes "$@"
fi
exec s6-setuidgid hermes hermes "$@"

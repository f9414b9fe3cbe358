#!/bin/sh
# Entrypoint in the manner of upstream's images before s6: prepares /opt/data as root, then runs the agent as hermes.
set -e
HERMES_HOME="${HERMES_HOME:-/opt/data}"
INSTALL_DIR=/opt/hermes

if [ "$(id -u)" = 0 ]; then
  uid="${HERMES_UID:-${PUID:-}}"
  gid="${HERMES_GID:-${PGID:-}}"
  remapped=
  if [ -n "$gid" ] && [ "$gid" != "$(id -g hermes)" ]; then
    groupmod -o -g "$gid" hermes
  fi
  if [ -n "$uid" ] && [ "$uid" != "$(id -u hermes)" ]; then
    usermod -u "$uid" hermes
    remapped=yes
  fi
  if [ -n "$remapped" ] || [ "$(stat -c %u "$HERMES_HOME")" != "$(id -u hermes)" ]; then
    chown -R hermes:hermes "$HERMES_HOME" 2>/dev/null || echo "Warning: could not change the owner of $HERMES_HOME" >&2
  fi
  if [ -f "$HERMES_HOME/config.yaml" ]; then
    chown hermes:hermes "$HERMES_HOME/config.yaml" 2>/dev/null || true
    chmod 640 "$HERMES_HOME/config.yaml" 2>/dev/null || true
  fi
  exec gosu hermes "$0" "$@"
fi

# shellcheck source=/dev/null
. "$INSTALL_DIR/.venv/bin/activate"
for name in cron sessions logs hooks memories skills skins plans workspace home; do
  mkdir -p "$HERMES_HOME/$name"
done

# seed FILE TEMPLATE: copies a template of the image, where it has one, and never over a file that is there.
seed() {
  if [ ! -f "$HERMES_HOME/$1" ] && [ -f "$INSTALL_DIR/$2" ]; then
    cp "$INSTALL_DIR/$2" "$HERMES_HOME/$1"
  fi
}
seed .env .env.example
seed config.yaml cli-config.yaml.example
seed SOUL.md docker/SOUL.md
if [ -n "${HERMES_AUTH_JSON_BOOTSTRAP:-}" ] && [ ! -f "$HERMES_HOME/auth.json" ]; then
  (umask 077 && printf '%s' "$HERMES_AUTH_JSON_BOOTSTRAP" >"$HERMES_HOME/auth.json")
fi

# The bundled skills are synchronised by the gateway itself when it starts.
if [ $# -gt 0 ] && command -v "$1" >/dev/null 2>&1; then
  exec "$@"
fi
exec hermes "$@"

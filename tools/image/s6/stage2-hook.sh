#!/bin/sh
# Prepares /opt/data as root at every boot, in the manner of upstream's first s6 images.
set -e
HERMES_HOME="${HERMES_HOME:-/opt/data}"
INSTALL_DIR=/opt/hermes

gid="${HERMES_GID:-${PGID:-}}"
uid="${HERMES_UID:-${PUID:-}}"
if [ -n "$gid" ] && [ "$gid" != "$(id -g hermes)" ]; then
  groupmod -o -g "$gid" hermes
fi
if [ -n "$uid" ] && [ "$uid" != "$(id -u hermes)" ]; then
  usermod -u "$uid" hermes
fi

subdirs="cron sessions logs hooks memories skills skins plans workspace home profiles"
if [ "$(stat -c %u "$HERMES_HOME")" != "$(id -u hermes)" ]; then
  chown hermes:hermes "$HERMES_HOME"
  for name in $subdirs; do
    if [ -d "$HERMES_HOME/$name" ]; then
      chown -R hermes:hermes "$HERMES_HOME/$name"
    fi
  done
fi
for name in $subdirs; do
  if [ ! -d "$HERMES_HOME/$name" ]; then
    install -d -o hermes -g hermes "$HERMES_HOME/$name"
  fi
done
# seed FILE TEMPLATE: copies a template of the image, where it has one, and never over a file that is there.
seed() {
  if [ ! -f "$HERMES_HOME/$1" ] && [ -f "$INSTALL_DIR/$2" ]; then
    install -o hermes -g hermes -m 0644 "$INSTALL_DIR/$2" "$HERMES_HOME/$1"
  fi
}
seed .env .env.example
seed config.yaml cli-config.yaml.example
seed SOUL.md docker/SOUL.md
if [ -f "$HERMES_HOME/config.yaml" ]; then
  chown hermes:hermes "$HERMES_HOME/config.yaml"
  chmod 640 "$HERMES_HOME/config.yaml"
fi
chown -R hermes:hermes "$HERMES_HOME/profiles"
if [ "${HERMES_GATEWAY_BOOTSTRAP_STATE:-}" = running ] && [ ! -e "$HERMES_HOME/gateway_state.json" ]; then
  echo '{"gateway_state":"running"}' >"$HERMES_HOME/gateway_state.json"
  chown hermes:hermes "$HERMES_HOME/gateway_state.json"
fi

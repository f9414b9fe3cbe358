#!/usr/bin/env bash
# Chooses Pulumi's docker plugin at the version that the SDK asks for: the installed one, else the official download, else
# this repository's offline provider, for the dev stack and tests only. Writes .tools/pulumi-plugin-home.
# usage: tools/docker-plugin.sh [again]   again: retries a refused download at once
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

HOME_DIR="${PULUMI_HOME:-$HOME/.pulumi}"
OFFLINE="$ROOT/tools/offline-docker-provider/install.sh"
CHOSEN="$TOOLS/pulumi-plugin-home" # the Pulumi home of the dev stack; empty for the user's own
REFUSED="$TOOLS/docker-plugin-refused"

alone
asked="$(echo "$ROOT"/.venv/lib/python3*/site-packages/pulumi_docker/pulumi-plugin.json)"
[ -f "$asked" ] || fail "the Pulumi SDK for docker is not installed" "$asked" "no such file" "make setup"
VERSION="$(sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "$asked")"
PLUGIN="$HOME_DIR/plugins/resource-docker-v$VERSION/pulumi-resource-docker"

# Pulumi keeps a .partial file beside a plugin while it unpacks it.
installed() { [ -x "$PLUGIN" ] && [ ! -e "${PLUGIN%/*}.partial" ]; }

choose() {
  printf '%s\n' "$1" >"$CHOSEN.new"
  mv "$CHOSEN.new" "$CHOSEN"
}

if installed; then
  if [ ! -f "$CHOSEN" ] || [ -n "$(cat "$CHOSEN")" ]; then say "docker plugin $VERSION: the official one in $HOME_DIR/plugins"; fi
  rm -f "$REFUSED"
  choose ""
  exit 0
fi

# A refused download is retried after a day, not at every run.
answer=
if [ "${1:-}" = again ] || [ -z "$(find "$REFUSED" -mtime -1 2>/dev/null)" ]; then
  say "downloading the docker plugin $VERSION"
  PULUMI="$(cat "$TOOLS/pulumi-bin" 2>/dev/null)/pulumi"
  if answer="$(PULUMI_HOME="$HOME_DIR" PULUMI_SKIP_UPDATE_CHECK=true timeout --foreground 600 "$PULUMI" plugin install resource docker "$VERSION" 2>&1 </dev/null)" &&
    installed; then
    rm -f "$REFUSED"
    choose ""
    say "docker plugin $VERSION: the official one, downloaded into $HOME_DIR/plugins"
    exit 0
  fi
  printf '%s\n' "$answer" >"$REFUSED"
else
  answer="$(cat "$REFUSED")"
fi

if [ -f "$OFFLINE" ]; then
  sh "$OFFLINE"
  choose "$TOOLS/pulumi-home"
  say "docker plugin $VERSION: the offline provider of this repository, because the official one could not be downloaded ($(last 1)); retry: make plugin"
  exit 0
fi
fail "the docker plugin $VERSION for Pulumi cannot be installed" "$PLUGIN
pulumi plugin install resource docker $VERSION" "$(last 3)" \
  "check the network, then: make plugin; or copy the plugin's folder from another machine to ${PLUGIN%/*}"

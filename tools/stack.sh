#!/usr/bin/env bash
# Sets up the stack `dev`: state, passphrase and master key in .state/, config in stacks/Pulumi.dev.yaml. Cleans up after killed
# runs. Changes no value that is already set, except llmApiKey where $LLM_API_KEY differs.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

STACK_FILE="$ROOT/stacks/Pulumi.dev.yaml"
STATE_FILE="$STATE/backend/.pulumi/stacks/hermes-fleet/dev.json"
PASSPHRASE="$STATE/passphrase"
MASTER_KEY="$STATE/master-key"
PYTHON="$ROOT/.venv/bin/python"
umask 077

# secret_file FILE COMMAND...: writes a command's output atomically to a file that only its owner can read.
secret_file() {
  local file="$1"
  shift
  if "$@" >"$file.new" && [ -s "$file.new" ]; then
    mv "$file.new" "$file"
  else
    rm -f "$file.new"
    fail "$file could not be written" "" "" "free disk space (df -h $STATE)"
  fi
}

# Prints 32 random bytes in hexadecimal.
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# pulumi_quietly ARGUMENT...: runs pulumi without output; fails with the end of its output.
pulumi_quietly() {
  local out
  out="$(cd "$ROOT" && pulumi "$@" --non-interactive 2>&1)" ||
    fail "Pulumi cannot work with the stack dev" "pulumi $*" "$(printf '%s' "$out" | tail -n 6)" \
      "if the error is about a passphrase: .state/passphrase must be the one that stacks/Pulumi.dev.yaml was made with"
}

# Prints how to recover from a lost passphrase. The state and the secrets in the stack file are encrypted with it, so both are
# given up; the network is removed because a new state would find its name taken.
without_passphrase() {
  local of="--filter label=hermes.fleet/stack=dev"
  echo "restore .state/passphrase; or, if the passphrase is lost, start over. The families' data stays in their volumes, and they"
  echo "come back asleep. Set the secrets that you added to the config again:"
  echo "  docker ps --quiet $of | xargs --no-run-if-empty docker stop"
  echo "  docker ps --all --quiet $of | xargs --no-run-if-empty docker rm"
  echo "  docker network ls --quiet $of | xargs --no-run-if-empty docker network rm"
  [ ! -d "$STATE/backend" ] || echo "  mv .state/backend .state/backend.lost"
  if [ -f "$STACK_FILE" ]; then
    echo "  mv stacks/Pulumi.dev.yaml .state/Pulumi.dev.yaml.lost"
    echo "  .venv/bin/python tools/stack_state.py drop-secrets <.state/Pulumi.dev.yaml.lost >stacks/Pulumi.dev.yaml"
  fi
  echo "  make up"
}

write_env() {
  local name
  {
    echo '# For plain pulumi commands on the stack dev:  . .state/env'
    printf 'export PULUMI_BACKEND_URL=%q\n' "file://$STATE/backend"
    printf 'export PULUMI_CONFIG_PASSPHRASE_FILE=%q\n' "$PASSPHRASE"
    echo 'unset PULUMI_CONFIG_PASSPHRASE'
    echo 'export PULUMI_STACK=dev'
    echo 'export PULUMI_SKIP_UPDATE_CHECK=true'
    echo 'unset DOCKER_CONTEXT # the provider only knows DOCKER_HOST and the default'
    printf '. %q\n' "$ROOT/tools/no-proxy.sh"
    if [ -n "$PLUGIN_HOME" ]; then
      printf 'export PULUMI_HOME=%q # holds the offline docker provider\n' "$PLUGIN_HOME"
      echo 'export PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true'
    else
      echo '# What this file set while the offline docker provider was in use.'
      # shellcheck disable=SC2016  # expanded where the file is sourced
      printf 'if [ "${PULUMI_HOME:-}" = %q ]; then unset PULUMI_HOME PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION; fi\n' "$TOOLS/pulumi-home"
    fi
    for name in "$PULUMI_BIN" "$ROOT/bin" "$ROOT/.venv/bin"; do
      # shellcheck disable=SC2016  # expanded where the file is sourced
      printf 'case "$PATH:" in %q:*) ;; *) PATH=%q:"$PATH" ;; esac\n' "$name" "$name"
    done
    echo 'export PATH'
  } >"$STATE/env.new"
  mv "$STATE/env.new" "$STATE/env"
}

# reaper_key KEY: prints the reaper's key of a master key in the config, nothing where that is not set.
reaper_key() {
  printf '%s' "$CONFIG" | PYTHONPATH="$ROOT" "$PYTHON" -c 'import json, sys
from fleet.keys import reaper_key
value = json.load(sys.stdin).get(sys.argv[1], {}).get("value")
print(reaper_key(value) if value else "")' "hermes-fleet:$1"
}

# Prints the lines of reaper.env that follow from the stack's config; nothing where that is invalid.
reaper_settings() {
  PYTHONPATH="$ROOT" "$PYTHON" -c 'import sys
from pathlib import Path
from fleet.errors import FleetError
from fleet.stack_file import read_settings, reaper_env
try:
    found = reaper_env(read_settings(Path(sys.argv[1]), "dev"))
except FleetError:
    sys.exit()
for name, value in found.items():
    print(f"{name}={value}")' "$ROOT"
}

# write_reaper_env LINES: writes the reaper's settings, LINES and the files of its secrets.
write_reaper_env() {
  local previous
  secret_file "$STATE/reaper-key" reaper_key masterKey
  # During a rotation of the master key, devices that were paired before it still send tokens of the old one.
  previous="$(reaper_key masterKeyPrevious)"
  if [ -n "$previous" ]; then
    secret_file "$STATE/reaper-key-previous" printf '%s\n' "$previous"
  else
    rm -f "$STATE/reaper-key-previous"
  fi
  [ -f "$STATE/admin-token" ] || secret_file "$STATE/admin-token" random
  {
    printf '%s\n' "$1"
    printf 'HERMES_FLEET_REAPER_KEY_FILE=%s\n' "$STATE/reaper-key"
    if [ -n "$previous" ]; then
      printf 'HERMES_FLEET_REAPER_KEY_PREVIOUS_FILE=%s\n' "$STATE/reaper-key-previous"
    fi
    printf 'HERMES_FLEET_ADMIN_TOKEN_FILE=%s\n' "$STATE/admin-token"
    printf 'HERMES_FLEET_DB=%s\n' "$STATE/reaper.db"
  } >"$STATE/reaper.env.new"
  mv "$STATE/reaper.env.new" "$STATE/reaper.env"
}

# Cleans up after a dead Pulumi: its lock, its half-written files and its pending operations. Fails where it may be alive.
heal() {
  local said unfinished
  said="$("$PYTHON" "$ROOT/tools/stack_state.py" lock "$STATE/backend")" ||
    fail "the stack dev is locked by another Pulumi" "$STATE/backend/.pulumi/locks" "locked by $said" \
      "wait until it ends; if it ran on another host and is dead: . .state/env && pulumi cancel --yes"
  if [ -n "$said" ]; then
    say "$said"
    "$PYTHON" "$ROOT/tools/stack_state.py" orphans "$STATE/backend"
  fi
  # Pulumi replaces the state atomically but writes the .attrs file beside it in place, and cannot read an empty one.
  find "$STATE/backend" -name '*.attrs' -empty -delete
  if ! grep -q '"pending_operations"' "$STATE_FILE" 2>/dev/null; then return; fi
  unfinished="$("$PYTHON" "$ROOT/tools/stack_state.py" pending "$STATE_FILE")"
  if [ -z "$unfinished" ]; then return; fi
  say "dropping pending operations of a killed run: ${unfinished//$'\n'/, }"
  (cd "$ROOT" && pulumi stack export) >"$SCRATCH/exported.json"
  "$PYTHON" "$ROOT/tools/stack_state.py" drop-pending <"$SCRATCH/exported.json" >"$SCRATCH/import.json"
  pulumi_quietly stack import --file "$SCRATCH/import.json"
}

# Prints a digest of the inputs of `configure` and `write_reaper_env`.
inputs() {
  {
    echo "$ROOT"
    cat "$STACK_FILE" "$PASSPHRASE" "$ROOT/tools/stack.sh" "$ROOT/fleet/settings.py" "$ROOT/fleet/stack_file.py"
    cat "$STATE/image" 2>/dev/null || true
    printf '%s' "${LLM_API_KEY:-}"
  } | sha256sum
}

configure() {
  local missing key reference line
  # The secrets go to a variable, never to a file or an argument.
  CONFIG="$(cd "$ROOT" && pulumi config --json --show-secrets 2>"$SCRATCH/config.log")" ||
    fail "the config of the stack dev cannot be read" "pulumi config" "$(tail -n 5 "$SCRATCH/config.log" | cut -c1-300)" \
      "$(without_passphrase)"
  missing="$(printf '%s' "$CONFIG" | "$PYTHON" "$ROOT/tools/stack_state.py" wanted)"
  if [ -z "$missing" ]; then return; fi
  for key in $missing; do
    case "$key" in
      masterKey)
        [ -f "$MASTER_KEY" ] || secret_file "$MASTER_KEY" random
        pulumi_quietly config set --secret hermes-fleet:masterKey <"$MASTER_KEY" ;;
      llmApiKey)
        pulumi_quietly config set --secret hermes-fleet:llmApiKey < <(printf '%s' "$LLM_API_KEY")
        say "llmApiKey: set from \$LLM_API_KEY" ;;
      placeholder)
        pulumi_quietly config set --secret hermes-fleet:llmApiKey < <(printf 'placeholder-until-LLM_API_KEY-is-set')
        say "llmApiKey: a placeholder, because \$LLM_API_KEY is not set. The agents start, but cannot answer until: LLM_API_KEY=… make up" ;;
      image | hermesLine)
        [ -f "$STATE/image" ] || fail "no image is chosen" "$STATE/image" "no such file" "make up, or: pulumi config set hermes-fleet:$key VALUE"
        read -r reference line <"$STATE/image"
        if [ "$key" = hermesLine ]; then reference="$line"; fi
        pulumi_quietly config set "hermes-fleet:$key" "$reference" ;;
    esac
  done
  CONFIG="$(cd "$ROOT" && pulumi config --json --show-secrets)"
}

alone
make_state
scratch
PULUMI_BIN="$(cat "$TOOLS/pulumi-bin")"
PLUGIN_HOME="$(cat "$TOOLS/pulumi-plugin-home")"
if [ ! -f "$PASSPHRASE" ]; then
  if grep -q '^encryptionsalt:' "$STACK_FILE" 2>/dev/null; then
    fail "the secrets in stacks/Pulumi.dev.yaml were encrypted with a passphrase that is gone" "$PASSPHRASE" "no such file" \
      "$(without_passphrase)"
  fi
  secret_file "$PASSPHRASE" random
fi
mkdir -p "$STATE/backend"
write_env
# shellcheck source=/dev/null
. "$STATE/env"
heal
if [ ! -f "$STACK_FILE" ]; then
  cp "$ROOT/stacks/dev.example.yaml" "$STACK_FILE.new"
  mv "$STACK_FILE.new" "$STACK_FILE"
fi
if [ ! -f "$STATE_FILE" ]; then
  say "making the stack dev; its state is in .state/backend"
  pulumi_quietly stack init dev --secrets-provider passphrase
fi
# Decrypting takes Pulumi a second, so skip it where no input has changed. The passphrase salts the digest.
if [ "$(cat "$STATE/configured" 2>/dev/null)" = "$(inputs)" ] && [ -f "$STATE/reaper.env" ]; then exit 0; fi
configure
# Pulumi reports what is wrong with an invalid config, and `make down` works with one: an earlier reaper.env stays.
SETTINGS="$(reaper_settings)"
if [ -n "$SETTINGS" ]; then write_reaper_env "$SETTINGS"; fi
inputs >"$STATE/configured"

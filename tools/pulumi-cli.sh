#!/usr/bin/env bash
# Finds or installs the Pulumi CLI with its Python language host: an installed one that is recent enough, else the official
# release, else a build from the pinned Go modules in tools/pulumi-cli. Writes their folder to .tools/pulumi-bin.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VERSION=3.258.0 # the version to install, and the oldest to accept
RELEASES="${HERMES_FLEET_PULUMI_RELEASES:-https://get.pulumi.com/releases/sdk}"
HOME_BIN="${PULUMI_HOME:-$HOME/.pulumi}/bin"
OWN_BIN="$TOOLS/pulumi/bin"
HOST=pulumi-language-python
export PULUMI_SKIP_UPDATE_CHECK=true

seen=() # each rejected CLI and why

# usable FOLDER [HOST]: whether it has a recent CLI, with the language host beside it or at HOST.
usable() {
  local version
  [ -x "$1/pulumi" ] || return 1
  version="$("$1/pulumi" version 2>/dev/null)" || { seen+=("$1/pulumi does not run"); return 1; }
  version="${version#v}"
  version_at_least "${version%%[-+]*}" "$VERSION" || { seen+=("$1/pulumi is $version, older than $VERSION"); return 1; }
  [ -x "$1/$HOST" ] || [ -x "${2:-}" ] || { seen+=("$1 has no $HOST beside the CLI"); return 1; }
  FOUND="$version"
}

choose() {
  mkdir -p "$TOOLS"
  if [ "$(cat "$TOOLS/pulumi-bin" 2>/dev/null)" != "$1" ]; then
    say "Pulumi CLI $FOUND from $1 ($2)"
    printf '%s\n' "$1" >"$TOOLS/pulumi-bin.new"
    mv "$TOOLS/pulumi-bin.new" "$TOOLS/pulumi-bin"
  fi
  exit 0
}

# install_from FOLDER HOW: copies a complete FOLDER to $TARGET, the CLI last: where it exists, the rest does.
install_from() {
  local file
  # Other checkouts may share Pulumi's home. Start by removing the half copy of a killed run.
  exec 8<"$(dirname "$TARGET")"
  flock 8
  trap 'rm -rf "$SCRATCH" "$TARGET.new"' EXIT
  if ! answer="$({ rm -rf "$TARGET.new" && mkdir -p "$TARGET.new" && cp -p "$1"/* "$TARGET.new/"; } 2>&1)"; then
    fail "the Pulumi CLI could not be installed into $TARGET" "cp into $TARGET" "$(printf '%s' "$answer" | tail -n1)" \
      "free disk space (df -h $(dirname "$TARGET"))"
  fi
  mkdir -p "$TARGET"
  for file in "$TARGET.new"/*; do
    if [ "${file##*/}" != pulumi ]; then mv "$file" "$TARGET/"; fi
  done
  mv "$TARGET.new/pulumi" "$TARGET/pulumi"
  usable "$TARGET" || fail "the Pulumi CLI in $TARGET does not work" "$TARGET/pulumi version" "${seen[*]}" "remove $TARGET and try again"
  choose "$TARGET" "$2"
}

# fetch ADDRESS FILE: downloads with curl, else with Python.
fetch() {
  if have curl; then
    # Give up a download that is slower than 1 kB/s for a minute.
    curl --fail --silent --show-error --location --connect-timeout 10 --speed-limit 1000 --speed-time 60 --output "$2" "$1"
  else
    "$ROOT/.venv/bin/python" -c 'import socket, sys, urllib.request
socket.setdefaulttimeout(30)
try:
    urllib.request.urlretrieve(*sys.argv[1:])
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")' "$1" "$2"
  fi
}

# Downloads the official release and verifies its published checksum. Returns 1 with the reason in $answer on failure.
download() {
  local arch archive
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) arch=linux-x64 ;;
    Linux-aarch64) arch=linux-arm64 ;;
    *) answer="there is no official release for $(uname -s) on $(uname -m)"; return 1 ;;
  esac
  archive="pulumi-v$VERSION-$arch.tar.gz"
  say "downloading $RELEASES/$archive"
  answer="$(fetch "$RELEASES/$archive" "$SCRATCH/$archive" 2>&1)" || return 1
  answer="$(fetch "$RELEASES/pulumi-$VERSION-checksums.txt" "$SCRATCH/sums" 2>&1)" || return 1
  grep " [ *]\?$archive\$" "$SCRATCH/sums" >"$SCRATCH/sum" || { answer="$archive is not among the published checksums"; return 1; }
  (cd "$SCRATCH" && sha256sum --check --status sum) ||
    fail "the downloaded Pulumi CLI has the wrong checksum" "sha256sum --check" "$archive differs from its published checksum" \
      "try again; if it fails again, check for a proxy that alters downloads from $RELEASES"
  tar -xzf "$SCRATCH/$archive" -C "$SCRATCH" || { answer="$archive cannot be unpacked (df -h $SCRATCH)"; return 1; }
  [ -x "$SCRATCH/pulumi/pulumi" ] && [ -x "$SCRATCH/pulumi/$HOST" ] || { answer="$archive does not contain pulumi and $HOST"; return 1; }
}

# Uses the user's Go caches, which take gigabytes, where they are writable, else caches below .tools.
go_caches() {
  local name place
  for name in GOMODCACHE GOCACHE; do
    place="$(go env "$name" 2>/dev/null)"
    if ! mkdir -p "$place" 2>/dev/null || [ ! -w "$place" ]; then
      export GOMODCACHE="$TOOLS/go/mod" GOCACHE="$TOOLS/go/build"
      GOFLAGS="$(GOCACHE="$TOOLS/go/build" go env GOFLAGS) -modcacherw" # deletable without chmod
      export GOFLAGS
      return
    fi
  done
}

# Builds from the Go module proxy alone. The language host left the SDK's module after v3.79.0, so it has a module of its own.
build() {
  local out="$SCRATCH/bin" module="$ROOT/tools/pulumi-cli" sdk
  have go || { answer="Go is not installed"; return 1; }
  say "building the Pulumi CLI from its pinned Go modules with $(go env GOVERSION 2>&1) (some minutes, once)"
  mkdir -p "$out"
  go_caches
  quietly go build -C "$module/language-python" -mod=readonly -trimpath -o "$out/$HOST" "github.com/pulumi/pulumi/sdk/v3/python/cmd/$HOST" ||
    return 1
  quietly go build -C "$module" -mod=readonly -trimpath -o "$out/pulumi" \
    -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$VERSION" github.com/pulumi/pulumi/pkg/v3/cmd/pulumi || return 1
  sdk="$(cd "$module" && go list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)"
  install -m 0755 "$sdk/python/cmd/$HOST-exec" "$sdk/python/dist/pulumi-resource-pulumi-python" "$out/" ||
    { answer="the downloaded module in $sdk is incomplete (go clean -modcache)"; return 1; }
}

alone
if have pulumi; then
  # PATH often has only a link, and the language host is beside its target.
  on_path="$(dirname "$(readlink -f "$(command -v pulumi)")")"
  if usable "$on_path" "$(command -v "$HOST" || true)"; then choose "$on_path" "on PATH"; fi
fi
if usable "$HOME_BIN"; then choose "$HOME_BIN" "in Pulumi's home"; fi
if usable "$OWN_BIN"; then choose "$OWN_BIN" "in .tools"; fi

scratch
# Install into Pulumi's home unless it has a CLI, which is the user's even if it is too old.
TARGET="$HOME_BIN"
if [ -e "$HOME_BIN/pulumi" ]; then TARGET="$OWN_BIN"; fi
mkdir -p "$(dirname "$TARGET")" 2>/dev/null && [ -w "$(dirname "$TARGET")" ] || TARGET="$OWN_BIN"
for note in ${seen[@]+"${seen[@]}"}; do say "not used: $note"; done

answer=
if download; then install_from "$SCRATCH/pulumi" "official release"; fi
downloaded="$answer"
say "the official release cannot be downloaded: $(printf '%s' "$downloaded" | tail -n1)"
if build; then install_from "$SCRATCH/bin" "built from the pinned Go modules"; fi
fail "there is no Pulumi CLI of version $VERSION or later with a Python language host" \
  "PATH, $HOME_BIN, $OWN_BIN${seen[*]:+ (${seen[*]})}
download from $RELEASES
go build in tools/pulumi-cli" \
  "download: $downloaded
build: $(last 5)" \
  "install Pulumi (https://www.pulumi.com/docs/install), or Go 1.26 with access to a module proxy (https://go.dev/doc/install),
or free disk space (df -h); then try again"

#!/usr/bin/env bash
# Builds images of the real hermes-agent from PyPI, for machines without an image registry.
# usage: tools/image.sh build [VARIANT...]   builds images that are missing or out of date; VARIANT is 0.19.0, 0.15.1, 0.19.0-s6 or 0.15.1-s6
#        tools/image.sh pick                 chooses the dev stack's image where none is chosen yet; writes .state/image
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Files in an image have to be readable by its users.
umask 022

LOCAL=hermes-fleet/hermes-agent
UPSTREAM="${HERMES_FLEET_UPSTREAM_IMAGE:-docker.io/nousresearch/hermes-agent:v2026.7.20}" # the release of 0.19.0
HERMES=0.19.0 # the default variant
PACKAGES=python3,python3-venv,tini,gosu,s6,execline,procps,curl,ca-certificates,tzdata
LABEL=hermes.fleet.image/digest
RECIPE="$ROOT/tools/image"

# is_current REFERENCE DIGEST: whether the image exists and was built from these inputs.
is_current() { [ "$(docker image inspect --format "{{index .Config.Labels \"$LABEL\"}}" "$1" 2>/dev/null)" = "$2" ]; }

# run COMMAND...: runs it without output; fails with the end of its output.
run() {
  local answer
  quietly "$@" || fail "the local image could not be built" "$*" "$(last 12)" \
    "check the disk (df -h) and the network, then: make image"
}

# Prints the machine's own package sources, so that the image is built from the same mirrors.
apt_sources() {
  local keyring="/usr/share/keyrings/$ID-archive-keyring.gpg" options=
  if [ -f "$keyring" ]; then options="[signed-by=$keyring] "; fi
  # shellcheck disable=SC2016  # apt-get fills these in
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u |
    awk -v suite="$VERSION_CODENAME" -v options="$options" \
      '($2 == suite || $2 == suite "-updates" || $2 == suite "-security") && $3 ~ /^(main|universe)$/ { print "deb " options $0 }'
}

apt_options() {
  local name value
  for name in Acquire::http::Proxy Acquire::https::Proxy Acquire::https::CaInfo; do
    eval "$(apt-config shell value "$name")"
    if [ -n "${value:-}" ]; then printf -- '--aptopt=%s "%s";\n' "$name" "$value"; fi
    value=
  done
}

# Installs mmdebstrap. Without root it unpacks packages in a user namespace, which needs newuidmap and a range of user ids.
need_mmdebstrap() {
  local user packages=(mmdebstrap)
  if ! is_root; then packages+=(uidmap); fi
  if ! have mmdebstrap || { ! is_root && ! have newuidmap; }; then
    apt_install "mmdebstrap builds the base of the image" "${packages[@]}"
  fi
  if is_root; then return; fi
  user="$(id -un)"
  grep -qE "^($user|$(id -u)):" "${SUBUID:-/etc/subuid}" 2>/dev/null || fail "mmdebstrap needs a range of user ids to build the base of the image without root" \
    "/etc/subuid" "no line for $user" "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $user"
}

build_base() {
  is_debian || fail "the local image is built from a Debian or Ubuntu machine's own packages" "" "this machine is neither" \
    "set the image to one you can pull: pulumi config set hermes-fleet:image REFERENCE"
  # shellcheck source=/dev/null
  . "${OS_RELEASE:-/etc/os-release}"
  BASE="hermes-fleet/base:$VERSION_CODENAME"
  BASE_DIGEST="$(printf '%s %s %s\n' "$PACKAGES" "$VERSION_CODENAME" "$(dpkg --print-architecture)" | sha256sum | cut -c1-64)"
  if is_current "$BASE" "$BASE_DIGEST"; then return; fi
  need_mmdebstrap
  say "building the base of the image from $PRETTY_NAME packages"
  apt_sources >"$SCRATCH/sources.list"
  local options=()
  mapfile -t options < <(apt_options)
  # shellcheck disable=SC2016  # the hook gets the tree as its own $1
  run mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/var/cache/ldconfig "$1"/var/log/*' \
    "${options[@]}" "$VERSION_CODENAME" "$SCRATCH/base.tar" "$SCRATCH/sources.list"
  run docker import --change "LABEL $LABEL=$BASE_DIGEST" --message "hermes-fleet: base" "$SCRATCH/base.tar" "$BASE"
  rm -f "$SCRATCH/base.tar"
}

# Downloads the locked wheels with the image's own Python, so that they fit it, over the host's network and with the host's
# package index settings. pip rejects wheels whose hash is not in the lock.
fetch_wheels() {
  local version="$1" into="$2" args=() name
  args=(--rm --network host --entrypoint /bin/sh --user "$(id -u):$(id -g)" -e HOME=/tmp -v "$into:/wheels" -v "$RECIPE/requirements-$version.lock:/lock:ro")
  for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_RETRIES \
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if [ -n "${!name:-}" ]; then args+=(-e "$name"); fi
  done
  for name in /etc/pip.conf "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf"; do
    if [ -f "$name" ]; then args+=(-v "$name:/etc/pip.conf:ro"); break; fi
  done
  for name in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
    if [ -f "$name" ]; then
      args+=(-v "$name:/etc/ssl/certs/ca-certificates.crt:ro" -e PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
      break
    fi
  done
  run docker run "${args[@]}" "$BASE" -c 'umask 022 && python3 -m venv --symlinks /tmp/venv &&
    exec /tmp/venv/bin/pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /lock -d /wheels'
}

build_agent() {
  local version="$1" lock="$RECIPE/requirements-$1.lock"
  AGENT="hermes-fleet/agent:$version"
  AGENT_DIGEST="$(printf '%s %s\n' "$BASE_DIGEST" "$(grep -v '^ *#' "$lock" | cat - "$RECIPE/Dockerfile.agent" | sha256sum)" | sha256sum | cut -c1-64)"
  if is_current "$AGENT" "$AGENT_DIGEST"; then return; fi
  say "installing hermes-agent $version from PyPI into an image (some minutes)"
  local context="$SCRATCH/agent-$version"
  mkdir -p "$context/wheels"
  fetch_wheels "$version" "$context/wheels"
  cp "$lock" "$context/requirements.lock"
  run env DOCKER_BUILDKIT=0 docker build --quiet --force-rm --build-arg "BASE=$BASE" --label "$LABEL=$AGENT_DIGEST" \
    --tag "$AGENT" --file "$RECIPE/Dockerfile.agent" "$context"
  rm -rf "$context"
  docker image prune --force --filter label=hermes.fleet.image/stage=install >/dev/null 2>&1 || true
}

build_variant() {
  local variant="$1" version layout files=() file wanted
  version="${variant%-s6}"
  layout=tini
  if [ "$variant" != "$version" ]; then layout=s6; fi
  build_agent "$version"
  while IFS= read -r file; do files+=("$file"); done < <(find "$RECIPE/$layout" -type f | LC_ALL=C sort)
  wanted="$(printf '%s %s\n' "$AGENT_DIGEST" "$(digest "$RECIPE/Dockerfile.$layout" "${files[@]}")" | sha256sum | cut -c1-64)"
  if is_current "$LOCAL:$variant" "$wanted"; then return; fi
  say "building $LOCAL:$variant"
  run env DOCKER_BUILDKIT=0 docker build --quiet --force-rm --build-arg "AGENT=$AGENT" --label "$LABEL=$wanted" \
    --tag "$LOCAL:$variant" --file "$RECIPE/Dockerfile.$layout" "$RECIPE"
}

build() {
  local variant
  for variant in "${@:-$HERMES}"; do
    [ -f "$RECIPE/requirements-${variant%-s6}.lock" ] ||
      fail "unknown image variant '$variant'" "" "" "use one or more of: 0.19.0 0.15.1 0.19.0-s6 0.15.1-s6"
  done
  scratch
  build_base
  for variant in "${@:-$HERMES}"; do build_variant "$variant"; done
}

# Chooses upstream's published image where it can be pulled, else the local one. The choice is kept, and an image in the
# stack's config overrides it.
pick() {
  local chosen="$STATE/image" reference='' configured answer
  make_state
  configured="$(sed -n 's/^ *hermes-fleet:image: *"\{0,1\}\([^" ]*\).*/\1/p' "$ROOT/stacks/Pulumi.dev.yaml" 2>/dev/null || true)"
  if [ -f "$chosen" ]; then read -r reference _ <"$chosen"; fi
  if [ -n "$configured" ] && [ "$configured" != "$reference" ]; then return; fi
  case "$reference" in
    "$LOCAL":*) build "${reference#"$LOCAL":}"; return ;;
    ?*) if docker image inspect "$reference" >/dev/null 2>&1; then return; fi ;;
  esac
  if docker image inspect "$UPSTREAM" >/dev/null 2>&1; then
    reference="$UPSTREAM"
    say "image: $reference (present)"
  elif say "image: trying to pull $UPSTREAM" && answer="$(timeout --foreground 1200 docker pull "$UPSTREAM" 2>&1 </dev/null)"; then
    reference="$UPSTREAM"
    say "image: $reference (pulled)"
  elif [ "$reference" = "$UPSTREAM" ]; then
    fail "the image of the fleet is gone from this machine and cannot be pulled" "docker pull $UPSTREAM" \
      "$(printf '%s' "$answer" | tail -n1 | cut -c1-300)" "try again when the registry answers; another image may be older than the agents' data"
  else
    reference="$LOCAL:$HERMES"
    say "image: $UPSTREAM cannot be pulled ($(printf '%s' "$answer" | tail -n1 | cut -c1-200)); using the local $reference with the real hermes-agent from PyPI"
    build "$HERMES"
  fi
  (umask 077 && printf '%s %s\n' "$reference" "${HERMES%.*}" >"$chosen.new")
  mv "$chosen.new" "$chosen"
}

case "${1:-}" in
  build) shift && alone && build "$@" ;;
  pick) alone && pick ;;
  *) fail "usage: tools/image.sh build [VARIANT...] | pick" ;;
esac

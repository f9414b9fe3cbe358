#!/bin/sh
# Installs the offline docker provider into a Pulumi home inside the repository, which no other project uses. Idempotent.
# tools/docker-plugin.sh runs it where the official plugin is neither installed nor downloadable.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
here=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$root/tools/offline-docker-provider/offline_docker/server.py")
launcher=$root/.tools/pulumi-home/plugins/resource-docker-v$here/pulumi-resource-docker
mkdir -p "${launcher%/*}"
cat >"$launcher.new" <<'LAUNCHER'
#!/bin/sh
root=$(CDPATH='' cd -P -- "$(dirname -- "$0")/../../../.." && pwd)
exec "$root/.venv/bin/python" "$root/tools/offline-docker-provider" "$@"
LAUNCHER
chmod 755 "$launcher.new"
mv "$launcher.new" "$launcher"

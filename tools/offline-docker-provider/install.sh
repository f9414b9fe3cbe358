#!/bin/sh
# Puts the offline docker provider into a Pulumi home inside the repository, where only this project finds it.
# Idempotent. tools/docker-plugin.sh calls it where the official plugin is neither installed nor downloadable.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
python=$root/.venv/bin/python
version=$("$python" - <<'PY'
import importlib.resources, json
print(json.loads(importlib.resources.files("pulumi_docker").joinpath("pulumi-plugin.json").read_text())["version"])
PY
)
implemented=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$root/tools/offline-docker-provider/offline_docker/server.py")
if [ "$version" != "$implemented" ]; then
  echo "offline docker provider: the SDK asks for $version, this one stands in for $implemented; install the official plugin" >&2
  exit 1
fi

folder=$root/.tools/pulumi-home/plugins/resource-docker-v$version
launcher=$folder/pulumi-resource-docker
mkdir -p "$folder"
cat >"$launcher.new" <<'LAUNCHER'
#!/bin/sh
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../../../.." && pwd)
exec "$root/.venv/bin/python" "$root/tools/offline-docker-provider" "$@"
LAUNCHER
chmod 755 "$launcher.new"
mv "$launcher.new" "$launcher"
echo "docker plugin: using the offline provider of this repository, because the official one ($version) could not be downloaded"

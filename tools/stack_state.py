"""Reads and cleans the dev stack's state and config for tools/stack.sh, without Pulumi.

Commands: `lock BACKEND` removes the lock of a dead process, `orphans BACKEND` ends the plugins that it left running,
`pending FILE` prints unfinished operations, `drop-pending` filters them out of an exported stack, `drop-secrets`
filters encrypted values out of a config file, `wanted` prints which config values have to be set. Exit codes: 0 done,
1 refused.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

PROJECT = "hermes-fleet"
STACK = "dev"


def stale(lock: dict[str, Any]) -> bool:
    """Return whether a lock's process is dead: it ran on this host, and no Pulumi has its process id."""
    if lock.get("hostname") != socket.gethostname():
        return False
    try:
        name = Path(f"/proc/{int(lock['pid'])}/comm").read_text()
    except FileNotFoundError:
        return True
    except (KeyError, ValueError):
        return False
    return not name.startswith("pulumi")


def clear_locks(backend: Path) -> int:
    """Remove the stack's stale locks and return 0; return 1 where another Pulumi holds one."""
    for file in (backend / ".pulumi" / "locks").glob(f"**/{PROJECT}/{STACK}/*.json"):
        try:
            lock = json.loads(file.read_text())
        except FileNotFoundError:
            continue
        except ValueError:
            lock = {}
        who = f"process {lock.get('pid', '?')} on {lock.get('hostname', '?')}, since {lock.get('timestamp', '?')}"
        if not stale(lock):
            print(who)
            return 1
        file.unlink(missing_ok=True)
        print(f"removed the lock of a Pulumi that is dead ({who})")
    return 0


def is_offline_provider(word: bytes) -> bool:
    """Return whether an argument is the folder of the offline docker provider, which Python runs."""
    return word.endswith(b"/tools/offline-docker-provider")


def orphans(backend: Path) -> Iterator[int]:
    """Yield the process ids of language hosts and providers of this backend whose Pulumi is gone.

    They outlive a killed Pulumi, and a provider may still be creating a resource.
    """
    wanted = f"PULUMI_BACKEND_URL=file://{backend}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            plugin = (process / "comm").read_text().startswith("pulumi-") or any(map(is_offline_provider, words[:3]))
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            ours = wanted in (process / "environ").read_bytes().split(b"\0")
            orphan = not Path(f"/proc/{parent}/comm").read_text().startswith("pulumi")
        except OSError:
            continue
        if plugin and ours and orphan:
            yield int(process.name)


def end_orphans(backend: Path, seconds: float = 5.0) -> int:
    """Terminate the orphans, and kill those that still run after so many seconds; return 0."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        for process in orphans(backend):
            with suppress(ProcessLookupError):  # it ended by itself since
                os.kill(process, how)
        deadline = time.monotonic() + seconds
        while any(orphans(backend)) and time.monotonic() < deadline:
            time.sleep(0.05)
    return 0


def pending(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pending operations of a state file or an exported stack."""
    latest = state.get("deployment") or (state.get("checkpoint") or {}).get("latest") or {}
    return list(latest.get("pending_operations") or [])


def without_secrets(held: dict[str, Any]) -> dict[str, Any]:
    """Return a config file without its encrypted values and their salt."""
    plain = {key: value for key, value in held.items() if key not in {"secure", "encryptionsalt"}}
    kept = {key: without_secrets(value) if isinstance(value, dict) else value for key, value in plain.items()}
    return {key: value for key, value in kept.items() if value != {}}


def wanted(config: dict[str, Any], environment: dict[str, str]) -> list[str]:
    """Return the generated values that the config lacks; an LLM key in the environment replaces the config's."""
    values = {key.removeprefix(f"{PROJECT}:"): entry.get("value") for key, entry in config.items()}
    missing = [key for key in ("masterKey", "image", "hermesLine") if not values.get(key)]
    given = environment.get("LLM_API_KEY", "")
    if given and given != values.get("llmApiKey"):
        missing.append("llmApiKey")
    elif not values.get("llmApiKey"):
        missing.append("placeholder")
    return missing


def main(words: list[str]) -> int:
    """Run one command."""
    match words:
        case ["lock", backend]:
            return clear_locks(Path(backend))
        case ["orphans", backend]:
            return end_orphans(Path(backend))
        case ["pending", file]:
            for operation in pending(json.loads(Path(file).read_text())):
                print(f"{operation.get('type')} {operation.get('resource', {}).get('urn', '').rpartition('::')[2]}")
        case ["drop-pending"]:
            exported = json.load(sys.stdin)
            exported.get("deployment", {}).pop("pending_operations", None)
            json.dump(exported, sys.stdout)
        case ["drop-secrets"]:
            yaml.safe_dump(without_secrets(yaml.safe_load(sys.stdin) or {}), sys.stdout, sort_keys=False)
        case ["wanted"]:
            print("\n".join(wanted(json.load(sys.stdin), dict(os.environ))))
        case _:
            print(__doc__, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

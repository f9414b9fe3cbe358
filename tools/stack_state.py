"""What tools/stack.sh has to know of the dev stack's state and config, without Pulumi.

Commands: `lock BACKEND` removes the lock of a dead process, `pending FILE` counts unfinished operations, `drop-pending`
filters them out of an exported stack, `wanted` says which config values are to be set. Exit codes: 0 done, 1 refused.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

PROJECT = "hermes-fleet"
STACK = "dev"


def stale(lock: dict[str, Any]) -> bool:
    """Return whether a lock's process is surely dead: it was of this host, and no Pulumi has its number now."""
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
    """Remove the stack's stale locks; refuse where another Pulumi is at work."""
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


def pending(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations that a killed run left unfinished, of a state file or an exported stack."""
    latest = state.get("deployment") or (state.get("checkpoint") or {}).get("latest") or {}
    return list(latest.get("pending_operations") or [])


def wanted(config: dict[str, Any], environment: dict[str, str]) -> list[str]:
    """Return which of the generated values the stack's config lacks; an LLM key from the environment wins."""
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
        case ["pending", file]:
            for operation in pending(json.loads(Path(file).read_text())):
                print(f"{operation.get('type')} {operation.get('resource', {}).get('urn', '').rpartition('::')[2]}")
        case ["drop-pending"]:
            exported = json.load(sys.stdin)
            exported.get("deployment", {}).pop("pending_operations", None)
            json.dump(exported, sys.stdout)
        case ["wanted"]:
            print("\n".join(wanted(json.load(sys.stdin), dict(os.environ))))
        case _:
            print(__doc__, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

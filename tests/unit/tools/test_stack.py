import json
import socket
import sys
from pathlib import Path

import pytest

from fleet.keys import reaper_key
from tests.support.setup.machine import ROOT, Machine

KEY = "sk-PLANTED/llm+key"
PULUMI = r"""
store() {
  [ ! -f "$STACK_FILE" ] || grep -q "^  $1:" "$STACK_FILE" || sed -i "s|^config:|&\n  $1: $2|" "$STACK_FILE"
}
case "$*" in
  config\ --json*) cat "$REMEMBERED" 2>/dev/null || echo '{}' ;;
  stack\ init*)
    mkdir -p "$BACKEND/.pulumi/stacks/hermes-fleet"; echo '{}' >"$BACKEND/.pulumi/stacks/hermes-fleet/dev.json"
    echo 'encryptionsalt: v1:x' >>"$STACK_FILE" ;;
  config\ set\ --secret*) cat >"$SECRETS/${4#hermes-fleet:}" </dev/stdin
    store "$4" '{secure: AAABcipher}'
    printf '{"hermes-fleet:masterKey": {"value": "%s"}}' "$(cat "$SECRETS/masterKey")" >"$REMEMBERED" ;;
  config\ set*) store "$3" "'$4'" ;;
esac
"""


@pytest.fixture
def ready(machine: Machine, tmp_path: Path) -> Machine:
    """Return a machine with everything but the stack."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    places = {
        "REMEMBERED": tmp_path / "config.json",
        "BACKEND": machine.repository / ".state/backend",
        "STACK_FILE": machine.repository / "stacks/Pulumi.dev.yaml",
        "SECRETS": secrets,
    }
    assignments = "\n".join(f"{name}='{path}'" for name, path in places.items())
    machine.command("pulumi", f"{assignments}\n{PULUMI}")
    tools = machine.repository / ".tools"
    tools.mkdir()
    (tools / "pulumi-bin").write_text(f"{machine.commands}\n")
    (tools / "pulumi-plugin-home").write_text("\n")
    python = machine.repository / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (machine.repository / "fleet").symlink_to(ROOT / "fleet")
    (machine.repository / ".state").mkdir()
    (machine.repository / ".state/image").write_text("hermes-fleet/hermes-agent:0.19.0 0.19\n")
    return machine


def secret(machine: Machine, key: str) -> str:
    """Return the value that Pulumi read from standard input."""
    return (machine.repository.parent / "secrets" / key).read_text().strip()


def test_a_stack_from_nothing(ready: Machine) -> None:
    """State, passphrase, keys and config are created, readable by their owner alone; no secret is an argument."""
    answer = ready.run("tools/stack.sh", LLM_API_KEY=KEY)
    assert answer.code == 0, answer.stderr
    state = ready.repository / ".state"
    assert state.stat().st_mode & 0o777 == 0o700
    files = [file for file in state.rglob("*") if file.is_file() and file.name != "image"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert {file.name for file in files} >= {
        "passphrase",
        "master-key",
        "env",
        "reaper.env",
        "reaper-key",
        "admin-token",
    }
    calls = "\n".join(ready.called("pulumi"))
    for value in (KEY, secret(ready, "masterKey"), (state / "passphrase").read_text().strip()):
        assert value not in calls
        assert value not in answer.stdout + answer.stderr
    assert "config set hermes-fleet:image hermes-fleet/hermes-agent:0.19.0 --non-interactive" in calls
    assert "config set hermes-fleet:hermesLine 0.19 --non-interactive" in calls
    assert secret(ready, "llmApiKey") == KEY
    assert len(bytes.fromhex(secret(ready, "masterKey"))) == 32
    assert (state / "reaper-key").read_text().strip() == reaper_key(secret(ready, "masterKey"))
    assert ready.unfinished() == []


def test_the_second_run_asks_pulumi_nothing(ready: Machine) -> None:
    """Without a change no Pulumi command runs; another LLM key is a change."""
    ready.run("tools/stack.sh", LLM_API_KEY=KEY)
    ready.calls.unlink()
    again = ready.run("tools/stack.sh", LLM_API_KEY=KEY)
    assert (again.code, again.stdout, ready.called("pulumi")) == (0, "", [])
    ready.run("tools/stack.sh", LLM_API_KEY="sk-another")
    assert secret(ready, "llmApiKey") == "sk-another"


def test_a_placeholder_is_announced(ready: Machine) -> None:
    """Without a key the agents start, and the output says that they cannot answer."""
    answer = ready.run("tools/stack.sh")
    assert answer.code == 0
    assert "llmApiKey: a placeholder" in answer.stdout
    assert secret(ready, "llmApiKey").startswith("placeholder")


def test_the_environment_for_plain_pulumi(ready: Machine) -> None:
    """Sourcing .state/env points plain commands to the stack and replaces earlier settings."""
    ready.run("tools/stack.sh")
    names = "$PULUMI_BACKEND_URL|$PULUMI_STACK|${PULUMI_CONFIG_PASSPHRASE-unset}|$PULUMI_HOME|$PATH"
    answer = ready.run(
        "-c", f'source .state/env; echo "{names}"', PULUMI_CONFIG_PASSPHRASE="of another stack", PULUMI_HOME=""
    )
    url, stack, passphrase, home, path = answer.stdout.strip().split("|")
    assert url == f"file://{ready.repository}/.state/backend"
    assert (stack, passphrase, home) == ("dev", "unset", "")
    assert path.startswith(f"{ready.repository}/.venv/bin:{ready.repository}/bin:")


def test_the_offline_provider_has_a_home_of_its_own(ready: Machine) -> None:
    """Plain commands use its Pulumi home and download nothing."""
    (ready.repository / ".tools/pulumi-plugin-home").write_text("/somewhere\n")
    ready.run("tools/stack.sh")
    env = (ready.repository / ".state/env").read_text()
    assert "export PULUMI_HOME=/somewhere" in env
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true" in env


def test_the_official_plugin_is_not_hidden_by_what_a_shell_has_sourced(ready: Machine) -> None:
    """Once the official plugin is installed, .state/env unsets the offline one's Pulumi home, and no other."""
    stand_in, chosen = f"{ready.repository}/.tools/pulumi-home", ready.repository / ".tools/pulumi-plugin-home"
    names = "${PULUMI_HOME-unset}|${PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION-unset}"
    chosen.write_text(f"{stand_in}\n")
    ready.run("tools/stack.sh")
    again = f'source .state/env; echo >{chosen}; tools/stack.sh; source .state/env; echo "{names}"'
    assert ready.run("-c", again).stdout.splitlines()[-1] == "unset|unset"
    of_the_user = ready.run("-c", f'source .state/env; echo "{names}"', PULUMI_HOME="/srv/pulumi")
    assert of_the_user.stdout.strip() == "/srv/pulumi|unset"


def test_pulumi_reaches_its_own_parts_behind_a_proxy(ready: Machine) -> None:
    """Loopback is added to no_proxy once, and existing entries stay."""
    ready.run("tools/stack.sh")
    sourced = 'source .state/env; source .state/env; echo "$no_proxy|$NO_PROXY"'
    answer = ready.run("-c", sourced, https_proxy="http://proxy.example:3128", no_proxy="corp.example")
    assert answer.stdout.strip() == "|".join(["corp.example,127.0.0.1,localhost"] * 2)


def test_a_checkout_that_was_moved_has_its_reaper_look_there(ready: Machine) -> None:
    """The reaper's registry and database are in the new place."""
    assert ready.run("tools/stack.sh", LLM_API_KEY=KEY).code == 0
    ready.repository = ready.repository.rename(ready.repository.with_name("moved"))
    assert ready.run("tools/stack.sh", LLM_API_KEY=KEY).code == 0
    told = (ready.repository / ".state/reaper.env").read_text()
    assert f"HERMES_FLEET_REGISTRY={ready.repository}/families.yaml\n" in told
    assert f"HERMES_FLEET_DB={ready.repository}/.state/reaper.db\n" in told


def test_the_reaper_waits_as_long_as_a_roll(ready: Machine) -> None:
    """The stack's config is the one source of wave size and times; a change reaches reaper.env at the next run."""

    def reaper_env() -> dict[str, str]:
        assert ready.run("tools/stack.sh", LLM_API_KEY=KEY).code == 0
        lines = (ready.repository / ".state/reaper.env").read_text().splitlines()
        return dict(line.removeprefix("HERMES_FLEET_").split("=", 1) for line in lines)

    stack = ready.repository / "stacks/Pulumi.dev.yaml"
    first = reaper_env()
    assert (first["STACK"], first["REGISTRY"]) == ("dev", f"{ready.repository}/families.yaml")
    assert (first["WAVE_SIZE"], first["HEALTH_TIMEOUT"], first["STOP_GRACE"]) == ("5", "120", "30")
    stack.write_text(stack.read_text().replace("health_timeout: 120", "health_timeout: 300"))
    assert reaper_env() == {**first, "HEALTH_TIMEOUT": "300"}
    stack.write_text(stack.read_text().replace("wave_size: 5", "wave_size: none"))
    assert reaper_env() == {**first, "HEALTH_TIMEOUT": "300"}
    stack.write_text(stack.read_text().replace("wave_size: none", "wave_size: 2"))
    assert reaper_env() == {**first, "HEALTH_TIMEOUT": "300", "WAVE_SIZE": "2"}


def test_a_lost_passphrase_is_not_replaced(ready: Machine) -> None:
    """A stack file whose secrets cannot be decrypted is named, and not changed."""
    file = ready.repository / "stacks/Pulumi.dev.yaml"
    file.write_text("encryptionsalt: v1:old\n")
    answer = ready.run("tools/stack.sh")
    assert answer.code == 1
    assert "a passphrase that is gone" in answer.stderr
    assert "restore .state/passphrase" in answer.stderr
    assert "mv stacks/Pulumi.dev.yaml .state/Pulumi.dev.yaml.lost" in answer.stderr
    assert "docker volume" not in answer.stderr
    assert not (ready.repository / ".state/passphrase").exists()
    assert file.read_text() == "encryptionsalt: v1:old\n"


def test_a_lock_of_another_pulumi_is_an_error(ready: Machine) -> None:
    """A lock whose process may be alive stops the set-up; the message names its owner."""
    ready.run("tools/stack.sh")
    lock = ready.repository / ".state/backend/.pulumi/locks/organization/hermes-fleet/dev/1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(f'{{"pid": 4711, "hostname": "not-{socket.gethostname()}", "timestamp": "now"}}')
    answer = ready.run("tools/stack.sh")
    assert answer.code == 1
    assert "process 4711 on not-" in answer.stderr
    assert "pulumi cancel" in answer.stderr
    assert lock.exists()


def test_an_interrupted_write_is_cleaned_up(ready: Machine) -> None:
    """An empty .attrs file, which Pulumi cannot read, is removed; the state and other files stay."""
    ready.run("tools/stack.sh")
    stacks = ready.repository / ".state/backend/.pulumi/stacks/hermes-fleet"
    (stacks / "dev.json.attrs").touch()
    (stacks / "dev.json.bak.attrs").write_text("{}")
    assert ready.run("tools/stack.sh").code == 0
    assert sorted(file.name for file in stacks.iterdir()) == ["dev.json", "dev.json.bak.attrs"]


def test_pulumis_error_is_shown(ready: Machine) -> None:
    """The message has the failed command and its output."""
    ready.command("pulumi", "echo 'error: disk quota exceeded' >&2; exit 1")
    answer = ready.run("tools/stack.sh")
    assert answer.code == 1
    assert "pulumi stack init dev" in answer.stderr
    assert "disk quota exceeded" in answer.stderr


def test_the_reaper_gets_the_previous_master_key(ready: Machine, tmp_path: Path) -> None:
    """While it is in the config, devices that were paired with it keep working."""
    state, stack = ready.repository / ".state", ready.repository / "stacks/Pulumi.dev.yaml"

    def set_up(**values: str) -> str:
        """Run it with this config, and return what the reaper is told."""
        keys = {f"hermes-fleet:{name}": {"value": value} for name, value in {"llmApiKey": KEY, **values}.items()}
        (tmp_path / "config.json").write_text(json.dumps(keys))
        with stack.open("a") as file:
            file.write(f"# {len(keys)} keys\n")
        assert ready.run("tools/stack.sh").code == 0
        return (state / "reaper.env").read_text()

    assert ready.run("tools/stack.sh", LLM_API_KEY=KEY).code == 0
    old, new = "0ld" * 22, "4e3" * 22
    assert "PREVIOUS" not in set_up(masterKey=old)
    previous = state / "reaper-key-previous"
    told = set_up(masterKey=new, masterKeyPrevious=old)
    assert f"HERMES_FLEET_REAPER_KEY_PREVIOUS_FILE={previous}\n" in told
    assert previous.read_text().strip() == reaper_key(old)
    assert (state / "reaper-key").read_text().strip() == reaper_key(new)
    assert previous.stat().st_mode & 0o777 == 0o600
    assert "PREVIOUS" not in set_up(masterKey=new)
    assert not previous.exists()

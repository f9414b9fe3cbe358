"""What a preview runs in: the socket in place of a daemon, and the environment of a stack."""

from pathlib import Path

import docker
import pytest
import requests
from docker.errors import APIError

from fleet import host
from fleet.errors import FleetError
from fleet.plan.preview import environment, ping_socket, secrets_of


def test_the_socket_answers_the_ping_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client connects to it; whatever it asks for then is refused, so live state is never invented."""
    with ping_socket() as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        client = host.connect()
        with pytest.raises(APIError):
            client.api.containers()
        with pytest.raises(FleetError):
            host.list_fleet(client.api)
        client.close()
        raw = docker.APIClient(base_url=address, version="1.41")
        answer = raw.get(f"{raw.base_url}/v1.41/_ping", timeout=5)
        assert (answer.status_code, answer.headers["Api-Version"]) == (requests.codes.ok, "1.41")
        raw.close()
    path = Path(address.removeprefix("unix://"))
    assert not path.parent.exists()


def test_the_environment_of_the_stack_is_taken_where_none_is_set(tmp_path: Path) -> None:
    """`.state/env` as a shell reads it; an environment with a backend of its own is left as it is."""
    folder = tmp_path / ".state"
    folder.mkdir()
    (folder / "env").write_text("# comment\nexport PULUMI_BACKEND_URL='file:///a b'\nunset GONE\n", encoding="utf-8")
    given = {"PATH": "/usr/bin:/bin", "GONE": "1"}
    taken = environment(tmp_path, given)
    assert taken["PULUMI_BACKEND_URL"] == "file:///a b"
    assert "GONE" not in taken
    own = {**given, "PULUMI_BACKEND_URL": "s3://bucket"}
    assert environment(tmp_path, own) == own
    assert environment(tmp_path / "none", given) == given


def test_an_environment_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """The shell's own words reach the user."""
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "env").write_text("echo broken >&2; exit 3\n", encoding="utf-8")
    with pytest.raises(FleetError, match="broken"):
        environment(tmp_path, {"PATH": "/usr/bin:/bin"})


def test_secrets_of_the_environment_are_known_by_their_names() -> None:
    """A passphrase and keys are masked; a file that holds one is just a path."""
    given = {"PULUMI_CONFIG_PASSPHRASE": "hunter22", "LLM_API_KEY": "sk-1", "HOME": "/root", "KEY_FILE": "/dev/null"}
    assert secrets_of(given) == ["hunter22", "sk-1"]


@pytest.mark.parametrize("value", ["eyJ" + "a" * 300, "-----BEGIN KEY-----\n" + "b" * 5000, "nul\0"])
def test_no_secret_is_too_long_to_be_masked(value: str) -> None:
    """A token that no file could be called after, such as a runner's own, is a secret like any other."""
    assert secrets_of({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": value}) == [value]

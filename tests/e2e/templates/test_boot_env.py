"""The managed block of `.env`: it wins, and the family's own lines stay as they are."""

import os

import pytest

from tests.support.fleet.boot import AGENT, ENV, Boot

BEGIN = "# >>> hermes-fleet: these lines are rewritten at every start >>>\n"
END = "# <<< hermes-fleet <<<\n"
BLOCK = f"{BEGIN}{ENV}{END}"
PROFILE_BLOCK = f"{BEGIN}OPENROUTER_API_KEY=sk-managed\nTZ=Europe/London\n{END}"


# What a file held, and what of it stays beside the block.
CASES = [
    ("", ""),
    ("MINE=1\n", "MINE=1\n"),
    ("MINE=1", "MINE=1"),
    ("# a comment\n\nMINE='a b'\n", "# a comment\n\nMINE='a b'\n"),
    ("MINE=1\r\nOTHER=2\r\n", "MINE=1\r\nOTHER=2\r\n"),
    ("API_SERVER_KEY=own-key-of-the-family\nMINE=1\n", "MINE=1\n"),
    ("API_SERVER_KEY=\nMINE=1\n", "MINE=1\n"),
    ("MINE=1\nAPI_SERVER_KEY=foreign", "MINE=1\n"),
    ("export API_SERVER_KEY=x\nMINE=1\n", "MINE=1\n"),
    ("  export\tAPI_SERVER_KEY = 'x'\nMINE=1\n", "MINE=1\n"),
    ("'API_SERVER_KEY'=x\nMINE=1\n", "MINE=1\n"),
    ("\fAPI_SERVER_KEY=x\n\N{NO-BREAK SPACE}TZ=Mars\nMINE=1\n", "MINE=1\n"),
    ("\N{IDEOGRAPHIC SPACE}API_SERVER_KEY=x\nexport\fTZ\N{NO-BREAK SPACE}=Mars\nMINE=1\n", "MINE=1\n"),
    # A line break was lost between two entries: Hermes splits them.
    ("TELEGRAM_BOT_TOKEN=1:aOPENROUTER_API_KEY=sk-old\nMINE=1\n", "TELEGRAM_BOT_TOKEN=1:a\nMINE=1\n"),
    ("OPENROUTER_API_KEY=sk-oldTELEGRAM_BOT_TOKEN=1:a\n", "TELEGRAM_BOT_TOKEN=1:a\n"),
    (
        "HASS_TOKEN='a b'API_SERVER_KEY=xTELEGRAM_BOT_TOKEN=1:aOPENROUTER_API_KEY=y",
        "HASS_TOKEN='a b'\nTELEGRAM_BOT_TOKEN=1:a",
    ),
    # These it does not: it knows no name without an underscore.
    ("JAVA_TOOL_OPTIONS=-DTZ=UTC\nCRON_ARGS=--env=TZ=UTC\n", "JAVA_TOOL_OPTIONS=-DTZ=UTC\nCRON_ARGS=--env=TZ=UTC\n"),
    ("OPENROUTER_API_KEY=" + "A_B" * 20_000 + "\nMINE=1\n", "MINE=1\n"),
    ("HASS_TOKEN=API_SERVER_KEY=xOPENROUTER_API_KEY=y\r\nMINE=1\r\n", "HASS_TOKEN=\r\nMINE=1\r\n"),
    (
        'MY_HOOK=http://a/?API_SERVER_KEY=x\nMY_NOTE="see API_SERVER_KEY=x"\nMY_KEY=aMY_API_SERVER_KEY=x\n',
        'MY_HOOK=http://a/?API_SERVER_KEY=x\nMY_NOTE="see API_SERVER_KEY=x"\nMY_KEY=aMY_API_SERVER_KEY=x\n',
    ),
    ("API_SERVER_KEY=x\r\nMINE=1\r\n", "MINE=1\r\n"),
    ("MINE=1\rAPI_SERVER_KEY=x\rOTHER=2\n", "MINE=1\rOTHER=2\n"),
    ("WHATSAPP_ENABLED=true\nMINE=1\n", "MINE=1\n"),
    (
        "#API_SERVER_KEY=x\nMY_API_SERVER_KEY=y\nAPI_SERVER_KEYS=z\n",
        "#API_SERVER_KEY=x\nMY_API_SERVER_KEY=y\nAPI_SERVER_KEYS=z\n",
    ),
    ("MINE=API_SERVER_KEY=x\n", "MINE=API_SERVER_KEY=x\n"),
    (f"{BEGIN}API_SERVER_KEY=old\nDROPPED_SINCE=1\n{END}MINE=1\n", "MINE=1\n"),
    (f"MINE=1\n{BEGIN}DROPPED_SINCE=1\n{END}", "MINE=1\n"),
    (f"{BEGIN}API_SERVER_KEY=old\nMINE=1\n", "MINE=1\n"),
    (f"{BEGIN}TZ=1\n{END}{BEGIN}GONE=2\n{END}MINE=1\n", "MINE=1\n"),
    ("\N{ZERO WIDTH NO-BREAK SPACE}MINE=1\n", "MINE=1\n"),
    ("\N{ZERO WIDTH NO-BREAK SPACE}TZ=Mars\nMINE=1\n", "MINE=1\n"),
    ('OPEN="no end\nMINE=1\n', 'OPEN="no end\nMINE=1\n'),
    ("MINE=back\\slash %s & $HOME ${X} `y`\n", "MINE=back\\slash %s & $HOME ${X} `y`\n"),
]


def test_managed_keys_are_set_once_and_other_lines_stay(container: Boot) -> None:
    """The block stands first; no line outside it sets one of its keys; the rest keeps its bytes.

    A boot has one `.env` of the family and any number of profiles: all cases fit into one boot.
    """
    for number, (before, _) in enumerate(CASES):
        container.agent_writes(f"profiles/{number}/.env", before)
    container.boot()
    found = {before: container.read(f"profiles/{number}/.env") for number, (before, _) in enumerate(CASES)}
    assert found == {before: PROFILE_BLOCK + rest for before, rest in CASES}


@pytest.mark.parametrize(("before", "rest"), [CASES[1], CASES[9], CASES[17]])
def test_the_familys_own_file_is_treated_alike(container: Boot, before: str, rest: str) -> None:
    """With the port and the key of its API server in the block."""
    container.agent_writes(".env", before)
    for _ in range(2):
        container.boot()
        assert container.read(".env") == BLOCK + rest


def test_values_of_the_block_are_copied_as_they_are(container: Boot) -> None:
    """No tool of the shell interprets a value."""
    container.env = 'ODD="a\\\\b \\"c\\" ${:-$}{HOME} %s & \\\\1"\nTZ=UTC\n'
    container.write_uploads()
    container.boot()
    assert container.read(".env") == BEGIN + container.env + END


def test_a_key_that_is_no_longer_managed_goes(container: Boot) -> None:
    """What an earlier start wrote is dropped with the old block."""
    container.boot()
    container.env = "API_SERVER_KEY=managed-key\n"
    container.write_uploads()
    container.boot()
    assert container.read(".env") == f"{BEGIN}API_SERVER_KEY=managed-key\n{END}"


def test_every_profile_gets_the_keys_but_not_the_port(container: Boot) -> None:
    """A profile's gateway talks to the provider; an API server of its own would take the family's port."""
    container.agent_writes("profiles/kid/.env", "OPENROUTER_API_KEY=old\nAPI_SERVER_KEY=cloned\nTHEIRS=1\n", 0o644)
    container.agent_writes("profiles/kid/gateway_state.json", '{"gateway_state": "running"}', 0o600)
    container.agent_writes("profiles/kid/config.yaml", "model: theirs\n")
    container.agent_writes("profiles/work/SOUL.md", "a soul")
    container.agent_writes("profiles/notes.txt", "no profile")
    container.boot()
    assert container.read("profiles/kid/.env") == PROFILE_BLOCK + "THEIRS=1\n"
    assert container.read("profiles/work/.env") == PROFILE_BLOCK
    assert container.facts("profiles/kid/.env") == (*AGENT, "0o600")
    assert container.read("profiles/kid/gateway_state.json") == '{"gateway_state": "running"}'
    assert container.read("profiles/kid/config.yaml") == "model: theirs\n"
    assert sorted(path.name for path in (container.data / "profiles/work").iterdir()) == [".env", "SOUL.md"]


def test_profiles_with_odd_names_are_served(container: Boot) -> None:
    """A directory's name is data too."""
    container.agent_writes("profiles/a b *$(x)/.env", "THEIRS=1\n")
    container.boot()
    assert container.read("profiles/a b *$(x)/.env") == PROFILE_BLOCK + "THEIRS=1\n"


def test_an_unreadable_upload_stops_the_boot(container: Boot) -> None:
    """Without our own file there is no block to write, and the old one stays."""
    container.agent_writes(".env", "MINE=1\n")
    (container.fleet / "env").unlink()
    assert "cannot write all of" in container.refused()
    assert container.read(".env") == "MINE=1\n"


STOPPED = '{"pid":1,"gateway_state":"stopped","exit_reason":null}'
KILLED = '{"gateway_state": "draining","active_agents":1}'
RESUMED = '{"pid":1,"gateway_state": "running","exit_reason":null}'
FAILED = '{"gateway_state": "startup_failed"}'


@pytest.mark.parametrize(
    ("own", "profile", "apart", "expected"),
    [
        (STOPPED, STOPPED, 0, RESUMED),
        (STOPPED, STOPPED, -25, RESUMED),
        (STOPPED, STOPPED, 25, RESUMED),
        (STOPPED, STOPPED, -3600, STOPPED),
        (STOPPED, KILLED, 9, KILLED.replace("draining", "running")),
        (KILLED, KILLED, 0, KILLED.replace("draining", "running")),
        (STOPPED, FAILED, 0, FAILED),
        ('{"gateway_state":"running"}', STOPPED, 0, STOPPED),
        (None, STOPPED, 0, STOPPED),
    ],
)
def test_a_profile_that_ended_with_the_container_comes_back(
    container: Boot, own: str | None, profile: str, apart: int, expected: str
) -> None:
    """Hermes 0.15 notes every end as an order to stop; a real order came at another time."""
    if own is not None:
        os.utime(container.agent_writes("gateway_state.json", own), (1_800_000_000, 1_800_000_000))
    state = container.agent_writes("profiles/kid/gateway_state.json", profile)
    os.utime(state, (1_800_000_000 + apart, 1_800_000_000 + apart))
    container.boot()
    assert state.read_text() == expected
    assert container.facts("profiles/kid/gateway_state.json") == (*AGENT, "0o600")


def test_a_link_in_place_of_a_profiles_state_is_left_alone(container: Boot) -> None:
    """What is not a state is not resumed, and not followed."""
    container.agent_writes("gateway_state.json", STOPPED)
    other = container.agent_writes("other", STOPPED)
    container.agent_writes("profiles/kid/SOUL.md", "a soul")
    (container.data / "profiles/kid/gateway_state.json").symlink_to(other)
    container.boot()
    assert other.read_text() == STOPPED

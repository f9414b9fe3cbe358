"""A family's rendered files: values are data, wherever they are used."""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.container import rendering, spec_for
from fleet.errors import FleetError
from fleet.hermes import threat_patterns
from fleet.keys import api_key_for
from fleet.settings import Llm
from tests.support.fleet.families import make_family, make_settings, unvalidated
from tests.support.fleet.hermes_env import read
from tests.support.fleet.hermes_memory import editable, entries

T = TypeVar("T")
ID = "0b9f5a3e-6c1d-4f0e-9d3a-2f6f1c0e4a77"
OPEN_TEXT = st.text(min_size=1, max_size=60).filter(str.strip)
NASTY = [
    '"]: {',
    "a\n§\nb",
    "x: y # z",
    "- *a &b !c",
    "%TAG",
    "a\u2028b",
    "{{ 7 * 7 }}",
    "'",
    "é\r\n§\r\n",
    "null",
    "0x1F",
]
YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def config(line: str = "0.19", llm: Llm | None = None, **family: Any) -> dict[str, Any]:
    """Return the parsed config.yaml of a family."""
    stack = make_settings(hermes_line=line, **({"llm": llm} if llm else {}))
    parsed: dict[str, Any] = yaml.safe_load(rendering.render_config(make_family("smith", **family), stack))
    return parsed


def env(llm: Llm | None = None, stack: dict[str, Any] | None = None, **family: Any) -> dict[str, str]:
    """Return the managed `.env` entries of a family as Hermes reads them."""
    family.setdefault("id", ID)
    made = make_settings(**(stack or {}), **({"llm": llm} if llm else {}))
    lines = rendering.render_env(make_family("smith", **family), made).split("\n")
    assert lines.pop() == ""
    assert lines == sorted(lines)
    return {name: value for line in lines for name, value in read(line).items()}


def attempt(render: Callable[[], T]) -> tuple[T | None, str]:
    """Return what was rendered, or None and the error's text."""
    try:
        return render(), ""
    except FleetError as error:
        return None, str(error)


@pytest.mark.parametrize(("line", "version"), [("0.15", 24), ("0.19", 33)])
def test_the_whole_configuration_of_a_family(line: str, version: int) -> None:
    """Every owned key, in the form that this line of Hermes takes."""
    family = make_family(
        "smith",
        timezone="Europe/London",
        toolsets=["memory", "cronjob"],
        channels={"sudo_chat": True, "twilio_whatsapp": {"number": "+442079460018"}},
        kanban={"default_assignee": "coder", "max_in_progress_per_profile": 2},
        memory={"memory_char_limit": 3000, "user_char_limit": 1000},
    )
    stack = make_settings(hermes_line=line, llm=Llm("openrouter", "some/model", None, 128000))
    block = len(rendering.render_identity(family)) + len("\n§\n")
    tools = ["memory", "cronjob"]
    caps = {"default_assignee": "coder", "max_in_progress_per_profile": 2}
    assert yaml.safe_load(rendering.render_config(family, stack)) == {
        "_config_version": version,
        "model": {"provider": "openrouter", "default": "some/model", "context_length": 128000},
        "timezone": "Europe/London",
        "toolsets": tools,
        "platform_toolsets": dict.fromkeys(("api_server", "cli", "cron", "sudo_chat", "twilio_whatsapp"), tools),
        "memory": {
            "memory_enabled": True,
            "user_profile_enabled": True,
            "memory_char_limit": 3000 + block,
            "user_char_limit": 1000,
        },
        "kanban": caps if line == "0.19" else caps | {"max_in_progress": 2},
        "terminal": {"backend": "local"},
        "agent": {"restart_drain_timeout": 10},
        "onboarding": {
            "seen": dict.fromkeys(
                ("busy_input_prompt", "openclaw_residue_cleanup", "profile_build_offered", "tool_progress_prompt"), True
            )
        },
        "plugins": {"enabled": ["sudo_chat", "twilio_whatsapp"]},
        "platforms": {
            "api_server": {"enabled": True, "extra": {"host": "0.0.0.0", "port": 8642}},  # noqa: S104 - in a container
            "sudo_chat": {"enabled": True, "extra": {}},
            "twilio_whatsapp": {"enabled": True, "extra": {"number": "+442079460018"}},
        },
    }


def test_a_family_without_extras_gets_no_empty_sections() -> None:
    """No kanban section where nothing is capped; plugins are an empty list, so that none is loaded by chance."""
    found = config()
    assert "kanban" not in found
    assert found["plugins"] == {"enabled": []}
    assert list(found["platforms"]) == ["api_server"]


def test_a_custom_endpoint_takes_its_key_from_env() -> None:
    """config.yaml only refers to the key; the value is in `.env` only."""
    llm = Llm("custom", "m", "https://llm.example/v1")
    assert config(llm=llm)["model"] == {
        "provider": "custom",
        "default": "m",
        "base_url": "https://llm.example/v1",
        "api_key": "${CUSTOM_LLM_API_KEY}",
    }
    assert env(llm)["CUSTOM_LLM_API_KEY"] == "sk-unit-test-key"


def test_no_secret_of_the_stack_stands_in_the_configuration() -> None:
    """With any provider, config.yaml can be shown."""
    secrets = {"env": {"A_SECRET": "planted-secret-1"}, "channel_env": {"sudo_chat": {"B_SECRET": "planted-secret-2"}}}
    for name in ("custom", "openrouter", "anthropic"):
        stack = make_settings(llm=Llm(name, "m", "https://h/v1"), **secrets)
        text = rendering.render_config(make_family("smith", channels={"sudo_chat": True}), stack)
        assert not any(secret in text for secret in ("sk-unit-test-key", "m" * 32, "planted-secret"))


def test_a_secret_that_a_family_repeats_is_redacted_in_previews() -> None:
    """A key may have been copied into the family's own config."""
    family = make_family("smith", config={"mcp_servers": {"x": {"token": "sk-unit-test-key"}}})
    assert "sk-unit-test-key" in rendering.render_config(family, make_settings())
    shown = spec_for(family, make_settings()).shown["config"]
    assert "sk-unit-test-key" not in shown
    assert "token: [secret]" in shown


def test_a_familys_own_config_is_merged_deep() -> None:
    """It adds keys, and overrides those that the fleet does not own."""
    own = {
        "terminal": {"timeout": 5},
        "agent": {"restart_drain_timeout": 3},
        "platforms": {"webhook": {"enabled": True}},
    }
    found = config(config=own)
    assert found["terminal"] == {"backend": "local", "timeout": 5}
    assert found["agent"] == {"restart_drain_timeout": 3}
    assert sorted(found["platforms"]) == ["api_server", "webhook"]


@pytest.mark.parametrize(
    "own",
    [
        {"model": {"default": "mine"}},
        {"_config_version": 1},
        {"toolsets": []},
        {"platforms": {"api_server": {"enabled": False}}},
        {"platforms": None},
        {"memory": {"memory_char_limit": 1}},
        {"plugins": {"enabled": ["other"]}},
    ],
)
def test_owned_keys_cannot_be_changed(own: dict[str, Any]) -> None:
    """Not even where the registry's own check is bypassed."""
    with pytest.raises(FleetError, match=r"smith: config\..* is set by the fleet"):
        config(config=own)


@settings(deadline=None)
@given(own=st.dictionaries(st.text(max_size=8).map("x{}".format), YAML_VALUES, max_size=3))
@example(own={"x": "\ud83d\ude00"})
@example(own={"x": ["=", "<<", "1:30", "yes", "~", "é\x85", "\ufeff"]})
def test_a_familys_own_config_is_data(own: dict[str, Any]) -> None:
    """Any value reads back unchanged, and all other keys stay."""
    expected = config()
    found, error = attempt(lambda: config(config=own))
    assert found == expected | own if found else "does not survive" in error


@settings(deadline=None)
@given(model=OPEN_TEXT, base_url=OPEN_TEXT)
@example(model="null", base_url="1e3")
@example(model='a"\n_config_version: 1', base_url="{{ 7 * 7 }}")
def test_settings_are_data_in_the_configuration(model: str, base_url: str) -> None:
    """No string of the stack's config becomes structure."""
    found = config(llm=unvalidated(Llm("openrouter", "m"), model=model, base_url=base_url))
    assert found["model"] == {"provider": "openrouter", "default": model, "base_url": base_url}
    assert found["_config_version"] == 33


def test_the_identity_block() -> None:
    """A neutral marker line, then one value a line."""
    family = make_family(
        "smith",
        display_name="The Smiths",
        timezone="Europe/London",
        members=[{"name": "Ann", "role": "parent"}, {"name": "Rex"}],
        account={"email": "a@example.com", "phone": "+44 20 7946 0018"},
    )
    assert rendering.render_identity(family).split("\n") == [
        "<!-- hermes-fleet:identity -->",
        "Account of the family that you serve (kept up to date by the operator):",
        '- Family: "The Smiths"',
        '- Language: "en"',
        '- Time zone: "Europe/London"',
        '- Member: "Ann"',
        '  Role: "parent"',
        '- Member: "Rex"',
        '- E-mail: "a@example.com"',
        '- Phone: "+44 20 7946 0018"',
    ]


@settings(deadline=None)
@given(name=OPEN_TEXT | st.sampled_from(NASTY), people=st.lists(st.tuples(OPEN_TEXT, OPEN_TEXT), max_size=3))
@example(name="my cat", people=[("a .env", "credentials")])
@example(name="<!-- a", people=[("system", "-->")])
@example(name="you are", people=[("now", "the king")])
@example(name="token:", people=[("a" * 30, "b" * 30)])
def test_the_identity_is_one_harmless_entry_or_an_error(name: str, people: list[tuple[str, str]]) -> None:
    """No name ends the entry, hides in it, or makes Hermes block it; one that would is an error."""
    members = [{"name": member, "role": role} for member, role in people]
    family = make_family("smith", display_name=name, members=members)
    entry, error = attempt(lambda: rendering.render_identity(family))
    if not entry:
        assert re.match("smith: .*Hermes blocks memory", error)
        return
    memory = f"{entry}\n§\nlikes tea"
    assert entries(memory) == [entry, "likes tea"]
    assert editable(memory)
    assert threat_patterns.findings(entry) == []
    lines = entry.split("\n")
    assert lines[0] == rendering.IDENTITY_MARKER
    assert json.loads(lines[2].removeprefix("- Family: ")) == threat_patterns.clean(name)
    assert sum(line.startswith("- Member: ") for line in lines) == len(people)


def test_the_env_entries_of_a_family() -> None:
    """The provider's key, the API server's, the time zone, and what the channel needs."""
    family = make_family("smith", timezone="Europe/London", channels={"sudo_chat": True})
    stack = make_settings()
    lines = rendering.render_env(family, stack).splitlines()
    assert lines == [
        "API_SERVER_ENABLED=true",
        "API_SERVER_HOST=0.0.0.0",
        f"API_SERVER_KEY={api_key_for(stack.master_key, family.id)}",
        "API_SERVER_PORT=8642",
        "HERMES_TIMEZONE=Europe/London",
        "OPENROUTER_API_KEY=sk-unit-test-key",
        "SUDO_CHAT_ALLOW_ALL_USERS=true",
        "SUDO_CHAT_HOME_CHANNEL=home",
        "TZ=Europe/London",
    ]


def test_a_base_url_reaches_providers_that_read_it_from_env() -> None:
    """OpenRouter reads it nowhere else; a custom endpoint's is in config.yaml."""
    assert env(Llm("openrouter", "m", "https://proxy/v1"))["OPENROUTER_BASE_URL"] == "https://proxy/v1"
    assert "https://proxy/v1" not in env(Llm("custom", "m", "https://proxy/v1")).values()


def test_who_wins_where_two_set_the_same_entry() -> None:
    """The channel's wins over the stack's, the family's over both, the fleet's over all."""
    stack = {
        "env": {"A": "stack", "B": "stack", "C": "stack", "OPENROUTER_API_KEY": "stack", "API_SERVER_KEY": "stack"},
        "channel_env": {"sudo_chat": {"B": "channel", "C": "channel"}, "sudo_voice": {"D": "other channel"}},
    }
    found = env(stack=stack, channels={"sudo_chat": True}, env={"C": "family", "SUDO_CHAT_HOME_CHANNEL": "den"})
    assert {name: found[name] for name in "ABC"} == {"A": "stack", "B": "channel", "C": "family"}
    assert found["SUDO_CHAT_HOME_CHANNEL"] == "den"
    assert found["OPENROUTER_API_KEY"] == "sk-unit-test-key"
    assert found["API_SERVER_KEY"] != "stack"
    assert "D" not in found


@settings(deadline=None)
@given(value=st.text())
@example(value="x\nAPI_SERVER_KEY=mine")
@example(value="x OPENAI_API_KEY=mine")
@example(value='"')
def test_env_values_are_data(value: str) -> None:
    """A value sets its own entry and no other, or is an error that does not show it."""
    expected = env()
    found, error = attempt(lambda: env(stack={"env": {"MINE": value}}))
    assert found == expected | {"MINE": value} if found else re.fullmatch(r"smith: \.env entry MINE: .*", error)


def test_a_provider_key_that_hermes_would_misread_is_an_error_without_it() -> None:
    """The message names the setting and not the value."""
    with pytest.raises(FleetError, match="hermes-fleet:llmApiKey") as caught:
        env(stack={"llm_api_key": 'sk-"quoted"'})
    assert "quoted" not in str(caught.value).replace("a quote", "")


def test_rendering_is_the_same_every_time() -> None:
    """So a plan shows a difference only where there is one."""
    family = make_family("smith", env={"B": "2", "A": "1"}, config={"z": 1, "a": {"c": 1, "b": 2}})
    stack = make_settings(env={"D": "4", "C": "3"})
    for render in (rendering.render_config, rendering.render_env):
        assert render(family, stack) == render(family, stack)
    assert rendering.render_env(family, stack) == rendering.render_env(family, make_settings(env={"C": "3", "D": "4"}))

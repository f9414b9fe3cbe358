"""A stack's config is read whole, and everything wrong with it is said at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import FleetError
from fleet.settings import Settings, load_settings

ROOT = Path("/project")
GOOD: dict[str, str | None] = {
    "image": "hermes:1",
    "hermesLine": "0.19",
    "llm": json.dumps({"provider": "openrouter", "model": "m"}),
    "llmApiKey": "sk-1234567890",
    "masterKey": "k" * 32,
    "pluginsDir": "/srv/plugins",
}


def load(stack: str = "prod", **changes: Any) -> Settings:
    """Load the good config with changes; mappings are handed over as the JSON that Pulumi stores."""
    values = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in {**GOOD, **changes}.items()}
    return load_settings(values, stack=stack, root=ROOT)


def problems(stack: str = "prod", **changes: Any) -> list[str]:
    """Return the problems of a config."""
    with pytest.raises(FleetError) as caught:
        load(stack, **changes)
    return str(caught.value).splitlines()


def test_defaults_are_the_documented_ones() -> None:
    """A minimal config gets the contract's defaults."""
    settings = load()
    assert settings.rollout == type(settings.rollout)(5, 120, 30, True)
    assert (settings.health.interval, settings.health.start_interval) == (30, None)
    assert settings.registry == ROOT / "families.yaml"
    assert settings.new_families == "awake"
    assert settings.master_key_previous is None


def test_every_missing_key_is_named_with_the_line_that_sets_it() -> None:
    """An empty config yields one problem for each required key, with its `pulumi config set` line."""
    with pytest.raises(FleetError) as caught:
        load_settings({}, stack="prod", root=ROOT)
    text = str(caught.value)
    for key in ("image", "hermesLine", "llm.provider", "llm.model", "llmApiKey", "masterKey", "pluginsDir"):
        assert f"hermes-fleet:{key}: is missing" in text
    assert "pulumi config set --secret 'hermes-fleet:llmApiKey'" in text
    assert "pulumi config set --path 'hermes-fleet:llm.model' MODEL" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hermesLine": "0.18"}, "hermes-fleet:hermesLine: '0.18' is not 0.15 or 0.19"),
        ({"image": "two words"}, "hermes-fleet:image: 'two words' is not an image reference"),
        ({"llm": {"provider": "custom", "model": "m"}}, "hermes-fleet:llm.base_url: is missing"),
        ({"llm": {"provider": "custom", "model": "m", "base_url": "ftp://h"}}, "base_url: is not an http or https URL"),
        ({"llm": {"provider": "custom", "model": "m", "base_url": ["x"]}}, "llm.base_url: ['x'] is not a text"),
        ({"llm": {"provider": "xai", "model": "m", "context_length": "many"}}, "'many' is not a whole number"),
        ({"llm": {"provider": "xai", "model": "m", "modle": 1}}, "hermes-fleet:llm.modle: is not a key of llm"),
        ({"llmApiKey": " sk"}, "hermes-fleet:llmApiKey: has blanks at an end"),
        ({"masterKey": "short"}, "hermes-fleet:masterKey: is shorter than 32 bytes"),
        ({"masterKeyPrevious": "short"}, "hermes-fleet:masterKeyPrevious: is shorter than 32 bytes"),
        ({"env": {"A B": "x"}}, "hermes-fleet:env.A B: is not a name"),
        ({"env": {"A": "x\ny"}}, "hermes-fleet:env.A: is not a text of one line"),
        ({"channelEnv": {"telegram": {}}}, "hermes-fleet:channelEnv.telegram: is not a key of channelEnv"),
        ({"channelEnv": {"sudo_chat": 3}}, "is not a mapping of names and values"),
        ({"newFamilies": "tired"}, "'tired' is not awake or asleep"),
        ({"pluginsDir": "plugins"}, "hermes-fleet:pluginsDir: 'plugins' is relative"),
        ({"rollout": {"wave_size": 0}}, "hermes-fleet:rollout.wave_size: 0 is not a whole number above 0"),
        ({"rollout": {"preflight": "maybe"}}, "'maybe' is not true or false"),
        ({"rollout": {"health_timeout": 60}}, "hermes-fleet:rollout.health_timeout: 60 s is too short"),
        ({"health": {"interval": 70}}, "a first answer can take 75 s"),
    ],
)
def test_malformed_keys_are_named(changes: dict[str, Any], said: str) -> None:
    """Each malformed key is named with what is wrong and a line that mends it."""
    found = problems(**changes)
    assert len(found) == 1
    assert said in found[0]
    assert "pulumi config " in found[0]


def test_an_object_of_the_wrong_shape_is_named() -> None:
    """Text or a list where an object belongs is one problem, beside those of its missing members."""
    assert "hermes-fleet:llm.provider: llm is not a mapping" in problems(llm="[1]")[0]


@pytest.mark.parametrize("found", [{"name": "x"}, ["x"]])
def test_a_member_of_the_wrong_shape_hides_no_other_problem(found: object) -> None:
    """An object or a list where a text belongs is one problem among all others."""
    said = problems(newFamilies="tired", llm={"provider": found, "model": found})
    assert [line.partition("; ")[0] for line in said] == [
        f"hermes-fleet:llm.provider: {found!r} is not a text",
        f"hermes-fleet:llm.model: {found!r} is not a text",
        "hermes-fleet:newFamilies: 'tired' is not awake or asleep",
    ]


@pytest.mark.parametrize("address", ["http://[::1/v1", "http://[v1]/v1", "http://h℀st/v1"])
def test_an_address_that_cannot_be_parsed_hides_no_other_problem(address: str) -> None:
    """A base URL that Python refuses to split is one problem among all others."""
    said = problems(newFamilies="tired", llm={"provider": "custom", "model": "m", "base_url": address})
    assert [line.partition("; ")[0] for line in said] == [
        "hermes-fleet:llm.base_url: is not an http or https URL",
        "hermes-fleet:newFamilies: 'tired' is not awake or asleep",
    ]


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://user:hunter2@h/v1", "has a user or a password before its host"),
        ("https://hunter2@h/v1", "has a user or a password before its host"),
        ("https://user:hunter2/x@h/v1", "is not an http or https URL"),
        ("user:hunter2@h/v1", "is not an http or https URL"),
        ("https://h/v1?api-key=hunter2", "has a key in its query"),
        ("https://h/v1?api-version=1&access_token=hunter2", "has a key in its query"),
        ("https://h/v1?sig=hunter2", "has a key in its query"),
        ("https://h/v1?API_PASSWORD=hunter2", "has a key in its query"),
    ],
)
def test_an_address_with_a_key_in_it_is_refused_unseen(address: str, what: str) -> None:
    """It would be shown in every preview; the message says where the key belongs, and does not repeat it."""
    (said,) = problems(llm={"provider": "custom", "model": "m", "base_url": address})
    assert said.startswith(f"hermes-fleet:llm.base_url: {what}")
    assert "hermes-fleet:llmApiKey" in said or "is not an http" in said
    assert "mend it with: pulumi config set --path 'hermes-fleet:llm.base_url' https://HOST/v1" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("query", ["api-version=2024-10-21", "design=a&max_tokens=9&author=b&keyword=c"])
def test_an_address_may_say_which_version_of_the_api_it_means(query: str) -> None:
    """A query without a key is part of some providers' addresses."""
    address = f"https://h:8443/v1?{query}"
    assert load(llm={"provider": "custom", "model": "m", "base_url": address}).llm.base_url == address


@pytest.mark.parametrize("name", ["TZ", "tz", "WHATSAPP_ENABLED", "HERMES_HOME", "API_SERVER_KEY", "API_SERVER_PORT"])
def test_entries_that_the_fleet_sets_itself_are_refused(name: str) -> None:
    """Each is named with the line that removes it, for all families as for those of a channel, and not its value."""
    said = problems(env={name: "planted", "MINE": "x"}, channelEnv={"sudo_chat": {name: "planted"}})
    assert said == [
        f"hermes-fleet:{key}.{name}: is set by the fleet itself and cannot be set here; "
        f"mend it with: pulumi config rm --path 'hermes-fleet:{key}.{name}'"
        for key in ("env", "channelEnv.sudo_chat")
    ]


def test_keys_and_tokens_belong_into_the_stacks_entries() -> None:
    """What the registry sends here is taken: providers' keys, a channel's credentials."""
    env = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "MAPS_TOKEN": "c", "API_SERVER_MODEL_NAME": "d"}
    channels = {"twilio_whatsapp": {"TWILIO_ACCOUNT_SID": "e", "TWILIO_AUTH_TOKEN": "f"}}
    settings = load(env=env, channelEnv=channels)
    assert (settings.env, settings.channel_env) == (env, channels)


def test_a_malformed_secret_is_never_repeated() -> None:
    """An error about a key does not print the key."""
    assert "hunter2" not in "\n".join(problems(masterKey="hunter2", llmApiKey=" hunter2"))


def test_numbers_that_the_cli_stored_as_text_are_read() -> None:
    """`pulumi config set --path` may store `9` and `false` as text."""
    settings = load(rollout={"wave_size": "9", "preflight": "false"}, health={"interval": "5"})
    assert (settings.rollout.wave_size, settings.rollout.preflight, settings.health.interval) == (9, False, 5)


def test_secrets_in_plain_text_are_refused() -> None:
    """A key that stands unencrypted in the stack file is a leak, and is said so without printing it."""
    values = {**GOOD, "env": '{"A": "b"}'}
    with pytest.raises(FleetError) as caught:
        load_settings(values, stack="prod", root=ROOT, encrypted={"masterKey"})
    said = str(caught.value)
    assert "hermes-fleet:llmApiKey: is in plain text" in said
    assert "hermes-fleet:env: is in plain text" in said
    assert "masterKey:" not in said
    assert "sk-1234567890" not in said


def test_dev_takes_the_sample_plugins() -> None:
    """Only the dev stack may leave out the plugins directory, or count it from the project."""
    assert load("dev", pluginsDir=None).plugins_dir == "/project/plugins"
    assert load("dev", pluginsDir="mine").plugins_dir == "/project/mine"


def test_secrets_are_not_in_the_repr() -> None:
    """Settings that end up in a traceback do not carry keys along."""
    text = repr(load(env={"TOKEN": "planted-secret"}))
    assert "sk-1234567890" not in text
    assert "kkkk" not in text
    assert "planted-secret" not in text


def test_what_the_fleet_writes_of_the_provider_is_no_entry() -> None:
    """It would be overridden, and yet count as a credential that changed. Another provider's key is an entry."""
    llm = {"provider": "openrouter", "model": "m", "base_url": "https://proxy.example/v1"}
    found = problems(
        llm=llm,
        env={"OPENROUTER_API_KEY": "a"},
        channelEnv={"sudo_chat": {"OPENROUTER_BASE_URL": "b", "OPENAI_API_KEY": "c"}},
    )
    assert len(found) == 2
    assert "env.OPENROUTER_API_KEY: is set by the fleet from hermes-fleet:llmApiKey" in found[0]
    assert "channelEnv.sudo_chat.OPENROUTER_BASE_URL: is set by the fleet from hermes-fleet:llm.base_url" in found[1]

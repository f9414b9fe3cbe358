"""The stack's config is validated as a whole, and all problems are reported at once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fleet.errors import FleetError
from fleet.settings import Settings, load_settings

ROOT = Path("/project")
LLM = {"provider": "openrouter", "model": "m"}
GOOD: dict[str, str | None] = {
    "image": "hermes:1",
    "hermesLine": "0.19",
    "llm": json.dumps(LLM),
    "llmApiKey": "sk-1234567890",
    "masterKey": "k" * 32,
    "pluginsDir": "/srv/plugins",
}


def load(stack: str = "prod", **changes: Any) -> Settings:
    """Load the good config with changes; mappings are passed as the JSON that Pulumi stores."""
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
        ({"llm": {"provider": "xia", "model": "m"}}, "hermes-fleet:llm.provider: 'xia' is not a provider"),
        ({"llm": {"provider": "custom", "model": "m"}}, "hermes-fleet:llm.base_url: is missing"),
        ({"llm": {"provider": "custom", "model": "m", "base_url": "ftp://h"}}, "base_url: is not an http or https URL"),
        (
            {"llm": {"provider": "custom", "model": "m", "base_url": ["x"]}},
            "hermes-fleet:llm.base_url: is not a string",
        ),
        ({"llm": {"provider": "xai", "model": "m", "context_length": "many"}}, "'many' is not an integer"),
        ({"llm": {"provider": "xai", "model": "m", "modle": 1}}, "hermes-fleet:llm.modle: is not a key of llm"),
        ({"llmApiKey": " sk"}, "hermes-fleet:llmApiKey: has blanks at an end"),
        ({"masterKey": "short"}, "hermes-fleet:masterKey: is shorter than 32 bytes"),
        ({"masterKeyPrevious": "short"}, "hermes-fleet:masterKeyPrevious: is shorter than 32 bytes"),
        ({"env": {"A B": "x"}}, "hermes-fleet:env.A B: is not a name"),
        ({"env": {"A": "x\ny"}}, "hermes-fleet:env.A: is not a string of one line"),
        ({"channelEnv": {"telegram": {}}}, "hermes-fleet:channelEnv.telegram: is not a key of channelEnv"),
        ({"channelEnv": {"sudo_chat": 3}}, "is not a mapping of names and values"),
        ({"newFamilies": "tired"}, "'tired' is not 'awake' or 'asleep'"),
        ({"pluginsDir": "plugins"}, "hermes-fleet:pluginsDir: 'plugins' is relative"),
        ({"rollout": {"wave_size": 0}}, "hermes-fleet:rollout.wave_size: 0 is less than 1"),
        ({"rollout": {"preflight": "maybe"}}, "'maybe' is not true or false"),
        ({"rollout": {"health_timeout": 60}}, "hermes-fleet:rollout.health_timeout: 60 s is too short"),
        ({"health": {"interval": 70}}, "a first answer can take 75 s"),
    ],
)
def test_malformed_keys_are_named(changes: dict[str, Any], said: str) -> None:
    """Each malformed key is named with what is wrong and the command that fixes it."""
    found = problems(**changes)
    assert len(found) == 1
    assert said in found[0]
    assert "pulumi config " in found[0]


@pytest.mark.parametrize(("key", "member"), [("llm", "provider"), ("rollout", "wave_size"), ("env", "NAME")])
@pytest.mark.parametrize("found", ["[1]", "hunter2", "{"])
def test_an_object_of_the_wrong_shape_is_named(key: str, member: str, found: str) -> None:
    """A string or a list in place of an object is one problem, fixed by setting a member."""
    (said,) = problems(**{key: found})
    assert said.startswith(f"hermes-fleet:{key}: ")
    assert "is not a mapping" in said
    assert f"'hermes-fleet:{key}.{member}'" in said
    assert key == "rollout" or found not in said


@pytest.mark.parametrize(("found", "shown"), [({"name": "x"}, "a mapping"), (["x"], "a list")])
def test_a_member_of_the_wrong_shape_hides_no_other_problem(found: object, shown: str) -> None:
    """An object or a list in place of a string is one problem among all others."""
    said = problems(newFamilies="tired", llm={"provider": found, "model": found})
    assert [line.partition("; ")[0] for line in said] == [
        f"hermes-fleet:llm.provider: {shown} is not a string",
        f"hermes-fleet:llm.model: {shown} is not a string",
        "hermes-fleet:newFamilies: 'tired' is not 'awake' or 'asleep'",
    ]


@pytest.mark.parametrize("address", ["http://[::1/v1", "http://[v1]/v1", "http://h℀st/v1"])
def test_an_address_that_cannot_be_parsed_hides_no_other_problem(address: str) -> None:
    """A base URL that Python refuses to split is one problem among all others."""
    said = problems(newFamilies="tired", llm={"provider": "custom", "model": "m", "base_url": address})
    assert [line.partition("; ")[0] for line in said] == [
        "hermes-fleet:llm.base_url: is not an http or https URL",
        "hermes-fleet:newFamilies: 'tired' is not 'awake' or 'asleep'",
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
def test_a_base_url_with_credentials_is_refused(address: str, what: str) -> None:
    """Every preview would show it; the message says where the key belongs, and does not repeat it."""
    (said,) = problems(llm={"provider": "custom", "model": "m", "base_url": address})
    assert said.startswith(f"hermes-fleet:llm.base_url: {what}")
    assert "hermes-fleet:llmApiKey" in said or "is not an http" in said
    assert "fix: pulumi config set --path 'hermes-fleet:llm.base_url' https://HOST/v1" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("query", ["api-version=2024-10-21", "design=a&max_tokens=9&author=b&keyword=c"])
def test_a_base_url_may_have_a_query_without_credentials(query: str) -> None:
    """Some providers' addresses need one."""
    address = f"https://h:8443/v1?{query}"
    assert load(llm={"provider": "custom", "model": "m", "base_url": address}).llm.base_url == address


@pytest.mark.parametrize("name", ["TZ", "tz", "WHATSAPP_ENABLED", "HERMES_HOME", "API_SERVER_KEY", "API_SERVER_PORT"])
def test_entries_that_the_fleet_sets_itself_are_refused(name: str) -> None:
    """Each is named with the command that removes it, in `env` and in `channelEnv`, without its value."""
    said = problems(env={name: "planted", "MINE": "x"}, channelEnv={"sudo_chat": {name: "planted"}})
    assert said == [
        f"hermes-fleet:{key}.{name}: is set by the fleet itself and cannot be set here; "
        f"fix: pulumi config rm --path 'hermes-fleet:{key}.{name}'"
        for key in ("env", "channelEnv.sudo_chat")
    ]


def test_keys_and_tokens_belong_in_the_stacks_entries() -> None:
    """Other providers' keys and a channel's credentials are accepted."""
    env = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "MAPS_TOKEN": "c", "API_SERVER_MODEL_NAME": "d"}
    channels = {"twilio_whatsapp": {"TWILIO_ACCOUNT_SID": "e", "TWILIO_AUTH_TOKEN": "f"}}
    settings = load(env=env, channelEnv=channels)
    assert (settings.env, settings.channel_env) == (env, channels)


def test_a_malformed_secret_is_never_repeated() -> None:
    """An error about a key does not print the key, and nothing that is raised with it holds the key either."""
    secret = " hunter2\n"
    with pytest.raises(FleetError) as caught:
        load(masterKey=secret, llmApiKey=secret, env={"A": secret, "B": [secret]}, channelEnv={"sudo_chat": secret})
    assert len(caught.value.problems) == 5
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_settings_made_by_a_program_are_validated_without_repeating_a_secret() -> None:
    """Keyword arguments pass the same checks as the config."""
    good = load()
    with pytest.raises(ValidationError, match="shorter than 32 bytes") as caught:
        replace(good, master_key="hunter2")
    assert "hunter2" not in str(caught.value)


def test_problems_that_span_two_keys_are_found_beside_others() -> None:
    """A short timeout and a provider's own entry are reported although other members of their objects are wrong."""
    said = problems(
        llm={"provider": "openrouter"},
        rollout={"wave_size": 0, "health_timeout": "60"},
        health={"start_interval": 0},
        env={"OPENROUTER_API_KEY": "a", "A B": "x"},
    )
    assert [line.partition(": ")[0] for line in said] == [
        f"hermes-fleet:{key}"
        for key in (
            "llm.model",
            "env.A B",
            "rollout.wave_size",
            "health.start_interval",
            "rollout.health_timeout",
            "env.OPENROUTER_API_KEY",
        )
    ]
    assert "pulumi config set --path 'hermes-fleet:rollout.health_timeout' 70" in said[4]


@pytest.mark.parametrize("value", ["1.0", "1e2", "true", "yes", "05", "[]", "", " "])
def test_a_number_is_an_integer_and_nothing_near_it(value: str) -> None:
    """Neither a float nor a boolean nor a blank passes for a number."""
    (said,) = problems(rollout={"wave_size": value})
    assert "hermes-fleet:rollout.wave_size: " in said
    assert "is not an integer" in said


@pytest.mark.parametrize("value", ["yes", "on", "1", 1, "no", "True"])
def test_a_switch_is_true_or_false_and_nothing_near_it(value: object) -> None:
    """Only what JSON calls a boolean is one."""
    (said,) = problems(rollout={"preflight": value})
    assert "is not true or false" in said


def test_an_unknown_member_is_named_with_the_known_ones() -> None:
    """It is removed rather than set, and the nearest known one is suggested."""
    (said,) = problems(llm={**LLM, "modle": 1})
    assert "is not a key of llm (provider, model, base_url, context_length); did you mean 'model'?" in said
    assert said.endswith("; fix: pulumi config rm --path 'hermes-fleet:llm.modle'")


def test_blank_and_null_values_count_as_missing() -> None:
    """They take the default where there is one."""
    settings = load(newFamilies="  ", rollout={"wave_size": None}, llm={**LLM, "base_url": ""}, masterKeyPrevious=" ")
    assert (settings.new_families, settings.rollout.wave_size) == ("awake", 5)
    assert (settings.llm.base_url, settings.master_key_previous) == (None, None)
    assert "hermes-fleet:llm.model: is missing" in problems(llm={**LLM, "model": ""})[0]
    assert "hermes-fleet:image: is missing" in problems(image=" ")[0]


def test_numbers_that_pulumi_stored_as_strings_are_read() -> None:
    """`pulumi config set --path` may store `9` and `false` as strings."""
    settings = load(rollout={"wave_size": "9", "preflight": "false"}, health={"interval": "5"})
    assert (settings.rollout.wave_size, settings.rollout.preflight, settings.health.interval) == (9, False, 5)


def test_secrets_in_plain_text_are_refused() -> None:
    """An unencrypted key in the stack file is a leak; the message does not print it."""
    values = {**GOOD, "env": '{"A": "b"}'}
    with pytest.raises(FleetError) as caught:
        load_settings(values, stack="prod", root=ROOT, encrypted={"masterKey"})
    said = str(caught.value)
    assert "hermes-fleet:llmApiKey: is in plain text" in said
    assert "hermes-fleet:env: is in plain text" in said
    assert said.endswith("fix: pulumi config set --secret 'hermes-fleet:env'")
    assert "masterKey:" not in said
    assert "sk-1234567890" not in said


def test_dev_takes_the_sample_plugins() -> None:
    """Only the dev stack may leave out the plugins directory, or count it from the project."""
    assert load("dev", pluginsDir=None).plugins_dir == "/project/plugins"
    assert load("dev", pluginsDir="mine").plugins_dir == "/project/mine"


def test_secrets_are_not_in_the_repr() -> None:
    """Settings in a traceback show no keys."""
    text = repr(load(env={"TOKEN": "planted-secret"}))
    assert "sk-1234567890" not in text
    assert "kkkk" not in text
    assert "planted-secret" not in text


def test_entries_of_the_stacks_own_provider_are_refused() -> None:
    """They would be overridden, yet count as changed credentials. Another provider's key is accepted."""
    llm = {"provider": "openrouter", "model": "m", "base_url": "https://proxy.example/v1"}
    found = problems(
        llm=llm,
        env={"OPENROUTER_API_KEY": "a"},
        channelEnv={"sudo_chat": {"OPENROUTER_BASE_URL": "b", "OPENAI_API_KEY": "c"}},
    )
    assert len(found) == 2
    assert "env.OPENROUTER_API_KEY: is set by the fleet from hermes-fleet:llmApiKey" in found[0]
    assert "channelEnv.sudo_chat.OPENROUTER_BASE_URL: is set by the fleet from hermes-fleet:llm.base_url" in found[1]


@pytest.mark.parametrize(
    ("key", "value"), [("rollout", {"wave_sise": None}), ("health", {"provider": ""}), ("rollout", {"[key]": "x"})]
)
def test_an_unknown_member_is_named_whatever_its_value(key: str, value: dict[str, Any]) -> None:
    """One without a value, too, and one that has pydantic's own mark as its name."""
    (line,) = problems("prod", **{key: value})
    assert f"hermes-fleet:{key}.{next(iter(value))}: is not a key of {key}" in line


def test_an_absolute_directory_of_plugins_is_taken_as_written() -> None:
    """Another spelling would replace every container."""
    assert load(stack="dev", pluginsDir="/srv//plugins/").plugins_dir == "/srv//plugins/"

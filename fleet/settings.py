"""The stack's config: what the operator sets with `pulumi config`, read into typed settings.

Every problem is found in one pass and names the key, what is expected, and the line that mends it.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fleet.config_reader import NAMESPACE, SECRET_KEYS, ConfigReader
from fleet.errors import FleetError, Problem
from fleet.hermes.lines import CHANNELS, HERMES_LINES
from fleet.hermes.owned_settings import is_owned_env
from fleet.hermes.providers import provider as known_provider

KEYS = (
    "image",
    "hermesLine",
    "llm",
    "llmApiKey",
    "masterKey",
    "masterKeyPrevious",
    "env",
    "channelEnv",
    "registry",
    "pluginsDir",
    "pluginsVersion",
    "newFamilies",
    "rollout",
    "health",
)

MASTER_KEY_BYTES = 32
DEFAULT_REGISTRY = "families.yaml"
HEALTHCHECK_TIMEOUT = 5

_LLM_TEXTS = ("provider", "model", "base_url")
# Names of what a query must not hold; `api-version`, which some providers want there, is none.
_CREDENTIAL = re.compile(
    r"(?i)(?:^|[^a-z])(?:\w*key|\w*token|secret|pass(?:word|wd)?|auth|sig|signature|credentials?)(?:$|[^a-z])"
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Llm:
    """The provider that every agent talks to. `context_length` is in tokens."""

    provider: str
    model: str
    base_url: str | None = None
    context_length: int | None = None


@dataclass(frozen=True)
class Rollout:
    """How a change goes through the fleet. Times are in seconds."""

    wave_size: int = 5
    health_timeout: int = 120
    stop_grace: int = 30
    preflight: bool = True


@dataclass(frozen=True)
class Health:
    """How often Docker asks a container for its health, in seconds. `start_interval` needs Docker 25 everywhere."""

    interval: int = 30
    start_interval: int | None = None


@dataclass(frozen=True)
class Settings:
    """All of a stack's config, checked."""

    stack: str
    image: str
    hermes_line: str
    llm: Llm
    llm_api_key: str = field(repr=False)
    master_key: str = field(repr=False)
    registry: Path
    plugins_dir: str
    master_key_previous: str | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    channel_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    plugins_version: str = ""
    new_families: str = "awake"
    rollout: Rollout = Rollout()
    health: Health = Health()


def load_settings(
    values: Mapping[str, str | None],
    *,
    stack: str,
    root: Path,
    encrypted: Container[str] = SECRET_KEYS,
) -> Settings:
    """Check the raw values of a stack's config and return them typed.

    `values` maps the keys of `KEYS` to what Pulumi hands out: text, or JSON for objects. `root` is the directory of
    Pulumi.yaml; a relative `registry` counts from there. `encrypted` holds the keys whose values are encrypted in
    the stack file. Raises FleetError with every problem.
    """
    reader = ConfigReader(values)
    reader.refuse_plain(encrypted)
    rollout = _rollout(reader)
    settings = Settings(
        stack=stack,
        image=_image(reader),
        hermes_line=_choice(reader, "hermesLine", HERMES_LINES),
        llm=_llm(reader),
        llm_api_key=_key(reader, "llmApiKey", "the key of the LLM provider"),
        master_key=_master_key(reader, "masterKey"),
        master_key_previous=_master_key(reader, "masterKeyPrevious", default="") or None,
        env=_env(reader, "env", reader.mapping("env")),
        channel_env=_channel_env(reader),
        registry=root / reader.text("registry", "a path", DEFAULT_REGISTRY, DEFAULT_REGISTRY),
        plugins_dir=_plugins_dir(reader, stack, root),
        plugins_version=reader.text("pluginsVersion", "a text", "1", ""),
        new_families=_choice(reader, "newFamilies", ("awake", "asleep"), "awake"),
        rollout=rollout,
        health=_health(reader, rollout),
    )
    _refuse_provider_entries(reader, settings)
    if reader.problems:
        raise FleetError(reader.problems)
    return settings


def _refuse_provider_entries(reader: ConfigReader, settings: Settings) -> None:
    """Note entries that the fleet sets from `llmApiKey` and `llm.base_url`: they would change nothing."""
    try:
        provider = known_provider(settings.llm.provider)
    except FleetError:  # noted already
        return
    own = {provider.key_env: "llmApiKey"}
    if provider.base_url_env and settings.llm.base_url is not None:
        own[provider.base_url_env] = "llm.base_url"
    places = {"env": settings.env} | {f"channelEnv.{channel}": env for channel, env in settings.channel_env.items()}
    for key, entries in places.items():
        for name in own.keys() & entries.keys():
            _refuse_entry(reader, f"{key}.{name}", f"from {NAMESPACE}:{own[name]}")


def _image(reader: ConfigReader) -> str:
    example = "nousresearch/hermes-agent:TAG@sha256:DIGEST"
    image = reader.text("image", "the reference of a hermes-agent image", example)
    if re.search(r"\s", image):
        reader.wrong("image", f"{image!r} is not an image reference", example)
    return image


def _choice(reader: ConfigReader, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
    expected = " or ".join(choices)
    value = reader.text(key, expected, choices[-1], default)
    if value and value not in choices:
        reader.wrong(key, f"{value!r} is not {expected}", choices[-1])
    return value


def _key(reader: ConfigReader, key: str, expected: str) -> str:
    value = reader.text(key, expected, "")
    if value and (value != value.strip() or not value.isprintable()):
        reader.wrong(key, "has blanks at an end or unprintable characters, expected the bare key", "")
    return value


def _master_key(reader: ConfigReader, key: str, default: str | None = None) -> str:
    example = '"$(openssl rand -hex 32)"'
    value = reader.text(key, f"at least {MASTER_KEY_BYTES} random bytes", example, default)
    if value and len(value.encode()) < MASTER_KEY_BYTES:
        reader.wrong(key, f"is shorter than {MASTER_KEY_BYTES} bytes", example)
    return value


def _llm(reader: ConfigReader) -> Llm:
    value = reader.mapping("llm", ("provider", "model", "base_url", "context_length"))
    provider, model, base_url = (reader.member(f"llm.{name}", value.get(name), str) for name in _LLM_TEXTS)
    for name, example in (("provider", "openrouter"), ("model", "MODEL")):
        if value.get(name) in (None, ""):
            reader.wrong(f"llm.{name}", "is missing, expected a text", example)
    if provider:
        try:
            known_provider(provider)
        except FleetError as error:
            reader.problems.extend(error.problems)
    if base_url and (what := _unfit_address(base_url)):
        reader.wrong("llm.base_url", what, "https://HOST/v1")
    if provider == "custom" and value.get("base_url") in (None, ""):
        reader.wrong("llm.base_url", "is missing, the provider custom needs one", "https://HOST/v1")
    context = value.get("context_length")
    length = None if context is None else reader.positive("llm.context_length", context, 128000)
    return Llm(provider or "", model or "", base_url or None, length)


def _unfit_address(text: str) -> str | None:
    """Return what is wrong with a base URL, without repeating it; None for one that will do.

    It is shown in previews, state and logs, so it must hold no credentials.
    """
    try:
        address = urlsplit(text)
        web = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        web = False
    if not web:
        return "is not an http or https URL"
    names = [name for name, _ in parse_qsl(address.query, keep_blank_values=True)]
    if "@" in address.netloc:
        held = "a user or a password before its host"
    elif any(_CREDENTIAL.search(name) for name in names):
        held = "a key in its query"
    else:
        return None
    return f"has {held}, and previews and logs show it; put the key into {NAMESPACE}:llmApiKey, and leave it out here"


def _rollout(reader: ConfigReader) -> Rollout:
    default = Rollout()
    value = reader.mapping("rollout", ("wave_size", "health_timeout", "stop_grace", "preflight"))
    preflight = reader.member("rollout.preflight", value.get("preflight"), bool)
    return Rollout(
        wave_size=reader.positive("rollout.wave_size", value.get("wave_size"), default.wave_size),
        health_timeout=reader.positive("rollout.health_timeout", value.get("health_timeout"), default.health_timeout),
        stop_grace=reader.positive("rollout.stop_grace", value.get("stop_grace"), default.stop_grace),
        preflight=default.preflight if preflight is None else preflight,
    )


def _health(reader: ConfigReader, rollout: Rollout) -> Health:
    value = reader.mapping("health", ("interval", "start_interval"))
    interval = reader.positive("health.interval", value.get("interval"), Health().interval)
    start = value.get("start_interval")
    start_interval = None if start is None else reader.positive("health.start_interval", start, 1)
    first_answer = interval + HEALTHCHECK_TIMEOUT
    if first_answer * 2 > rollout.health_timeout:
        what = (
            f"{rollout.health_timeout} s is too short: a first answer can take {first_answer} s (health.interval and"
            f" the check's own {HEALTHCHECK_TIMEOUT} s), expected at least twice that"
        )
        reader.wrong("rollout.health_timeout", what, str(first_answer * 2))
    return Health(interval, start_interval)


def _refuse_entry(reader: ConfigReader, path: str, how: str) -> None:
    what = f"is set by the fleet {how}; mend it with: pulumi config rm --path '{NAMESPACE}:{path}'"
    reader.problems.append(Problem(f"{NAMESPACE}:{path}", what))


def _env(reader: ConfigReader, key: str, entries: Mapping[str, Any]) -> dict[str, str]:
    for name, value in entries.items():
        if not _ENV_NAME.fullmatch(name):
            reader.wrong(f"{key}.{name}", "is not a name for a .env entry (letters, digits and _)")
        elif is_owned_env(name):
            _refuse_entry(reader, f"{key}.{name}", "itself and cannot be set here")
        elif not isinstance(value, str) or not value.isprintable():
            reader.wrong(f"{key}.{name}", "is not a text of one line")
    return {name: value for name, value in entries.items() if isinstance(value, str)}


def _channel_env(reader: ConfigReader) -> dict[str, dict[str, str]]:
    entries = reader.mapping("channelEnv", CHANNELS)
    for channel, env in entries.items():
        if not isinstance(env, dict):
            reader.wrong(f"channelEnv.{channel}.NAME", "is not a mapping of names and values")
    return {
        channel: _env(reader, f"channelEnv.{channel}", env) for channel, env in entries.items() if isinstance(env, dict)
    }


def _plugins_dir(reader: ConfigReader, stack: str, root: Path) -> str:
    """Return the directory of plugins on the Docker host, as written; only `dev` may count it from the project."""
    example = "/srv/hermes-fleet/plugins"
    value = reader.text("pluginsDir", "an absolute path", example, "plugins" if stack == "dev" else None)
    if not value or value.startswith("/"):
        return value
    if stack != "dev":
        reader.wrong("pluginsDir", f"{value!r} is relative, expected an absolute path on the Docker host", example)
    return str(root / value)

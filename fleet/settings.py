"""The stack's config: what an operator sets with `pulumi config`, validated into typed settings.

All problems are reported at once. Each names the key, what is wrong, and the command that fixes it.
"""

import json
import re
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from fleet.errors import Problem
from fleet.hermes.lines import CHANNELS, HERMES_LINES
from fleet.hermes.owned_settings import is_owned_env
from fleet.hermes.providers import provider as known_provider
from fleet.registry.fields import must
from fleet.registry.messages import known_keys, validated, what

NAMESPACE = "hermes-fleet"
SECRET_KEYS = ("llmApiKey", "masterKey", "masterKeyPrevious", "env", "channelEnv")
MASTER_KEY_BYTES = 32
DEFAULT_REGISTRY = "families.yaml"
HEALTHCHECK_TIMEOUT = 5

_MASTER_KEY_COMMAND = '"$(openssl rand -hex 32)"'
# Values for `pulumi config set`, quoted for a shell. Without one, it asks for the value.
_EXAMPLES = {
    "image": "nousresearch/hermes-agent:TAG@sha256:DIGEST",
    "hermesLine": HERMES_LINES[-1],
    "llm.provider": "openrouter",
    "llm.model": "MODEL",
    "llm.base_url": "https://HOST/v1",
    "llm.context_length": "128000",
    "llmApiKey": "",
    "masterKey": _MASTER_KEY_COMMAND,
    "masterKeyPrevious": _MASTER_KEY_COMMAND,
    "pluginsDir": "/srv/hermes-fleet/plugins",
    "newFamilies": "asleep",
    "rollout.wave_size": "5",
    "rollout.health_timeout": "120",
    "rollout.stop_grace": "30",
    "rollout.preflight": "true",
    "health.interval": "30",
    "health.start_interval": "1",
}
# Parameters that hold credentials; `api-version`, which some providers need in their address, is not one.
_CREDENTIAL = re.compile(
    r"(?i)(?:^|[^a-z])(?:\w*key|\w*token|secret|pass(?:word|wd)?|auth|sig|signature|credentials?)(?:$|[^a-z])"
)


def _json(value: object) -> object:
    """Return what JSON text stands for: `pulumi config set --path` may store numbers and booleans as strings."""
    if isinstance(value, str):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _must(accepts: Callable[[Any], object], message: str) -> AfterValidator:
    return AfterValidator(must(accepts, message))


def _provider(value: str) -> str:
    known_provider(value)
    return value


def _base_url(value: str | None, info: ValidationInfo) -> str | None:
    """Return a base URL. Previews, state and logs show it, so it must hold no credentials."""
    if value is None:
        if info.data.get("provider") == "custom":
            raise ValueError("is missing, the provider custom needs one")
        return None
    try:
        address = urlsplit(value)
        is_web = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        is_web = False
    if not is_web:
        raise ValueError("is not an http or https URL")
    has_user = "@" in address.netloc
    if has_user or any(_CREDENTIAL.search(name) for name, _ in parse_qsl(address.query, keep_blank_values=True)):
        held = "a user or a password before its host" if has_user else "a key in its query"
        raise ValueError(f"has {held}, which previews and logs would show; put the key into {NAMESPACE}:llmApiKey")
    return value


Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_json)]
Switch = Annotated[bool, Field(strict=True), BeforeValidator(_json)]
Image = Annotated[str, _must(re.compile(r"\S*").fullmatch, "is not an image reference")]
HermesLine = Annotated[str, _must(HERMES_LINES.__contains__, f"is not {' or '.join(HERMES_LINES)}")]
BareKey = Annotated[
    str,
    _must(
        lambda key: key == key.strip() and key.isprintable(),
        "has blanks at an end or unprintable characters, expected the bare key",
    ),
]
MasterKey = Annotated[
    str, _must(lambda key: len(key.encode()) >= MASTER_KEY_BYTES, f"is shorter than {MASTER_KEY_BYTES} bytes")
]
PluginsDir = Annotated[
    str, _must(lambda path: path.startswith("/"), "is relative, expected an absolute path on the Docker host")
]
Channel = Annotated[str, _must(CHANNELS.__contains__, f"is not a key of channelEnv ({', '.join(CHANNELS)})")]
EntryName = Annotated[
    str,
    _must(re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch, "is not a name for a .env entry (letters, digits and _)"),
    _must(lambda name: not is_owned_env(name), "is set by the fleet itself and cannot be set here"),
]
Entries = Mapping[EntryName, Annotated[str, _must(str.isprintable, "is not a string of one line")]]

_PART = ConfigDict(extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, config=_PART)
class Llm:
    """The provider that every agent talks to. `context_length` is in tokens."""

    provider: Annotated[str, AfterValidator(_provider)]
    model: str
    base_url: Annotated[str | None, AfterValidator(_base_url), Field(validate_default=True)] = None
    context_length: Count | None = None


@dataclass(frozen=True, config=_PART)
class Rollout:
    """How a change goes through the fleet. Times are in seconds."""

    wave_size: Count = 5
    health_timeout: Count = 120
    stop_grace: Count = 30
    preflight: Switch = True


@dataclass(frozen=True, config=_PART)
class Health:
    """How often Docker checks a container's health, in seconds. `start_interval` needs Docker 25 everywhere."""

    interval: Count = 30
    start_interval: Count | None = None


@dataclass(frozen=True, config=ConfigDict(**_PART, alias_generator=to_camel, validate_by_name=True))
class Settings:
    """All of a stack's config, validated."""

    stack: str
    image: Image
    hermes_line: HermesLine
    llm: Llm
    llm_api_key: BareKey = field(repr=False)
    master_key: MasterKey = field(repr=False)
    registry: Path
    plugins_dir: PluginsDir
    master_key_previous: MasterKey | None = field(default=None, repr=False)
    env: Entries = field(default_factory=dict, repr=False)
    channel_env: Mapping[Channel, Entries] = field(default_factory=dict, repr=False)
    plugins_version: str = ""
    new_families: Literal["awake", "asleep"] = "awake"
    rollout: Rollout = Rollout()
    health: Health = Health()


KEYS = tuple(key for key in known_keys((), Settings) if key != "stack")


def load_settings(
    values: Mapping[str, str | None],
    *,
    stack: str,
    root: Path,
    encrypted: Container[str] = SECRET_KEYS,
) -> Settings:
    """Validate the raw values of a stack's config and return them typed.

    `values` maps the keys of `KEYS` to what Pulumi hands out: strings, JSON for objects. `root` is the directory of
    Pulumi.yaml; relative paths start there. `encrypted` holds the keys whose values are encrypted in the stack file.
    Raises FleetError with every problem.
    """
    data = _raw(values, stack, root)
    plain = [
        _problem(key, "is in plain text in the stack file; treat it as leaked and replace it", "")
        for key in SECRET_KEYS
        if (values.get(key) or "{}") != "{}" and key not in encrypted
    ]
    return validated(Settings, data, _translated, [*plain, *_timing_problems(data), *_provider_problems(data)])


def _raw(values: Mapping[str, str | None], stack: str, root: Path) -> dict[str, Any]:
    """Return the config as the model takes it: blank values left out, objects parsed, paths below `root`."""
    data: dict[str, Any] = {key: value for key in KEYS if (value := values.get(key)) and value.strip()}
    for key in ("llm", "rollout", "health", "env", "channelEnv"):
        data[key] = _json(data.get(key, "{}"))
    for key in ("llm", "rollout", "health"):
        if isinstance(data[key], dict):
            data[key] = {name: member for name, member in data[key].items() if not _is_missing(key, name, member)}
    data["registry"] = root / data.get("registry", DEFAULT_REGISTRY)
    plugins_dir = data.get("pluginsDir", "plugins")
    if stack == "dev" and not plugins_dir.startswith("/"):
        data["pluginsDir"] = str(root / plugins_dir)
    return data | {"stack": stack}


def _is_missing(key: str, name: str, member: object) -> bool:
    is_blank = member is None or (member == "" and key == "llm" and name != "context_length")
    return is_blank and name in known_keys((key,), Settings)


def _problem(path: str, what_is_wrong: str, example: str | None = None) -> Problem:
    """Return a problem with the key at `path` that setting it fixes."""
    secret = path.partition(".")[0] in SECRET_KEYS
    flags = "".join(flag for flag, wanted in (("--path ", "." in path), ("--secret ", secret)) if wanted)
    value = _EXAMPLES.get(path, "VALUE") if example is None else example
    fix = f"pulumi config set {flags}'{NAMESPACE}:{path}' {value}".rstrip()
    return Problem(f"{NAMESPACE}:{path}", f"{what_is_wrong}; fix: {fix}")


def _removal(path: str, what_is_wrong: str) -> Problem:
    """Return a problem with the key at `path` that removing it fixes."""
    return Problem(f"{NAMESPACE}:{path}", f"{what_is_wrong}; fix: pulumi config rm --path '{NAMESPACE}:{path}'")


def _translated(error: ErrorDetails) -> Problem:
    """Return one of pydantic's errors as a problem that repeats neither a secret nor a base URL."""
    location = error["loc"]
    is_name = location[-1] == "[key]" and error["type"] != "unexpected_keyword_argument"
    location = location[:-1] if is_name else location
    path = ".".join(map(str, location))
    message = what(error, location, Settings, hidden=location[0] in SECRET_KEYS or path in {"llm", "llm.base_url"})
    if is_name or error["type"] == "unexpected_keyword_argument":
        return _removal(path, message)
    if error["type"] in {"dataclass_type", "dict_type", "mapping_type"}:
        member = [*known_keys(location, Settings), "NAME"][0]
        return Problem(f"{NAMESPACE}:{path}", _problem(f"{path}.{member}", message).what)
    return _problem(path, message)


def _members(data: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = data.get(part)
    return found if isinstance(found, dict) else {}


def _count(data: Mapping[str, Any], part: str, name: str, default: int) -> int:
    found = _json(_members(data, part).get(name))
    return found if type(found) is int and found > 0 else default


def _timing_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find a health timeout that is too short for two answers of the healthcheck.

    Raw values are compared, so that it is reported together with other problems of its object.
    """
    interval = _count(data, "health", "interval", Health.interval)
    timeout = _count(data, "rollout", "health_timeout", Rollout.health_timeout)
    first_answer = interval + HEALTHCHECK_TIMEOUT
    if first_answer * 2 > timeout:
        yield _problem(
            "rollout.health_timeout",
            f"{timeout} s is too short: a first answer can take {first_answer} s (health.interval and the check's own"
            f" {HEALTHCHECK_TIMEOUT} s), expected at least twice that",
            str(first_answer * 2),
        )


def _provider_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Find entries that the fleet sets from `llmApiKey` and `llm.base_url`: they would have no effect."""
    llm, channels = _members(data, "llm"), _members(data, "channelEnv")
    try:
        provider = known_provider(str(llm.get("provider")))
    except ValueError:  # reported by the model
        return
    owners = {provider.key_env: "llmApiKey"}
    if provider.base_url_env and "base_url" in llm:
        owners[provider.base_url_env] = "llm.base_url"
    in_channels = {f"channelEnv.{channel}": _members(channels, channel) for channel in channels}
    for place, entries in ({"env": _members(data, "env")} | in_channels).items():
        for name in owners.keys() & entries.keys():
            yield _removal(f"{place}.{name}", f"is set by the fleet from {NAMESPACE}:{owners[name]}")

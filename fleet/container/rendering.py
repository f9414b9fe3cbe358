"""Renders what a family's agent is given: its config.yaml, its identity block, its entries for `.env`."""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from fleet import keys
from fleet.container import yaml_text
from fleet.errors import FleetError, Problem
from fleet.hermes import dotenv, threat_patterns
from fleet.hermes.lines import LINES
from fleet.hermes.owned_settings import OWNED_CONFIG_KEYS
from fleet.hermes.providers import provider
from fleet.keys import api_key_for
from fleet.naming import API_PORT
from fleet.redaction import Redaction
from fleet.registry import Family
from fleet.registry.loader import merge
from fleet.settings import Settings

# The first line of our entry in MEMORY.md: boot.sh knows the entry by it.
IDENTITY_MARKER = "<!-- hermes-fleet:identity -->"
ENTRY_DELIMITER = "\n§\n"

# Draining and closing must end before s6 (15 s) or Docker (30 s) kill what is left.
DRAIN_TIMEOUT = 10

_HEADER = "# Written by hermes-fleet at every start: changes made here are lost.\n"

# Families differ little in what they are rendered from, and YAML is slow to read.
_CACHED = 4096


def render_config(family: Family, settings: Settings) -> str:
    """Return the managed config.yaml of a family, its own `config` merged in. It holds no secret of the stack.

    Raises FleetError where the family's `config` would change what the fleet manages.
    """
    llm = provider(settings.llm.provider)
    rendered = _template("config.yaml.j2").render(
        family=family,
        llm=settings.llm,
        provider=llm,
        config_version=LINES[settings.hermes_line].config_version,
        caps_profiles=LINES[settings.hermes_line].caps_profiles,
        memory_char_limit=family.memory.memory_char_limit,
        drain_timeout=DRAIN_TIMEOUT,
        api_port=API_PORT,
    )
    base = _parsed(rendered)
    # Our entry in the file counts too; the limit is set here because all else of a rendering is shared by families.
    limit = family.memory.memory_char_limit + len(render_identity(family)) + len(ENTRY_DELIMITER)
    base = merge(base, {"memory": {"memory_char_limit": limit}})
    merged = merge(base, family.config)
    changed = [path for path in OWNED_CONFIG_KEYS if _at(merged, path) != _at(base, path)]
    if changed:
        what = "is set by the fleet and cannot be changed here"
        raise FleetError([Problem(f"{family.name}: config.{path}", what) for path in changed])
    try:
        return _HEADER + yaml_text.block(merged)
    except ValueError as error:
        raise FleetError([Problem(f"{family.name}: config", str(error))]) from error


def render_identity(family: Family) -> str:
    """Return the family's entry of MEMORY.md: its first line is the fixed marker, it ends without a line break.

    Every value is one quoted line of its own, so that no value can end the entry or join with another into a phrase
    that Hermes blocks. Raises FleetError for an entry with such a phrase all the same; the registry is checked for them
    value by value before.
    """
    entry = _template("MEMORY.md.j2").render(family=family, marker=IDENTITY_MARKER).rstrip("\n")
    blocked = threat_patterns.findings(entry)
    if blocked:
        what = f"Hermes blocks memory that reads like its identity block ({', '.join(blocked)}); reword its texts"
        raise FleetError([Problem(family.name, what)])
    return entry


def secret_env(family: Family, settings: Settings) -> dict[str, str]:
    """Return the secret `.env` entries from the stack's config that this family gets; its own of a name win."""
    entries = dict(settings.env)
    for channel in family.plugins:
        entries.update(settings.channel_env.get(channel, {}))
    return {name: value for name, value in entries.items() if name not in family.env}


def render_env(family: Family, settings: Settings) -> str:
    """Return the managed lines of `.env`, sorted by name; those of the registry win over the stack's, ours over both.

    Raises FleetError, without the values, for each that cannot stand in a `.env`.
    """
    llm = provider(settings.llm.provider)
    managed = {
        llm.key_env: settings.llm_api_key,
        "API_SERVER_ENABLED": "true",
        "API_SERVER_HOST": "0.0.0.0",  # noqa: S104 - inside a container, published on loopback alone
        "API_SERVER_KEY": api_key_for(settings.master_key, family.id),
        "API_SERVER_PORT": str(API_PORT),
        "HERMES_TIMEZONE": family.timezone,
        "TZ": family.timezone,
    }
    if settings.llm.base_url is not None and llm.base_url_env is not None:
        managed[llm.base_url_env] = settings.llm.base_url
    if family.channels.sudo_chat:
        # Its socket is open to the agent's own user only; who may write is settled before a message arrives.
        managed["SUDO_CHAT_ALLOW_ALL_USERS"] = "true"
    # Where scheduled jobs deliver to; without one Hermes asks the family for it in the chat.
    entries = {"SUDO_CHAT_HOME_CHANNEL": "home"} if family.channels.sudo_chat else {}
    entries.update(secret_env(family, settings))
    entries.update(family.env)
    entries.update(managed)
    problems = [
        Problem(f"{family.name}: .env entry {name}", what)
        for name, value in sorted(entries.items())
        if (what := dotenv.unfit(name, value))
    ]
    if dotenv.ambiguous(settings.llm_api_key):
        what = "has a quote, a backslash or an '=' or '${' that Hermes reads in more than one way"
        problems.append(Problem("hermes-fleet:llmApiKey", what))
    if problems:
        raise FleetError(problems)
    return _template("env.j2").render(entries=sorted(entries.items()))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent.parent / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML and text, never HTML; the filters below quote
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": yaml_text.flow, "line": threat_patterns.line, "dotenv": dotenv.quoted}
    return environment


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


@lru_cache(_CACHED)
def _parsed(rendered: str) -> dict[str, Any]:
    """Return what a rendering holds. Not to be changed: families share it."""
    parsed: dict[str, Any] = yaml_text.parse(rendered)
    return parsed


def _at(config: Any, path: str) -> Any:  # noqa: ANN401 - any YAML
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def redaction_for(settings: Settings, families: Iterable[Family] = ()) -> Redaction:
    """Return a mask over every secret of a stack's config, and every key derived for these families."""
    families = tuple(families)
    masters = [key for key in (settings.master_key, settings.master_key_previous) if key]
    secrets = [settings.llm_api_key, *masters, *settings.env.values()]
    for entries in settings.channel_env.values():
        secrets += entries.values()
    for master in masters:
        reaper = keys.reaper_key(master)
        secrets.append(reaper)
        for family in families:
            secrets += [keys.api_key_for(master, family.id), keys.heartbeat_token_for(reaper, family.id)]
    return Redaction(secrets)

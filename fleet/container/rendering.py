"""Renders a family's own files: config.yaml, its entry in MEMORY.md, its block of `.env`."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fleet.container import yaml_text
from fleet.container.credentials import secret_env
from fleet.errors import FleetError, Problem
from fleet.hermes import dotenv, lines, owned_settings, providers, threat_patterns
from fleet.keys import api_key_for
from fleet.naming import API_PORT
from fleet.registry import Family
from fleet.registry.loader import merge
from fleet.settings import Settings

# The first line of the fleet's entry in MEMORY.md, by which boot.sh finds it.
IDENTITY_MARKER = "<!-- hermes-fleet:identity -->"
ENTRY_DELIMITER = "\n§\n"

# Seconds. Draining and closing must end before s6 (15 s) or Docker (30 s) kills the agent.
DRAIN_TIMEOUT = 10

_HEADER = "# Written by hermes-fleet at every start: changes made here are lost.\n"

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent.parent / "templates"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - YAML and text, never HTML; the filters below quote
    keep_trailing_newline=True,
    auto_reload=False,
)
_TEMPLATES.filters |= {"yaml": yaml_text.flow, "line": threat_patterns.line, "dotenv": dotenv.quoted}

# YAML is slow to parse, and most families render to the same text. They share the result: do not change it.
_parse = lru_cache(4096)(yaml_text.parse)


def render_config(family: Family, settings: Settings) -> str:
    """Return a family's config.yaml, its own `config` merged in. It holds no secret of the stack.

    Raises FleetError where the family's `config` would change a setting that the fleet owns.
    """
    line = lines.LINES[settings.hermes_line]
    rendered = _TEMPLATES.get_template("config.yaml.j2").render(
        family=family,
        llm=settings.llm,
        provider=providers.provider(settings.llm.provider),
        config_version=line.config_version,
        caps_profiles=line.caps_profiles,
        memory_char_limit=family.memory.memory_char_limit,
        drain_timeout=DRAIN_TIMEOUT,
        api_port=API_PORT,
    )
    # The fleet's entry counts against the limit. It is added after parsing, so that families share what is parsed.
    limit = family.memory.memory_char_limit + len(render_identity(family)) + len(ENTRY_DELIMITER)
    base = merge(_parse(rendered), {"memory": {"memory_char_limit": limit}})
    merged = merge(base, family.config)
    changed = [path for path in owned_settings.OWNED_CONFIG_KEYS if _at(merged, path) != _at(base, path)]
    if changed:
        what = "is set by the fleet and cannot be changed here"
        raise FleetError([Problem(f"{family.name}: config.{path}", what) for path in changed])
    try:
        return _HEADER + yaml_text.block(merged)
    except ValueError as error:
        raise FleetError([Problem(f"{family.name}: config", str(error))]) from error


def render_identity(family: Family) -> str:
    """Return the family's entry in MEMORY.md. Its first line is `IDENTITY_MARKER`, it ends without a line break.

    Every value is a quoted line of its own: none can end the entry, or form a phrase that Hermes blocks with another.
    Raises FleetError for an entry that has such a phrase nevertheless.
    """
    entry = _TEMPLATES.get_template("MEMORY.md.j2").render(family=family, marker=IDENTITY_MARKER).rstrip("\n")
    blocked = threat_patterns.findings(entry)
    if blocked:
        what = f"Hermes blocks memory that reads like its identity block ({', '.join(blocked)}); reword its texts"
        raise FleetError([Problem(family.name, what)])
    return entry


def render_env(family: Family, settings: Settings) -> str:
    """Return the fleet's block of `.env`, sorted by name. The registry wins over the stack, the fleet over both.

    Raises FleetError for each entry that `.env` cannot hold, without its value.
    """
    llm = providers.provider(settings.llm.provider)
    managed = {
        llm.key_env: settings.llm_api_key,
        "API_SERVER_ENABLED": "true",
        "API_SERVER_HOST": "0.0.0.0",  # noqa: S104 - inside a container; published on loopback only
        "API_SERVER_KEY": api_key_for(settings.master_key, family.id),
        "API_SERVER_PORT": str(API_PORT),
        "HERMES_TIMEZONE": family.timezone,
        "TZ": family.timezone,
    }
    if settings.llm.base_url is not None and llm.base_url_env is not None:
        managed[llm.base_url_env] = settings.llm.base_url
    if family.channels.sudo_chat:
        # Only the agent's own user can open its socket, so a message that arrives is from a user who may write.
        managed["SUDO_CHAT_ALLOW_ALL_USERS"] = "true"
    # Where scheduled jobs deliver to. Without it Hermes asks the family in the chat.
    defaults = {"SUDO_CHAT_HOME_CHANNEL": "home"} if family.channels.sudo_chat else {}
    entries = {**defaults, **secret_env(family, settings), **family.env, **managed}
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
    return _TEMPLATES.get_template("env.j2").render(entries=sorted(entries.items()))


def _at(config: Any, path: str) -> Any:  # noqa: ANN401 - any YAML
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config

"""Single values of the registry: each function takes a value as YAML has it and returns its normal form.

An invalid value raises ValueError, with a message that continues a sentence whose subject is the value.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any
from uuid import UUID

from fleet.hermes import dotenv, threat_patterns
from fleet.hermes.owned_settings import is_owned_env
from fleet.hermes.toolsets import TOOLSETS

SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
UUID_FORM = r"^(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32})$"
LANGUAGE = r"^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$"
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
PHONE = r"^\+[0-9](?:[ ()./-]{0,2}[0-9]){5,16}$"
E164 = r"^\+[1-9][0-9]{6,14}$"
IMAGE = r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
PROFILE = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
MEMORY = r"^[1-9][0-9]{0,6}[mMgG]$"
DURATION = r"^(?=.)(?:[0-9]{1,4}d)?(?:[0-9]{1,5}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,8}s)?$"
CLOCK = r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"

TEXT_LENGTH = 200
MINIMUM_MEMORY = 256
LONGEST_IDLE = 366 * 24 * 3600

MCP_TOOLSET = r"^mcp-[A-Za-z0-9_-]+$"

_SECRET_NAME = re.compile(r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)$")
_DURATION_PARTS = re.compile(r"([0-9]+)([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@lru_cache(maxsize=256)
def suggestion(word: str, choices: tuple[str, ...] | frozenset[str]) -> str:
    """Return `; did you mean 'X'?` for the nearest choice, or an empty string where none is near."""
    lowered = {choice.lower(): choice for choice in choices}
    near = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean '{lowered[near[0]]}'?" if near else ""


def must(accepts: Callable[[Any], object], message: str) -> Callable[[Any], Any]:
    """Return a function that returns its argument, or raises ValueError where `accepts` is false for it."""

    def check(value: Any) -> Any:  # noqa: ANN401 - any that `accepts` takes
        if not accepts(value):
            raise ValueError(message)
        return value

    return check


slug = must(re.compile(SLUG).fullmatch, "is not a name: 1 to 40 of a-z, 0-9 and -, no - at an end")
no_id = must(
    lambda value: not re.fullmatch(UUID_FORM, value),
    "has the form of an id, which commands could take for another family's; choose another name",
)
email = must(
    lambda value: re.fullmatch(EMAIL, value) and value.isprintable() and len(value) <= TEXT_LENGTH,
    "is not an e-mail address",
)
phone = must(re.compile(PHONE).fullmatch, "is not a phone number with its country code, such as '+44 20 7946 0018'")
e164 = must(re.compile(E164).fullmatch, "is not a phone number in E.164 form, such as '+442079460018'")
image = must(
    re.compile(IMAGE).fullmatch, "is not an image reference such as 'nousresearch/hermes-agent:TAG@sha256:DIGEST'"
)
profile = must(re.compile(PROFILE).fullmatch, "is not the name of a profile: up to 64 of a-z, 0-9, - and _")


def family_id(value: object) -> UUID:
    """Return a UUID from a string in any case, with or without dashes."""
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not re.fullmatch(UUID_FORM, value):
        raise ValueError("is not a UUID; make a new one with: python3 -c 'import uuid; print(uuid.uuid4())'")
    found = UUID(value)
    if not found.int:
        raise ValueError(
            "is the nil UUID, a placeholder; make a new one with: python3 -c 'import uuid; print(uuid.uuid4())'"
        )
    return found


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """Return the time zones of the IANA database from the `tzdata` package: the same set on every machine."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - {"Factory"}


def timezone(value: str) -> str:
    """Return the name of an IANA time zone."""
    if value not in timezones():
        raise ValueError(f"is not an IANA time zone{suggestion(value, timezones())}")
    return value


@lru_cache(maxsize=256)
def language(value: str) -> str:
    """Return a language tag in its usual case: `de`, `pt-BR`, `zh-Hant`."""
    if not re.fullmatch(LANGUAGE, value):
        raise ValueError("is not a language tag such as 'en' or 'pt-BR'")
    first, *rest = value.split("-")
    cased = {2: str.upper, 4: str.title}
    return "-".join([first.lower(), *(cased.get(len(part), str.lower)(part) for part in rest)])


def text(value: str) -> str:
    """Return a string that is not blank and fits the identity block."""
    if not value.strip():
        raise ValueError("is blank")
    if len(value) > TEXT_LENGTH:
        raise ValueError(f"is longer than {TEXT_LENGTH} characters")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("has a lone surrogate, half of a character")
    return value


@lru_cache(maxsize=4096)
def remembered(value: str) -> str:
    """Return a string that Hermes does not block in the agent's memory."""
    blocked = threat_patterns.findings(threat_patterns.line(value))
    if blocked:
        raise ValueError(f"looks like an attack to Hermes ({', '.join(blocked)}), which would hide it; reword it")
    return value


def role(value: str) -> str:
    """Return a string that may be empty."""
    return text(value) if value else value


def toolset(value: str) -> str:
    """Return the name of a toolset that Hermes, a channel's plugin or an MCP server (`mcp-NAME`) provides."""
    if value not in TOOLSETS and not re.fullmatch(MCP_TOOLSET, value):
        raise ValueError(f"is not a toolset of Hermes{suggestion(value, TOOLSETS)}")
    return value


def memory(value: object) -> int:
    """Return an amount of memory such as `512m` or `2g` in MiB."""
    if not isinstance(value, str) or not re.fullmatch(MEMORY, value):
        raise ValueError("is not an amount of memory; write it as '512m' or '2g'")
    mebibytes = int(value[:-1]) * (1024 if value[-1] in "gG" else 1)
    if mebibytes < MINIMUM_MEMORY:
        raise ValueError(f"is too little: an agent needs at least {MINIMUM_MEMORY}m")
    return mebibytes


def duration(value: object) -> int:
    """Return a duration in seconds: an integer is seconds, a string is `90s`, `30m`, `1h30m`, `2d`."""
    seconds = value
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        seconds = sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PARTS.findall(value))
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise ValueError(  # noqa: TRY004 - pydantic catches ValueError
            "is not a duration; write seconds, or '30m', '1h30m'"
        )
    if not 1 <= seconds <= LONGEST_IDLE:
        raise ValueError("is out of range: 1 second to 366 days (sleep.never keeps a family awake for good)")
    return seconds


def clock(value: object) -> int:
    """Return a time of day, `HH:MM`, in minutes after midnight; `24:00` is the end of the day."""
    if not isinstance(value, str) or not re.fullmatch(CLOCK, value):
        raise ValueError("is not a time of day; write it as '07:30' ('00:00' to '24:00')")
    return int(value[:2]) * 60 + int(value[3:])


def env_name(value: str) -> str:
    """Return the name of a `.env` entry. Names that the fleet owns and names of secrets are invalid here."""
    if not re.fullmatch(ENV_NAME, value):
        raise ValueError("is not a name for a .env entry: letters, digits and _, no digit first")
    if is_owned_env(value) or value.upper().startswith("API_SERVER_"):
        raise ValueError("is set by the fleet itself and cannot be set here")
    if _SECRET_NAME.search(value.upper()):
        raise ValueError(
            "is the name of a secret, and this file is not secret; set it for all families with: "
            f"pulumi config set --path --secret 'hermes-fleet:env.{value}'"
        )
    return value


def env_value(value: str) -> str:
    """Return the value of a `.env` entry, a single line."""
    why = dotenv.unfit("", value)
    if why:
        raise ValueError(why)
    return value

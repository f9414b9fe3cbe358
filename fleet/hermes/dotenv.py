"""Quotes values for `.env` so that Hermes reads them back unchanged.

Hermes reads the file with python-dotenv, after it has split lines that seem to hold two entries. Both can change a
value that is not quoted for them. Interpolation avoids both: `${:-=}` reads as `=`.
"""

import re
import unicodedata

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]*")
# Where Hermes would take the rest of a value for another entry.
_ENTRY = re.compile(r"(?<=[A-Z0-9_])=")
_ENTRY_NAME = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*=")


def unfit(name: str, value: str) -> str | None:
    """Return why `.env` cannot hold a value under this name, or None where it can."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character != "\t" for character in value):
        return "has a line break or a control character, and an entry of .env is one line of text"
    if name.endswith(("_KEY", "_TOKEN", "_SECRET")) and not value.isascii():
        return "has characters outside ASCII, which Hermes drops from keys and tokens"
    return None


def ambiguous(value: str) -> bool:
    """Tell whether Hermes' two readers of `.env` would disagree about a value.

    The second one, which looks for provider keys, does not know escapes.
    """
    return "'" in value or quoted(value) not in {value, f'"{value}"'}


def quoted(value: str) -> str:
    """Return a value as it is written after `NAME=`. The value must pass `unfit`."""
    if _ENTRY_NAME.search(value) is None and _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("${", "${:-$}{").replace("\\", "\\\\").replace('"', '\\"')
    if value.endswith("\\"):  # a backslash before the closing quote would escape it
        escaped = f"{escaped[:-2]}${{:-\\\\}}"
    return f'"{_ENTRY.sub("${:-=}", escaped) if _ENTRY_NAME.search(value) else escaped}"'

"""Writes values into `.env` so that Hermes reads back the same.

Hermes reads the file with python-dotenv, and mends it first: it splits lines that seem to hold two entries. Both can
change a value that is written down as it is. Interpolation is the way around both: `${:-=}` reads as `=`.
"""

import re
import unicodedata

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]*")
# Where Hermes would see the start of another entry inside a value, and cut the line there.
_ENTRY = re.compile(r"(?<=[A-Z0-9_])=")
_INTERPOLATION = re.compile(r"\$(?=\{)")
_CREDENTIAL = re.compile(r"_(?:KEY|TOKEN|SECRET)$")
_ENTRY_NAME = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]*=")


def unfit(name: str, value: str) -> str | None:
    """Return why a value cannot stand in `.env` under this name, or None where it can."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character != "\t" for character in value):
        return "has a line break or a control character, and an entry of .env is one line of text"
    if _CREDENTIAL.search(name) and not value.isascii():
        return "has characters outside ASCII, which Hermes drops from keys and tokens"
    return None


def ambiguous(value: str) -> bool:
    """Tell whether the readers of `.env` in Hermes would disagree about a value.

    Beside python-dotenv Hermes has a smaller reader of its own, which looks for provider keys and knows no escapes.
    """
    return "'" in value or quoted(value) not in {value, f'"{value}"'}


def quoted(value: str) -> str:
    """Return a value as it stands behind `NAME=`; `unfit` tells which cannot."""
    if _ENTRY_NAME.search(value) is None and _PLAIN.fullmatch(value):
        return value
    escaped = _INTERPOLATION.sub("${:-$}", value).replace("\\", "\\\\").replace('"', '\\"')
    if value.endswith("\\"):  # the quote after it would not end the value, however many there are
        escaped = f"{escaped[:-2]}${{:-\\\\}}"
    return f'"{_ENTRY.sub("${:-=}", escaped) if _ENTRY_NAME.search(value) else escaped}"'

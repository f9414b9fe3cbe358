"""Takes secrets out of text before anyone reads it: known ones, and what looks like a key; makes text safe to show."""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from fleet import naming

REDACTED = "[secret]"

# Shorter values are not credentials, and masking them would blot out ordinary words.
_SHORTEST = 6


class Redaction:
    """Replaces known secrets in text by `[secret]`.

    Covered are the values themselves, in upper and lower case where they are hex, their URL and JSON escapes, their
    hex, and Base64 of any longer text that contains them (a secret can start at any of three offsets in it).
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare for these secrets; empty and very short ones are passed over."""
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def apply(self, text: str) -> str:
        """Return the text with every known secret replaced."""
        return self._pattern.sub(REDACTED, text) if self._pattern else text


def _forms(secret: str) -> set[str]:
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, secret.lower(), secret.upper(), secret.strip()}
    forms |= {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    forms |= {
        quote(secret, safe="").replace("%", "%25"),
        re.sub("%..", lambda m: m[0].lower(), quote(secret, safe="")),
    }
    forms |= {escaped, escaped.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {json.dumps(escaped)[1:-1], repr(secret)[1:-1], raw.hex(), raw.hex().upper()}
    for offset in range(3):
        forms |= _base64_forms(raw, offset)
    return {form for form in forms if len(form) >= _SHORTEST}


def _base64_forms(raw: bytes, offset: int) -> set[str]:
    """Return what stays the same of a secret's Base64, whatever stands `offset` bytes before and after it."""
    encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
    fixed = encoded[(0, 2, 3)[offset] :]
    if (offset + len(raw)) % 3:
        fixed = fixed[:-1]
    return {fixed, fixed.replace("+", "-").replace("/", "_")}


# A value; and one that is not just the next word of a sentence.
_VALUE = r"[^\s'\"]{6,}"
_NO_WORD = r"(?![A-Za-z]{1,15}[.,:;!?)]*(?:\s|$))" + _VALUE
# Names end where they seem to. What comes before is bounded, as an agent may write anything.
_START = r"(?<![\w-])[\w-]{0,60}"
_KEY = rf"(?:{_START}(?:(?:api|access|secret|private|master|auth)[ _-]?key|[_-]key|token)|[?&]key)\b"
_PASSWORD = rf"{_START}(?:secret|password|passwd|pwd)\b"
# Between a name and its value: the end of a quoted name, `provided` or the like, `:` or `=`, and a quote.
_GIVEN = r"['\"]?(?:[ \t]{1,9}(?:provided|given|used|is|was))?[ \t]{0,9}"
_QUOTE = r"[ \t]{0,9}['\"]?"

# The first group of a pattern, if it has one, stays; the rest is masked.
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"({_PASSWORD}{_GIVEN}[:=]{_QUOTE}){_VALUE}",
        rf"({_PASSWORD}[ \t])(?:'[^'\n]+'|\"[^\"\n]+\")",
        rf"({_KEY}{_GIVEN}={_QUOTE}){_VALUE}",
        rf"({_KEY}{_GIVEN}(?<!=)[ \t:]{_QUOTE}){_NO_WORD}",
        rf"(\bkey{_GIVEN}[:=]{_QUOTE})(?=[^\s'\"]{{0,200}}\d){_VALUE}",
        rf"(\bauthorization['\"]?[ \t]{{0,9}}[:=]{_QUOTE}(?:(?:basic|bearer|token|digest)[ \t])?){_NO_WORD}",
        rf"(\b(?:basic|bearer)[ \t]){_NO_WORD}",
        r"(://)[^\s/@'\"]{1,200}(?=@)",  # user and password of a URL
        r"\b(?:bot)?\d{5,20}:[\w-]{20,}",  # Telegram
        r"\b(?:sk|pk|rk)[-_][\w/+=-]{8,}",
        r"\b(?:gsk_|xai-|hf_|gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|r8_|pplx-|nvapi-|AIza|ya29\.)[\w-]{8,}",
        r"\bA(?:KIA|SIA)[0-9A-Z]{12,}",
        r"\beyJ[\w-]{8,4000}\.[\w-]+(?:\.[\w-]*)?",  # JWT
        rf"(?<!{naming.PREFIX})(?<!sha256:)\b[0-9a-f]{{32,}}\b",
    )
]
# Whatever else is long and mixes small letters, capitals and digits.
_RANDOM = re.compile(r"\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w{24,}\b", re.ASCII)


def redact_key_like(text: str) -> str:
    """Return a text with everything in it that looks like a key replaced by `[secret]`."""
    for pattern in (*_PATTERNS, _RANDOM):
        text = pattern.sub(lambda match: f"{match[1] if match.re.groups else ''}{REDACTED}", text)
    return text


_BLANKS = frozenset({"Cc", "Zl", "Zp"})
_HIDDEN = frozenset({"Cf", "Cs"})


def printable(text: str, keep: str = "") -> str:
    """Return a text as one line, in which nothing hides, colours or turns around other text.

    Line breaks and control characters become blanks, invisible characters U+FFFD. Characters in `keep` stay.
    """
    return "".join(character if character in keep else _visible(character) for character in text)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BLANKS:
        return " "
    return "\N{REPLACEMENT CHARACTER}" if category in _HIDDEN else character

"""Makes text safe to show: redacts secrets and control characters.

`Redaction` replaces the secrets that it is given, `redact_key_like` whatever looks like a key. Both leave `[secret]` in
their place. `printable` replaces characters that could forge or hide output.
"""

import base64
import json
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from fleet.naming import PREFIX

REDACTED = "[secret]"

# Shorter values are no credentials; redacting them would make ordinary words unreadable.
_SHORTEST = 6


class Redaction:
    """Replaces known secrets in text with `[secret]`.

    It finds the values themselves, in upper and lower case too, their URL, JSON and Python escapes, their hex, and
    Base64 of any longer string that contains them (a secret can start at any of three offsets in it).
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare for these secrets; ones of fewer than 6 characters are ignored."""
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def apply(self, text: str) -> str:
        """Return the text with every known secret replaced."""
        return self._pattern.sub(REDACTED, text) if self._pattern else text


def _forms(secret: str) -> set[str]:
    raw, url, escaped = secret.encode(), quote(secret, safe=""), json.dumps(secret)[1:-1]
    forms = {
        *(secret, secret.lower(), secret.upper(), secret.strip()),
        *(url, re.sub("%..", lambda escape: escape[0].lower(), url), url.replace("%", "%25")),
        *(quote(secret), quote_plus(secret)),
        *(escaped, escaped.replace("/", "\\/"), json.dumps(escaped)[1:-1]),
        *(json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]),
        *(raw.hex(), raw.hex().upper()),
        *(form for offset in range(3) for form in _base64_forms(raw, offset)),
    }
    return {form for form in forms if len(form) >= _SHORTEST}


def _base64_forms(raw: bytes, offset: int) -> set[str]:
    """Return the part of a secret's Base64 that does not depend on what precedes or follows it.

    `offset` is the position of the secret's first byte in a group of three.
    """
    encoded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
    fixed = encoded[(0, 2, 3)[offset] :]
    if (offset + len(raw)) % 3:
        fixed = fixed[:-1]
    return {fixed, fixed.replace("+", "-").replace("/", "_")}


# A value, and a value that is not just the next word of a sentence.
_VALUE = r"[^\s'\"]{6,}"
_NO_WORD = r"(?![A-Za-z]{1,15}[.,:;!?)]*(?:\s|$))" + _VALUE
# What precedes a name is bounded, so that no log can make the search slow.
_START = r"(?<![\w-])[\w-]{0,60}"
_KEY = rf"(?:{_START}(?:(?:api|access|secret|private|master|auth)[ _-]?key|[_-]key|token)|[?&]key)\b"
_PASSWORD = rf"{_START}(?:secret|password|passwd|pwd)\b"
# Between a name and its value: the end of a quoted name, `provided` or the like, `:` or `=`, and a quote.
_GIVEN = r"['\"]?(?:[ \t]{1,9}(?:provided|given|used|is|was))?[ \t]{0,9}"
_QUOTE = r"[ \t]{0,9}['\"]?"

# Prefers false positives: an over-redacted log line is better than a leaked key. A pattern's first group is kept.
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
        rf"(?<!{PREFIX})(?<!sha256:)\b[0-9a-f]{{32,}}\b",
        r"(?a-i:\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w{24,}\b)",  # a long word of lower case, upper case and digits
    )
]


def redact_key_like(text: str) -> str:
    """Return the text with everything that looks like a key replaced with `[secret]`."""
    for pattern in _PATTERNS:
        text = pattern.sub(lambda match: f"{match[1] if match.re.groups else ''}{REDACTED}", text)
    return text


# What shows control characters and line breaks, invisible format characters and surrogates, by Unicode category.
_SHOWN_AS = {"Cc": " ", "Zl": " ", "Zp": " ", "Cf": "\N{REPLACEMENT CHARACTER}", "Cs": "\N{REPLACEMENT CHARACTER}"}


def printable(text: str, keep: str = "") -> str:
    """Return the text as one line that cannot hide, colour or reorder what a terminal shows.

    Line breaks and control characters become blanks, invisible characters U+FFFD. Characters in `keep` stay.
    """
    return "".join(
        character if character in keep else _SHOWN_AS.get(unicodedata.category(character), character)
        for character in text
    )

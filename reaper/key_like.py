"""Takes out of an agent's log what looks like a key: the reaper does not know the agents' keys, and shows their logs.

Rather a word too many than a key too few, but a name beside a key, an ordinary sentence and a fleet's own names stay.
"""

import re

from fleet import identity
from fleet.masking import MASK

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
        rf"(?<!{identity.PREFIX})(?<!sha256:)\b[0-9a-f]{{32,}}\b",
    )
]
# Whatever else is long and mixes small letters, capitals and digits.
_RANDOM = re.compile(r"\b(?=\w*\d)(?=\w*[a-z])(?=\w*[A-Z])\w{24,}\b", re.ASCII)


def mask_key_like(text: str) -> str:
    """Return a text with everything in it that looks like a key replaced by `[secret]`."""
    for pattern in (*_PATTERNS, _RANDOM):
        text = pattern.sub(lambda match: f"{match[1] if match.re.groups else ''}{MASK}", text)
    return text

"""Takes secrets out of text before anyone reads it, in every form a log can carry them."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from fleet import keys
from fleet.registry import Family
from fleet.settings import Settings

MASK = "[secret]"

# Shorter values are not credentials, and masking them would blot out ordinary words.
_SHORTEST = 6


class Mask:
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
        return self._pattern.sub(MASK, text) if self._pattern else text


def mask_for(settings: Settings, families: Iterable[Family] = ()) -> Mask:
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
    return Mask(secrets)


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

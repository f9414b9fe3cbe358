"""The phrases that Hermes blocks in an agent's memory.

When a session starts, Hermes replaces every entry of MEMORY.md that looks like an attack by `[BLOCKED: …]`. An identity
block that is replaced leaves the agent without a family. The table has the threat patterns of hermes-agent 0.15.1 and
0.19.0 (`tools/threat_patterns.py`, MIT), the wider form of each.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_FILLER = r"(?:\w+\s+)*"
_SECRET_NAMES = r"\w*(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|API)"  # noqa: S105 - words of a pattern
_EDIT = r"(?:update|modify|edit|write|change|append|add\s+to)\s+.*"

_TABLE: Mapping[str, str] = {
    "prompt_injection": rf"ignore\s+{_FILLER}(?:previous|all|above|prior)\s+{_FILLER}instructions",
    "sys_prompt_override": r"system\s+prompt\s+override",
    "disregard_rules": rf"disregard\s+{_FILLER}(?:your|all|any)\s+{_FILLER}(?:instructions|rules|guidelines)",
    "bypass_restrictions": (
        rf"act\s+as\s+(?:if|though)\s+{_FILLER}you\s+{_FILLER}(?:have\s+no|don't\s+have)\s+"
        rf"{_FILLER}(?:restrictions|limits|rules)"
    ),
    "html_comment_injection": r"<!--[^>]*(?:ignore|override|system|secret|hidden)[^>]*-->",
    "hidden_div": r"<\s*div\s+style\s*=\s*[\"'][\s\S]*?display\s*:\s*none",
    "translate_execute": r"translate\s+.*\s+into\s+.*\s+and\s+(?:execute|run|eval)",
    "deception_hide": rf"do\s+not\s+{_FILLER}tell\s+{_FILLER}the\s+user",
    "role_hijack": rf"you\s+are\s+{_FILLER}now\s+(?:a|an|the)\s+",
    "role_pretend": rf"pretend\s+{_FILLER}(?:you\s+are|to\s+be)\s+",
    "leak_system_prompt": rf"output\s+{_FILLER}(?:system|initial)\s+prompt",
    "remove_filters": rf"(?:respond|answer|reply)\s+without\s+{_FILLER}(?:restrictions|limitations|filters|safety)",
    "fake_update": rf"you\s+have\s+been\s+{_FILLER}(?:updated|upgraded|patched)\s+to",
    "identity_override": r"\bname\s+yourself\s+\w+",
    "c2_node_registration": r"register\s+(?:as\s+)?a?\s*node",
    "c2_heartbeat": r"(?:heartbeat|beacon|check[\s\-]?in)\s+(?:to|with)\s+",
    "c2_task_pull": r"pull\s+(?:down\s+)?(?:new\s+)?task(?:ing|s)?\b",
    "c2_network_connect": r"connect\s+to\s+the\s+network\b",
    "forced_action": r"you\s+must\s+(?:\w+\s+){0,3}(?:register|connect|report|beacon)\b",
    "anti_forensic_oneliner": r"only\s+use\s+one[\s\-]?liners?\b",
    "anti_forensic_disk": rf"never\s+{_FILLER}(?:create|write)\s+{_FILLER}(?:script|file)\s+{_FILLER}disk",
    "env_var_unset_agent": r"unset\s+\w*(?:CLAUDE|CODEX|HERMES|AGENT|OPENAI|ANTHROPIC)\w*",
    "known_c2_framework": r"\b(?:praxis|cobalt\s*strike|sliver|havoc|mythic|metasploit|brainworm)\b",
    "c2_explicit": r"\bc2\s+(?:server|channel|infrastructure|beacon)\b",
    "c2_explicit_long": r"\bcommand\s+and\s+control\b",
    "exfil_curl": rf"curl\s+[^\n]*\$\{{?{_SECRET_NAMES}",
    "exfil_wget": rf"wget\s+[^\n]*\$\{{?{_SECRET_NAMES}",
    "read_secrets": r"cat\s+[^\n]*(?:\.env|credentials|\.netrc|\.pgpass|\.npmrc|\.pypirc)",
    "send_to_url": r"(?:send|post|upload|transmit)\s+.*\s+(?:to|at)\s+https?://",
    "context_exfil": (
        rf"(?:include|output|print|share)\s+{_FILLER}"
        r"(?:conversation|chat\s+history|previous\s+messages|full\s+context|entire\s+context)"
    ),
    "ssh_backdoor": r"authorized_keys",
    "ssh_access": r"\$HOME/\.ssh|~/\.ssh",
    "hermes_env": r"\$HOME/\.hermes/\.env|~/\.hermes/\.env",
    "agent_config_mod": rf"{_EDIT}(?:AGENTS\.md|CLAUDE\.md|\.cursorrules|\.clinerules)",
    "hermes_config_mod": rf"{_EDIT}\.hermes/(?:config\.yaml|SOUL\.md)",
    "hardcoded_secret": r"(?:api[_-]?key|token|secret|password)\s*[=:]\s*[\"'][A-Za-z0-9+/=_-]{20,}",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _TABLE.items()}

# Invisible characters. Emoji of families and some scripts use a few of them, attacks all of them.
INVISIBLE = frozenset(
    "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{WORD JOINER}\N{INVISIBLE TIMES}"
    "\N{INVISIBLE SEPARATOR}\N{INVISIBLE PLUS}\N{ZERO WIDTH NO-BREAK SPACE}\N{LEFT-TO-RIGHT EMBEDDING}"
    "\N{RIGHT-TO-LEFT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}\N{LEFT-TO-RIGHT OVERRIDE}\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}\N{RIGHT-TO-LEFT ISOLATE}\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
)

_LINE_BREAKS_AND_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})


def clean(text: str) -> str:
    """Return a string as one visible line: no line breaks, control or invisible characters, single spaces."""
    shown = "".join(
        " " if unicodedata.category(character) in _LINE_BREAKS_AND_CONTROLS else character
        for character in text
        if character not in INVISIBLE
    )
    return " ".join(shown.split())


@lru_cache(maxsize=4096)
def line(text: str) -> str:
    """Return a string as the identity block has it: one line, in quotes."""
    return json.dumps(clean(text), ensure_ascii=False)


def findings(text: str) -> list[str]:
    """Return the names of the patterns for which Hermes would block a string; none for a harmless one.

    Hermes 0.19 scans the compatibility form (NFKC), 0.15 the string as it is; both count.
    """
    found = [f"invisible_unicode_U+{ord(character):04X}" for character in sorted(INVISIBLE & set(text))]
    forms = {text, unicodedata.normalize("NFKC", text)}
    return found + [name for name, pattern in _PATTERNS.items() if any(pattern.search(form) for form in forms)]

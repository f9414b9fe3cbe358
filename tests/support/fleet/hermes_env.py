"""How Hermes reads one line of `.env`, for tests that have no Hermes at hand.

It repairs the file first, which may split a line in two, then reads it with python-dotenv, which interpolates.
"""

import re

# A few of the names that Hermes splits a line at.
KNOWN = ("API_SERVER_KEY", "LM_API_KEY", "GLM_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "TELEGRAM_BOT_TOKEN")

_DOUBLE_QUOTED = re.compile(r'"((?:\\"|[^"])*)"[^\S\r\n]*(?:#[^\r\n]*)?$')
_ESCAPE = re.compile(r"\\[\\'\"abfnrtv]")
_VARIABLE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def read(line: str) -> dict[str, str]:
    """Return what Hermes sets for one line, with an empty environment."""
    assert len(line.splitlines()) <= 1 or not {"\n", "\r"} & set(line), "not one line"
    return {name: _value(raw) for name, _, raw in (part.partition("=") for part in _split(line.strip()))}


def _split(line: str) -> list[str]:
    found = [(match.start(), match.end()) for name in KNOWN for match in re.finditer(f"{name}=", line)]
    starts = sorted(
        {start for start, end in found if not any(s <= start and end <= e and (s, e) != (start, end) for s, e in found)}
    )
    if len(starts) < 2:
        return [line]
    return [line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True)]


def _value(raw: str) -> str:
    if raw.startswith('"'):
        match = _DOUBLE_QUOTED.match(raw)
        assert match, f"python-dotenv cannot parse {raw!r}"
        value = _ESCAPE.sub(lambda escape: _CONTROLS.get(escape[0][1], escape[0][1]), match[1])
    else:
        assert not raw.startswith("'")
        value = re.sub(r"\s+#.*", "", raw).rstrip()
    return _VARIABLE.sub(lambda variable: variable[2] or "", value)

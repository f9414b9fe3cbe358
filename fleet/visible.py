"""Makes text of unknown origin safe to show: on a terminal, in a log, in a comment."""

import unicodedata

_BLANKS = frozenset({"Cc", "Zl", "Zp"})
_HIDDEN = frozenset({"Cf", "Cs"})


def visible(text: str, keep: str = "") -> str:
    """Return a text as one line, in which nothing hides, colours or turns around other text.

    Line breaks and control characters become blanks, invisible characters U+FFFD. Characters in `keep` stay.
    """
    return "".join(character if character in keep else _visible(character) for character in text)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _BLANKS:
        return " "
    return "\N{REPLACEMENT CHARACTER}" if category in _HIDDEN else character

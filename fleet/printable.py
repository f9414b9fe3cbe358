"""Text from elsewhere, made fit for a terminal, a log and a page."""


def printable(text: str, keep: str = "") -> str:
    """Return a text with a space in place of whatever does not print, line ends and terminal escapes included.

    Characters in `keep` stay.
    """
    return "".join(character if character.isprintable() or character in keep else " " for character in text)

"""How Hermes reads MEMORY.md, for tests that have no Hermes at hand."""

DELIMITER = "\n§\n"


def entries(text: str) -> list[str]:
    """Return the entries of a memory file as the agent sees them."""
    return [entry.strip() for entry in _opened(text).split(DELIMITER) if entry.strip()]


def editable(text: str) -> bool:
    """Tell whether Hermes would edit the file: it refuses one that it would not write the same way."""
    return _opened(text).strip() == DELIMITER.join(entries(text))


def _opened(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""Writes a file that a user asked for by name."""

from pathlib import Path

from fleet.errors import FleetError


def write_output(file: Path, text: str) -> None:
    """Write a text in UTF-8. Raises FleetError where that cannot be done."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FleetError(f"{file}: cannot be written ({error.strerror or error})") from error

"""Finds words that this project's English does without: archaic, or vague where a precise term exists.

Usage: python tools/words.py FILE... Prints each place and exits with 1 where it found one.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FORBIDDEN = (
    *("mend", "mends", "mended", "mending"),  # fix
    *("whoever", "whomever", "somebody", "nobody"),  # the container, process, user or caller that is meant
    *("stranger", "strangers"),  # unmanaged
    *("leftover", "leftovers"),  # what an interrupted update left behind
    "will not do",  # is invalid
    "a text",  # a string
    "a whole number",  # an integer
)
# An identifier's parts count as words, too.
PATTERN = re.compile(rf"(?<![a-z])(?:{'|'.join(FORBIDDEN)})(?![a-z])".replace(" ", r"[\s_]"), re.IGNORECASE)

ALLOWED_FILES = {
    "tools/words.py": "the list itself",
    "templates/": "part of every container: a change to a comment would replace all of them",
}
# Removed from a line before the search.
ALLOWED_TEXTS = {
    '"stranger"': "a reason code, which ledgers and dashboards hold",
    "`stranger`": "the same reason code in prose",
}


def find(file: str, lines: list[str]) -> Iterator[str]:
    """Yield `file:line: words` for each line with forbidden words. `file` is relative to the repository."""
    if file.startswith(tuple(ALLOWED_FILES)):
        return
    for number, line in enumerate(lines, 1):
        searched = line
        for allowed in ALLOWED_TEXTS:
            searched = searched.replace(allowed, "")
        if words := PATTERN.findall(searched):
            yield f"{file}:{number}: {', '.join(words)}"


def main(files: list[str]) -> int:
    """Search the files; return 1 where one has a forbidden word."""
    found = [line for file in files for line in find(file, Path(file).read_text(encoding="utf-8").splitlines())]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

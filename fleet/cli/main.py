"""The command line of the fleet: which commands there are, and how they fail.

A command is a module with `configure(parser)` and `run(args) -> int`, and one line in `COMMANDS`. It is imported only
when it is asked for. Exit codes: 0 done, 1 something the user can mend; others are a command's own.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn, Protocol, cast

from fleet.errors import FleetError

ERROR = 1
INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """A name, the module that does it, and what it does."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("validate", "fleet.cli.validate", "check the registry and print every problem"),
    Command("add", "fleet.cli.add", "append a family with a fresh UUID to the registry"),
    Command("list", "fleet.cli.listing", "print the families of the registry"),
    Command("render", "fleet.cli.render", "print what a family's container is given, secrets masked"),
    Command("adopt", "fleet.cli.adopt", "take over a fleet that was started by docker run, with its data"),
    Command("purge", "fleet.cli.purge", "delete the data of a family that is gone; nothing else ever does"),
    Command("plan", "fleet.cli.plan", "tell what an up would do to which families; exit 0, 2 changes, 3 refused"),
    Command("audit", "fleet.cli.audit", "find what runs otherwise than declared; exit 0, 2 where there is any"),
    Command("schema", "fleet.cli.schema", "print, write or check the registry's JSON Schema"),
)


class CommandModule(Protocol):
    """What the module of a command provides."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it and return the exit code. Raises FleetError."""


class _Parser(argparse.ArgumentParser):
    """Exits with 1 on a wrong command line; 2 means something else to some commands."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = _Parser(prog="python -m fleet", description="The registry of families, and the fleet that it declares.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        sentence = f"{command.help[0].upper()}{command.help[1:]}."
        added = commands.add_parser(command.name, help=command.help, description=sentence)
        if command.name in words[:1]:
            module = cast("CommandModule", import_module(command.module))
            module.configure(added)
            added.set_defaults(run=module.run)
    args = parser.parse_args(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except FleetError as error:
        print(error, file=sys.stderr)
        return ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return code

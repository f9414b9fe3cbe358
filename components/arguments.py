"""A fleet's arguments in a program of your own: the keys of the stack's config, in snake case."""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic.alias_generators import to_snake

from fleet.errors import FleetError, Problem
from fleet.settings import KEYS, NAMESPACE, Settings, load_settings


class FleetArguments(TypedDict, total=False):
    """What `Fleet` takes. `stacks/prod.example.yaml` explains each key; a relative `registry` is the program's.

    Secrets are given in plain text, as `pulumi.Config().require` returns them, because digests are computed from them
    before anything is declared. They reach resources and state as secrets only.
    """

    registry: str
    image: str
    hermes_line: str
    llm: Mapping[str, Any]
    llm_api_key: str
    master_key: str
    master_key_previous: str
    env: Mapping[str, str]
    channel_env: Mapping[str, Mapping[str, str]]
    plugins_dir: str
    plugins_version: str
    new_families: Literal["awake", "asleep"]
    rollout: Mapping[str, Any]
    health: Mapping[str, Any]


def settings_from(name: str, arguments: Mapping[str, object]) -> Settings:
    """Return the settings of the fleet `name`. Raises FleetError with all problems (see `name_arguments`)."""
    keys = {to_snake(key): key for key in KEYS}
    values, problems = dict[str, str](), list[Problem]()
    for argument, value in arguments.items():
        if value is None:  # as pulumi.Config().get returns it for a key that is not set
            continue
        try:
            values[keys[argument]] = value if isinstance(value, str) else json.dumps(value)
        except KeyError:
            near = "".join(f"; did you mean {key}?" for key in difflib.get_close_matches(argument, keys, 1))
            problems.append(Problem(_path(name, argument), f"is not an argument{near}"))
        except TypeError:
            what = "is an Output or another object; fix: give plain values, a secret as pulumi.Config().require(KEY)"
            problems.append(Problem(_path(name, argument), what))
    if problems:
        raise FleetError(problems)
    return load_settings(values, stack=name, root=Path.cwd())


def name_arguments(name: str, message: str) -> str:
    """Return a message about the stack's config as one about the arguments of the fleet `name`.

    Commands that set the config are left out: this program may have none.
    """
    message = re.sub("(; [a-z ]+:|, or) pulumi config .*", "", message)
    return re.sub(rf"{NAMESPACE}:(\w+)", lambda key: _path(name, to_snake(key[1])), message)


def _path(name: str, argument: str) -> str:
    return f'Fleet("{name}").{argument}'

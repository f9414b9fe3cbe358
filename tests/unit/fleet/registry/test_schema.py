"""The sample registry, the JSON Schema and the reference agree with the models."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from fleet.registry import json_schema, load_registry
from fleet.registry.models import Family, RegistryFile
from fleet.registry.schema import FILE_NAME, schema_text
from tests.support.fleet.registry import family_entry, problems_of

ROOT = Path(__file__).parents[4]
SAMPLE = ROOT / "families.yaml"
ID = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return every key of a model and of the models inside it, as paths with dots."""
    found = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        found.append(key)
        if (inner := inner_model(field.annotation)) is not None:
            found += keys(inner, f"{key}.")
    return found


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as `Model | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    parts = getattr(annotation, "__args__", ())
    return next((found for part in parts if (found := inner_model(part)) is not None), None)


def test_the_written_schema_is_fresh() -> None:
    """The file is up to date; python -m fleet schema --write updates it."""
    assert (ROOT / FILE_NAME).read_text(encoding="utf-8") == schema_text()


def test_the_schema_is_a_schema() -> None:
    """Editors can use it: it is valid JSON Schema, and every key has a description."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in (schema, *(part for part in schema["$defs"].values() if "properties" in part)):
        assert part["additionalProperties"] is False
        for key, value in part["properties"].items():
            assert value.get("description"), key


def test_the_sample_loads_and_fits_the_schema() -> None:
    """The registry in the repository is valid for the loader and for the schema."""
    names = [family.name for family in load_registry(SAMPLE).families]
    assert names == ["smith", "garcia"]
    assert list(VALIDATOR.iter_errors(yaml.safe_load(SAMPLE.read_text()))) == []


def test_the_sample_needs_only_the_sample_plugin() -> None:
    """The plugins of its channels are in the repository's plugins directory."""
    assert {plugin for family in load_registry(SAMPLE).families for plugin in family.plugins} == {"sudo_chat"}


def test_the_sample_tells_editors_where_its_schema_is() -> None:
    """The first line is the schema reference of YAML language servers."""
    assert SAMPLE.read_text().splitlines()[0] == f"# yaml-language-server: $schema=./{FILE_NAME}"


def test_the_sample_shows_every_key() -> None:
    """The sample has each key, set or in a comment: it is the reference that people read first."""
    text = SAMPLE.read_text()
    for key in keys(Family):
        last = key.rpartition(".")[2]
        assert re.search(rf"^[ #-]*{last}:", text, re.MULTILINE) or f"{{{last}:" in text, key


def test_the_sample_still_loads_with_its_comments_uncommented() -> None:
    """Every commented key can be uncommented as it is."""
    lines = [re.sub(r"^( *)# ( *(?:- )?[a-z_]+:(?: |$))", r"\1\2", line) for line in SAMPLE.read_text().splitlines()]
    text = "\n".join(lines)
    assert "\n  kanban:\n" in text
    assert problems_of(text) == []


@pytest.mark.parametrize(
    "values",
    [
        {"id": ID.upper()},
        {"id": ID.replace("-", "")},
        {"sleep": {"idle_after": 90}},
        {"sleep": {"idle_after": "1h30m", "keep_warm": [{"from": "22:00", "to": "24:00"}]}},
        {"resources": {"memory": "2G", "cpus": 2}},
        {"channels": {"api_server": True, "twilio_whatsapp": None}},
        {"channels": {"twilio_whatsapp": {"number": "+442079460018"}}},
        {"toolsets": ["web", "mcp-home"]},
        {"image": None, "kanban": {"default_assignee": None, "max_in_progress_per_profile": 3}},
        {"config": {"anything": [1, {"a": None}]}, "env": {"CITY": "Rome"}},
        {"account": {"phone": "+44 (20) 7946-0018", "email": None}},
        {"display_name": None},
    ],
)
def test_the_schema_takes_what_the_loader_takes(values: dict[str, Any]) -> None:
    """The schema has the notation of the file, not the types of the models."""
    content = {"families": [family_entry(0, **values)]}
    assert problems_of(yaml.safe_dump(content, default_style=None)) == []
    assert list(VALIDATOR.iter_errors(content)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"timezon": "UTC"},
        {"members": [{"name": "A", "rol": "b"}]},
        {"name": "The Smiths"},
        {"name": ID},
        {"id": "x"},
        {"display_name": ""},
        {"sleep": {"idle_after": "soon"}},
        {"sleep": {"keep_warm": [{"from": "7:00", "to": "24:00"}]}},
        {"sleep": {"keep_warm": [{"days": [], "from": "07:00", "to": "24:00"}]}},
        {"resources": {"memory": "2"}},
        {"resources": {"cpus": 0}},
        {"channels": {"api_server": False}},
        {"channels": {"twilio_whatsapp": {}}},
        {"toolsets": ["memry"]},
        {"toolsets": []},
        {"state": "off"},
        {"memory": {"memory_char_limit": 0}},
        {"env": {"CITY": 1}},
        {"env": {"1A": "x"}},
        {"account": {"email": "x"}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(values: dict[str, Any]) -> None:
    """Editors mark unknown keys and wrong values."""
    content = {"families": [family_entry(0, **values)]}
    assert problems_of(yaml.safe_dump(content)) != []
    assert list(VALIDATOR.iter_errors(content)) != []


def test_the_schema_refuses_defaults_that_are_a_familys_own() -> None:
    """Editors mark identity and canary in the defaults."""
    for key, value in (("name", "a"), ("id", ID), ("display_name", "A"), ("canary", True)):
        assert list(VALIDATOR.iter_errors({"defaults": {key: value}, "families": []})) != [], key


def test_the_schema_asks_for_families_and_their_identity() -> None:
    """Keys that the loader reports as missing are required in the schema."""
    schema = json_schema()
    assert schema["required"] == ["families"]
    assert sorted(schema["$defs"]["Family"]["required"]) == ["id", "name"]
    assert list(schema["properties"]) == list(RegistryFile.model_fields)


ROW = re.compile(r"^\| `([a-z_.]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


def test_the_reference_has_every_key_with_its_default_and_description() -> None:
    """docs/registry.md has one row per key, in the models' order, with default and description."""
    rows = ROW.findall((ROOT / "docs" / "registry.md").read_text(encoding="utf-8"))
    assert [key for key, _, _ in rows] == keys(Family)
    for key, default, description in rows:
        schema = schema_at(key)
        assert description.startswith(schema["description"].rstrip(".")), key
        if "default" in schema:
            assert default == f"`{written(schema['default'])}`", key
        else:
            assert default in {"", "required", "the name"}, key


def written(default: object) -> str:
    """Return a default in the notation of the file."""
    text = json.dumps(default)
    return text if text == '""' else text.replace('"', "")


def schema_at(key: str) -> dict[str, Any]:
    """Return the schema of a key that is given as a path."""
    definitions = json_schema()["$defs"]
    here = definitions["Family"]
    found: dict[str, Any] = {}
    for step in key.split("."):
        found = here["properties"][step]
        reference = re.search(r"#/\$defs/(\w+)", json.dumps(found))
        here = definitions[reference[1]] if reference else {}
    return found

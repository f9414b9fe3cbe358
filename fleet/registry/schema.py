"""The JSON Schema of `families.yaml`, made from the models: editors check and complete with it."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from fleet.registry.models import RegistryFile

FILE_NAME = "families.schema.json"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the registry in the file's notation."""
    schema = RegistryFile.model_json_schema()
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "Registry of hermes-fleet",
        **{key: _bare(value) for key, value in schema.items() if key != "title"},
    }


def schema_text() -> str:
    """Return the contents of `families.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _bare(node: Any, *, named: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return a schema without pydantic's titles and without the defaults of whole models.

    `named` says that the keys of `node` are names of properties or models, not keywords of JSON Schema.
    """
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    dropped = set() if named else {"title"} | ({"default"} if "$ref" in node else set())
    names = {"properties", "$defs"}
    return {
        key: _bare(value, named=not named and key in names) if key != "default" or named else value
        for key, value in node.items()
        if key not in dropped
    }

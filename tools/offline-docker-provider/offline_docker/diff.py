"""What changes between a state and new inputs, by the official provider's rules.

A difference has a path, as `preview` shows it, and a kind. Measured on the official plugin, not read from a standard:
the tests that run both compare every rule here.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from offline_docker.schema import UNKNOWN, Kind, Prop, Properties, Spec, has_unknown, tidy_value

ADD, DELETE, UPDATE = "ADD", "DELETE", "UPDATE"
Change = tuple[str, str]


def diff(spec: Spec, old: Properties, new: Properties, ignore: Sequence[str] = ()) -> dict[str, str]:
    """Return path to kind of every change from a state to inputs, paths in `ignore` and below left out."""
    changes = {}
    for name, prop in sorted(spec.items()):
        for path, kind in _compare(prop, name, old.get(name), new.get(name)):
            if not any(path == skip or path.startswith((f"{skip}.", f"{skip}[")) for skip in ignore):
                changes[path] = f"{kind}_REPLACE" if prop.replaces else kind
    return changes


def top(path: str) -> str:
    """Return the property that a path leads into."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _compare(prop: Prop, path: str, old: Any, new: Any) -> Iterator[Change]:
    if new is None and prop.computed:
        # A container whose start failed was never read back: what only Docker knows is missing in its state.
        if old is None and prop.kind not in {Kind.TEXT, Kind.WHOLE, Kind.FLAG}:
            yield path, ADD
    elif new == UNKNOWN or (prop.kind is Kind.SET and prop.item and not prop.item.fields and has_unknown(new)):
        yield path, UPDATE if old else ADD
    elif prop.kind is Kind.OBJECT:
        yield from _compare_objects(prop, path, old, new)
    elif prop.kind is Kind.MAP:
        for key in sorted({**(old or {}), **(new or {})}):
            step = f".{key}" if re.fullmatch(r"[A-Za-z_$][\w$]*", key) else f'["{key}"]'
            yield from _compare(Prop(Kind.TEXT), path + step, (old or {}).get(key), (new or {}).get(key))
    elif prop.kind in {Kind.LIST, Kind.SET}:
        yield from _compare_items(prop, path, old or [], new or [])
    else:
        yield from _compare_plain(prop, path, old, new)


def _compare_plain(prop: Prop, path: str, old: Any, new: Any) -> Iterator[Change]:
    new = prop.default if new is None else new
    if new is None and old:
        yield path, DELETE
    elif new is not None and new != old:
        yield path, ADD if old is None else UPDATE


def _compare_objects(prop: Prop, path: str, old: Any, new: Any) -> Iterator[Change]:
    if old and new:
        for name, each in sorted(prop.fields.items()):
            yield from _compare(each, f"{path}.{name}", old.get(name), new.get(name))
    elif old or new:
        yield path, ADD if new else DELETE


def _compare_items(prop: Prop, path: str, old: list[Any], new: list[Any]) -> Iterator[Change]:
    if bool(old) != bool(new):
        yield path, ADD if new else DELETE
        return
    item = prop.item or Prop(Kind.TEXT)
    if prop.kind is Kind.SET:
        # Elements count by value; those on one side only are then paired by their places.
        gone = {i: each for i, each in enumerate(old) if not any(_same(item, each, other) for other in new)}
        come = {i: each for i, each in enumerate(new) if not any(_same(item, other, each) for other in old)}
    else:
        gone, come = dict(enumerate(old)), dict(enumerate(new))
    if prop.opaque and come:
        yield path, UPDATE
        return
    for index in sorted({*gone, *come}):
        if index in gone and index in come:
            inner = _compare_objects if item.fields else _compare_plain
            yield from inner(item, f"{path}[{index}]", gone[index], come[index])
        else:
            yield f"{path}[{index}]", DELETE if index in gone else ADD


def _same(item: Prop, old: Any, new: Any) -> bool:
    if not item.fields:
        return bool(old == new)
    return not has_unknown(new) and not list(_compare_objects(item, "", tidy_value(item, old), tidy_value(item, new)))

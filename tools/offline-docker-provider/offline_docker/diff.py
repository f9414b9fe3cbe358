"""What changes between a state and new inputs, by the official provider's rules.

A change has a path, as `preview` shows it, and a kind. The rules were measured on the official plugin; the tests that
run where both are present compare each of them.
"""

import re
from collections.abc import Iterator, Sequence

from offline_docker.schema import TEXT, UNKNOWN, Kind, Prop, Properties, Spec, Value, has_unknown

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


def _left_out(prop: Prop, new: Value) -> bool:
    """Return whether a computed property is left to Docker, as an unknown set is, and an empty one of objects."""
    objects = prop.item is not None and bool(prop.item.fields)
    return new is None or (prop.kind is Kind.SET and (new == UNKNOWN or (objects and not new)))


def _compare(prop: Prop, path: str, old: Value, new: Value) -> Iterator[Change]:
    if prop.computed and _left_out(prop, new):
        # A container whose start failed was never read back: what only Docker knows is missing in its state.
        if old is None and prop.kind is Kind.LIST:
            yield path, ADD
    elif new == UNKNOWN or (prop.item and not prop.item.fields and has_unknown(new)):
        yield path, ADD if old is None or old == [] else UPDATE
    elif prop.kind is Kind.MAP:
        yield from _entries(path, old or {}, new or {})
    elif prop.kind in {Kind.TEXT, Kind.WHOLE, Kind.FLAG}:
        yield from _plain(prop, path, old, new)
    elif bool(old) != bool(new):
        yield path, ADD if new else DELETE
    elif old and prop.kind is Kind.OBJECT:
        for name, each in sorted(prop.fields.items()):
            yield from _compare(each, f"{path}.{name}", old.get(name), new.get(name))
    elif old:
        yield from _items(prop, path, old, new)


def _plain(prop: Prop, path: str, old: Value, new: Value) -> Iterator[Change]:
    new = prop.default if new is None else new
    if (old or new) and old != new:
        yield path, ADD if old is None else DELETE if new is None else UPDATE


def _entries(path: str, old: Properties, new: Properties) -> Iterator[Change]:
    for key in sorted({**old, **new}):
        step = f".{key}" if re.fullmatch(r"[A-Za-z_$][\w$]*", key) else f'["{key}"]'
        yield from _plain(TEXT, path + step, old.get(key), new.get(key))


def _items(prop: Prop, path: str, old: list[Value], new: list[Value]) -> Iterator[Change]:
    item, gone, come = prop.item or TEXT, dict(enumerate(old)), dict(enumerate(new))
    if prop.kind is Kind.SET:
        # Elements count by value; those that only one side has are then paired by their places.
        gone = {i: each for i, each in gone.items() if not any(_same(item, each, other) for other in new)}
        come = {i: each for i, each in come.items() if not any(_same(item, other, each) for other in old)}
    if prop.opaque and come:
        yield path, UPDATE
        return
    for index in sorted({*gone, *come}):
        if index in gone and index in come:
            yield from _compare(item, f"{path}[{index}]", gone[index], come[index])
        else:
            yield f"{path}[{index}]", DELETE if index in gone else ADD


def _same(item: Prop, old: Value, new: Value) -> bool:
    return not any(_compare(item, "", old, new))

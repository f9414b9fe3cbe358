"""Writes a plan as Markdown that fits a pull request comment; no name of the registry can break it."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from fleet.plan.model import ASLEEP, IDLE, UNKNOWN, Change, Plan, Reason, Refusal
from fleet.redaction import printable

# The limit of a pull request comment, less room for what a workflow puts around it.
LIMIT = 65_536 - 1_536
MARKER = "<!-- hermes-fleet:plan -->"

_LIST = 12_000
_DIFF = 3_000
_TEXT = 600
_GROUPS = 20


def markdown(plan: Plan) -> str:
    """Return the plan: counts, what the guards found, then the families and reasons."""
    rolled = plan.of("rolled")
    asleep = [change for change in rolled if not change.started]
    waves = [f"{number}. {', '.join(map(code, wave))}" for number, wave in enumerate(plan.waves, 1)]
    return _fitted(
        [
            MARKER,
            f"## Fleet plan for {code(plan.stack)}",
            _summary(plan),
            *_warnings(plan),
            *_section("Guards", _bullets(map(_refusal, plan.refusals))),
            *_section(f"Rolled ({len(rolled)})", *_reasons(rolled)),
            *_families("Added", plan.of("added"), lambda c: "started and gated" if c.started else "created asleep"),
            *_families("Removed (data kept)", plan.of("removed"), lambda c: f"data stays in volume {c.volume}"),
            *_families(
                "Kept asleep", asleep, before="They get the new container after the last wave, without being started: "
            ),
            *_section(
                f"Waves ({len(waves)}), each gated on the one before",
                _joined(waves, "\n", "\n\nand {} more waves"),
            ),
            *_families("Redescribed, not restarted", plan.of("noted")),
            *_section(
                "Other resources",
                _bullets(f"{step.operation} {code(step.kind)} {code(step.name)}" for step in plan.other),
            ),
            *_section("Notes", _bullets(code(_cut(note, _TEXT)) for note in plan.notes)),
        ]
    )


def code(text: str) -> str:
    """Return text as inline code, in which no markup, HTML or mention works."""
    plain = " ".join(printable(text).split()) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    pad = " " if "`" in plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def block(text: str, language: str = "diff") -> str:
    """Return text as a code block that nothing in it can end."""
    plain = "\n".join(printable(line) for line in text.splitlines())
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", plain)), default=0) + 1)
    return f"{fence}{language}\n{plain}\n{fence}"


def _summary(plan: Plan) -> str:
    if plan.errors and not plan.changes:
        return "**The preview failed**; see below."
    if not plan.changes and not plan.other:
        return f"**No change.** {plan.unchanged} families stay as they are."
    return (
        "**{added} added, {rolled} rolled** ({asleep} of them kept asleep), **{removed} removed**, "
        "{noted} redescribed, {unchanged} unchanged."
    ).format(**plan.counts)


def _warnings(plan: Plan) -> Iterator[str]:
    if plan.errors:
        yield from _section("Errors", *(block(_cut(error, _DIFF), "text") for error in plan.errors))
    elif not plan.live:
        yield (
            "Live state was not read (no Docker daemon in reach): every family is shown as awake, in the longest roll "
            "there can be. Families that sleep are rolled without being started."
        )
    now = Counter(change.doing for change in plan.changes if change.doing)
    if now:
        yield f"Of them now: {now[ASLEEP]} asleep, {now[IDLE]} idle, {now[UNKNOWN]} that cannot be asked."
    busy = [change for change in plan.changes if change.doing not in {"", ASLEEP, IDLE, UNKNOWN}]
    if busy:
        yield f"**{len(busy)} would be stopped while at work:** {_listed(busy, lambda c: c.doing)}"


def _refusal(refusal: Refusal) -> str:
    why = code(_cut(refusal.why, _TEXT))
    if refusal.allowed:
        return f"**allowed by name: {refusal.guard}**: {why}"
    hint = "`pulumi up` refuses it too" if refusal.final else f"to let it pass: {code(f'--allow {refusal.guard}')}"
    return f"**refused: {refusal.guard}**: {why} ({hint})"


def _reasons(rolled: Iterable[Change]) -> Iterator[str]:
    """Yield the sets of reasons, the most frequent first, with the families that are rolled for them."""
    groups: dict[tuple[Reason, ...], list[Change]] = defaultdict(list)
    for change in rolled:
        groups[change.reasons].append(change)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))
    for reasons, changes in largest[:_GROUPS]:
        yield f"**{len(changes)}** for {', '.join(reason.what for reason in reasons)}: {_listed(changes)}"
        details = "\n".join(f"# {reason.what}\n{reason.detail}" for reason in reasons if reason.detail)
        if details:
            yield block(_cut(details, _DIFF))
    rest = sum(len(changes) for _, changes in largest[_GROUPS:])
    if rest:
        yield f"{rest} more, for {len(largest) - _GROUPS} other sets of reasons; the JSON has them all."


def _section(title: str, *body: str) -> list[str]:
    """Return a section, or nothing where its body is empty."""
    return [f"### {title}", *body] if any(body) else []


def _families(
    title: str, changes: Sequence[Change], about: Callable[[Change], str] | None = None, before: str = ""
) -> list[str]:
    return _section(f"{title} ({len(changes)})", before + _listed(changes, about)) if changes else []


def _listed(changes: Sequence[Change], about: Callable[[Change], str] | None = None) -> str:
    entries = [code(change.name) + (f" ({code(about(change))})" if about else "") for change in changes]
    return _joined(entries, ", ", " and {} more")


def _bullets(lines: Iterable[str]) -> str:
    return _joined([f"- {line}" for line in lines], "\n", "\n\nand {} more")


def _joined(entries: Sequence[str], separator: str, more: str) -> str:
    """Join the entries that fit into a list; `more` says how many were left out."""
    fitting = _fitting((len(entry + separator) for entry in entries), _LIST)
    left_out = len(entries) - fitting
    return separator.join(entries[:fitting]) + (more.format(left_out) if left_out else "")


def _fitted(parts: Sequence[str]) -> str:
    """Return the first parts that fit the limit, each whole."""
    cut_off = "This plan is longer than a comment may be; the rest is in its JSON."
    fitting = _fitting((len(f"{part}\n\n".encode()) for part in parts), LIMIT - len(f"{cut_off}\n"))
    shown = parts if fitting == len(parts) else [*parts[:fitting], cut_off]
    return "\n\n".join(shown) + "\n"


def _fitting(lengths: Iterable[int], room: int) -> int:
    """Return how many of the first lengths fit into the room together."""
    return sum(total <= room for total in accumulate(lengths))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"

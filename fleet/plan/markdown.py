"""Writes a plan as Markdown that fits a pull request comment; no name of the registry can break it."""

import re
from collections.abc import Callable, Iterable, Sequence

from fleet.plan.model import ASLEEP, IDLE, UNKNOWN, Change, Plan
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
    parts = [MARKER, f"## Fleet plan for {code(plan.stack)}", _counts(plan), *_warnings(plan)]
    parts += _refusals(plan)
    parts += _rolled(plan)
    parts += _plain(plan, "added", "Added", lambda c: "started and gated" if c.started else "created asleep")
    parts += _plain(plan, "removed", "Removed (data kept)", lambda c: f"data stays in volume {c.volume}")
    parts += _asleep(plan)
    parts += _waves(plan)
    parts += _noted(plan)
    if plan.other:
        parts += ["### Other resources", *_bullets(f"{s.operation} {code(s.kind)} {code(s.name)}" for s in plan.other)]
    if plan.notes:
        parts += ["### Notes", *_bullets(code(_cut(note, _TEXT)) for note in plan.notes)]
    return _fitted(parts)


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


def _counts(plan: Plan) -> str:
    added, rolled, removed = (len(plan.of(kind)) for kind in ("added", "rolled", "removed"))
    asleep = sum(not change.started for change in plan.of("rolled"))
    if plan.errors and not plan.changes:
        return "**The preview failed**; see below."
    if not plan.changes and not plan.other:
        return f"**No change.** {plan.unchanged} families stay as they are."
    return (
        f"**{added} added, {rolled} rolled** ({asleep} of them kept asleep), **{removed} removed**, "
        f"{len(plan.of('noted'))} redescribed, {plan.unchanged} unchanged."
    )


def _warnings(plan: Plan) -> list[str]:
    said = []
    if plan.errors:
        said += ["### Errors", *(block(_cut(error, _DIFF), "text") for error in plan.errors)]
    elif not plan.live:
        said.append(
            "Live state was not read (no Docker daemon in reach): every family is shown as awake, in the longest roll "
            "there can be. Families that sleep are rolled without being started."
        )
    known = [change for change in plan.changes if change.doing]
    if known:
        quiet = {word: sum(change.doing == word for change in known) for word in (ASLEEP, IDLE, UNKNOWN)}
        busy = [change for change in known if change.doing not in quiet]
        said.append(f"Of them now: {quiet[ASLEEP]} asleep, {quiet[IDLE]} idle, {quiet[UNKNOWN]} that cannot be asked.")
        if busy:
            said.append(f"**{len(busy)} would be stopped while at work:** {_listed(busy, lambda c: c.doing)}")
    return said


def _refusals(plan: Plan) -> list[str]:
    if not plan.refusals:
        return []
    lines = []
    for refusal in plan.refusals:
        state = "allowed by name" if refusal.allowed else "refused"
        how = "" if refusal.allowed else f" (to let it pass: {code(f'--allow {refusal.guard}')})"
        if refusal.final:
            how = " (`pulumi up` refuses it too)"
        lines.append(f"**{state}: {refusal.guard}**: {code(_cut(refusal.why, _TEXT))}{how}")
    return ["### Guards", *_bullets(lines)]


def _rolled(plan: Plan) -> list[str]:
    rolled = plan.of("rolled")
    if not rolled:
        return []
    parts = [f"### Rolled ({len(rolled)})"]
    groups = sorted(_grouped(rolled).items(), key=lambda item: -len(item[1]))
    for (what, details), changes in groups[:_GROUPS]:
        parts.append(f"**{len(changes)}** for {what}: {_listed(changes)}")
        if details:
            parts.append(block(_cut(details, _DIFF)))
    rest = sum(len(changes) for _, changes in groups[_GROUPS:])
    if rest:
        parts.append(f"{rest} more, for {len(groups) - _GROUPS} other sets of reasons; the JSON has them all.")
    return parts


def _grouped(changes: Iterable[Change]) -> dict[tuple[str, str], list[Change]]:
    """Group families that are rolled for the same reasons and with the same changes of their config."""
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        what = ", ".join(reason.what for reason in change.reasons)
        details = "\n".join(f"# {r.what}\n{r.detail}" for r in change.reasons if r.detail)
        groups.setdefault((what, details), []).append(change)
    return groups


def _plain(plan: Plan, kind: str, title: str, about: Callable[[Change], str]) -> list[str]:
    changes = plan.of(kind)
    return [f"### {title} ({len(changes)})", _listed(changes, about)] if changes else []


def _asleep(plan: Plan) -> list[str]:
    asleep = [change for change in plan.of("rolled") if not change.started]
    if not asleep:
        return []
    return [
        f"### Kept asleep ({len(asleep)})",
        f"They get the new container after the last wave, without being started: {_listed(asleep)}",
    ]


def _waves(plan: Plan) -> list[str]:
    if not plan.waves:
        return []
    lines = [f"{number}. {', '.join(code(name) for name in wave)}" for number, wave in enumerate(plan.waves, 1)]
    return [f"### Waves ({len(lines)}), each gated on the one before", _joined(lines, "\n", "\n\nand {} more waves")]


def _noted(plan: Plan) -> list[str]:
    noted = plan.of("noted")
    return [f"### Redescribed, not restarted ({len(noted)})", _listed(noted)] if noted else []


def _listed(changes: Sequence[Change], about: Callable[[Change], str] | None = None) -> str:
    entries = [code(change.name) + (f" ({code(about(change))})" if about else "") for change in changes]
    return _joined(entries, ", ", " and {} more")


def _bullets(lines: Iterable[str]) -> list[str]:
    return [_joined([f"- {line}" for line in lines], "\n", "\n\nand {} more")]


def _joined(entries: Sequence[str], separator: str, more: str) -> str:
    """Join the entries that fit into a list; `more` says how many were left out."""
    room = _LIST
    for index, entry in enumerate(entries):
        room -= len(entry) + len(separator)
        if room < 0:
            return separator.join(entries[:index]) + more.format(len(entries) - index)
    return separator.join(entries)


def _fitted(parts: Sequence[str]) -> str:
    """Return the first parts that fit the limit, each whole."""
    last = "\n\nThis plan is longer than a comment may be; the rest is in its JSON.\n"
    room = LIMIT - len(last.encode())
    text = ""
    for part in parts:
        more = f"{text}\n\n{part}" if text else part
        if len(more.encode()) > room:
            return text + last
        text = more
    return text + "\n"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"

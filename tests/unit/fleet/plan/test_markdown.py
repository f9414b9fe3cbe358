"""A plan as a pull request comment."""

from typing import Any

import pytest

from fleet.plan.guards import Policy, guarded
from fleet.plan.markdown import LIMIT, block, code, markdown
from fleet.plan.model import Plan
from fleet.plan.reader import read_plan
from tests.support.fleet.previews import digest, family_steps

NEW = {"credentials": "fedcba9876543210"}


def said(*families: list[dict[str, Any]], **more: Any) -> str:
    """Return the Markdown of a preview."""
    return markdown(guarded(read_plan(digest(*families, **more), stack="dev"), Policy()))


def test_a_thousand_families_fit_a_comment_with_all_counts() -> None:
    """980 rolled for one reason, 20 added, 3 removed: counts first, each family named as far as there is room."""
    names = [f"family-with-quite-a-long-name-{n:06}" for n in range(1003)]
    families = [family_steps(n, "roll", new=NEW, start=i % 5 == 0) for i, n in enumerate(names[:980])]
    families += [family_steps(n, "create") for n in names[980:1000]]
    families += [family_steps(n, "delete") for n in names[1000:]]
    text = said(*families)
    assert len(text) <= LIMIT
    assert "**20 added, 980 rolled** (784 of them kept asleep), **3 removed**" in text
    assert "**980** for credentials" in text
    assert all(name in text for name in names[980:])
    assert "### Kept asleep (784)" in text
    assert "waves" in text.lower()


def test_even_a_thousand_different_reasons_fit() -> None:
    """Where every family changes in its own way, the rest is left to the JSON and the text says so."""
    families = [
        family_steps(f"f-{n}", "roll", new={"config": "\n".join(f"key{n}-{i}: {'x' * 90}" for i in range(60))})
        for n in range(1000)
    ]
    text = said(*families)
    assert len(text) <= LIMIT
    assert "its JSON" in text or "the JSON has them all" in text


def test_families_with_the_same_change_stand_together() -> None:
    """One diff for all whose lines change alike."""
    new = {"config": "timezone: Asia/Tokyo\n"}
    text = said(*(family_steps(n, "roll", new=new) for n in ("ash", "birch")), family_steps("cedar"))
    assert "**2** for config: `ash`, `birch`" in text
    assert text.count("+timezone: Asia/Tokyo") == 1


@pytest.mark.parametrize(
    "evil", ["@everyone", "<img src=x onerror=alert(1)>", "`` ` ``", "a|b\n# Heading", "\u202egnp"]
)
def test_text_from_the_registry_stays_text(evil: str) -> None:
    """No mention, no HTML, no heading and no fence comes alive, in line or in a block."""
    inline = code(evil)
    assert "\n" not in inline
    assert "\u202e" not in inline
    fence = inline[: len(inline) - len(inline.lstrip("`"))]
    assert inline.endswith(fence)
    assert fence not in inline[len(fence) : -len(fence)]
    fenced = block(f"-{evil}\n+```\n+````")
    assert fenced.startswith("`````diff")


def test_a_refusal_says_how_to_let_it_pass() -> None:
    """And an error is shown as it came."""
    text = said(family_steps("a", "delete"), family_steps("b"))
    assert "**refused: mass-removal**" in text
    assert "`--allow mass-removal`" in text
    assert "families.yaml:3:1" in said(diagnostics=(("error", "families.yaml:3:1: bad"),))


def test_a_note_is_shown_as_it_came() -> None:
    """Words of a note that the plan uses itself stay as they are."""
    assert "\n- `3 more waves to go`" in markdown(Plan("dev", live=True, notes=("3 more waves to go",)))


def test_a_list_that_is_too_long_says_how_much_is_left_out() -> None:
    """Notes, waves and families each in their own words."""
    notes = tuple(f"{number} {'x' * 500}" for number in range(100))
    text = markdown(Plan("dev", live=True, notes=notes))
    shown = text.count("\n- `")
    assert 0 < shown < 100
    assert f"\n\nand {100 - shown} more\n" in text
    names = [f"family-with-quite-a-long-name-{number:06}" for number in range(700)]
    chain = [
        family_steps(name, "roll", new=NEW, after=(before,)) for before, name in zip(["", *names], names, strict=False)
    ]
    waves = said(*chain).partition("### Waves (700)")[2]
    assert f"\n\nand {700 - waves.count('. `')} more waves" in waves
    listed = said(*chain).partition("**700** for credentials: ")[2].partition("\n")[0]
    assert listed.endswith(f"` and {700 - listed.count('`') // 2} more")

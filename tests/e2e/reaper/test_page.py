"""The status page in a real browser: two hundred families from a real store, served by the reaper's own program.

The Docker side is a recording. With `FLEET_TEST_PICTURES=docs` the pictures of the documentation are made anew.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from fleet.registry import Family, load_registry
from reaper.store import Entry, Store
from tests.support import chromium
from tests.support.docker.recorded_docker import Recording, container_id, playing
from tests.support.reaper.reaper import write_registry
from tests.support.reaper.reaper_program import running, wait_for_sweep

STACK = "prod"
FAMILIES = 200
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
HOSTILE_REASON = "</td></table><script>document.title='owned'</script>"
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 3
SURNAMES = (
    "Abara Brandt Castillo Dimitrov Eriksen Fontaine Gallo Haddad Ivanova Jansen Kowalski Lindqvist Moreau Nakamura"
)
SURNAMES += " Okafor Petrov Quispe Rossi Sato Tran Ueda Varga Weber Xu Yilmaz Zhang"
HOUR = 3600.0
# The least contrast between the colour of text and the first opaque background behind it.
CONTRAST = """(() => {
    const light = rgb => rgb.slice(0, 3).map(part => part / 255)
        .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const ground = node => {
        for (; node; node = node.parentElement) {
            const found = parts(getComputedStyle(node).backgroundColor);
            if (found.length === 3 || found[3] > 0) return found;
        }
        return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll('h1, p, strong, a, th, td, small, bdi, footer')];
    return Math.min(...texts.map(node => {
        const pair = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a);
        return (pair[0] + 0.05) / (pair[1] + 0.05);
    }));
})()"""


def entries() -> list[dict[str, Any]]:
    """Return two hundred invented families; one has a script as its name, one a name without a space to break at."""
    names = SURNAMES.split()
    found = []
    for at in range(FAMILIES):
        name, turn = names[at % len(names)], at // len(names)
        slug = name.lower() + (f"-{turn + 1}" if turn else "")
        entry: dict[str, Any] = {
            "name": slug,
            "id": str(uuid4()),
            "display_name": f"The {name} family",
            "timezone": "Europe/Berlin",
        }
        if at % 9 == 4:
            entry |= {"resources": {"memory": "1536m" if at % 2 else "1g"}}
        if at % 40 == 7:
            entry |= {"state": "suspended"}
        if at % 13 == 2:
            entry |= {"sleep": {"never": True}}
        found.append(entry)
    found[150]["display_name"], found[151]["display_name"] = EVIL, LONG
    return found


def remember(store: Store, recording: Recording, families: tuple[Family, ...]) -> None:
    """Give the families a day: a few wakes each, then awake or asleep; some have a job ahead, one no container."""
    now = time.time()
    lines: list[Entry] = []
    for at, family in enumerate(families):
        awake = family.state == "active" and (at % 3 == 0 or family.sleep.never)
        recording.states[family.id] = "running" if awake else "exited"
        day = list(day_of(at, family.id, now, awake=awake, never=family.sleep.never))
        lines += day
        store.record_activity(family.id, "heartbeat", now - (5 + at % 60 if awake else 8 * HOUR + 60 * at))
        store.update(
            family.id,
            state="awake" if awake else "asleep",
            state_since=day[-1].at if day else now - 1.5 * HOUR,
            healthy_id=container_id(family.id),
            human=now - (5 + at % 7) * HOUR,
            cron_next=now + (1 + at % 11) * HOUR if at % 4 == 1 else None,
            cron_of=container_id(family.id),
        )
    store.append(sorted(lines, key=lambda line: line.at))
    del recording.states[families[5].id]


def day_of(at: int, family_id: UUID, now: float, *, awake: bool, never: bool) -> Iterator[Entry]:
    """Yield a family's last day of the ledger, oldest first."""
    if never:
        return
    yield Entry(now - 25 * HOUR, family_id, "seen", "asleep", "found asleep")
    for hours in (22 - at % 6, 13 - at % 3, 7.5):
        yield Entry(now - hours * HOUR, family_id, "start", "heartbeat", "woken for: heartbeat")
        yield Entry(now - (hours - 1.2 - at % 4 * 0.4) * HOUR, family_id, "stop", "idle", "no sign of life")
    if awake:
        yield Entry(now - (0.2 + at % 5 * 0.7) * HOUR, family_id, "start", "heartbeat", "woken for: heartbeat")


@dataclass
class Shown:
    """A served page, the browser in front of it, and what it should show."""

    url: str
    browser: chromium.Browser
    families: tuple[Family, ...]
    recording: Recording

    def rows(self) -> list[dict[str, str]]:
        """Return the text of each row, by class or label."""
        script = """JSON.stringify([...document.querySelectorAll('tbody tr')].map(row => Object.fromEntries(
            [['id', row.id], ['shown', String(row.getClientRects().length > 0)],
             ['rects', String(row.querySelectorAll('rect').length)],
             ['told', row.querySelector('svg').getAttribute('aria-label')],
             ...[...row.cells].map(cell => [cell.dataset.label || cell.classList[0], cell.innerText.trim()])])))"""
        found: list[dict[str, str]] = json.loads(self.browser.ask(script))
        return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Serve the page by `python -m reaper run` over a recorded Docker API, and open a browser."""
    program = chromium.find()
    if not program:
        pytest.skip("no Chromium; get it with: apt-get install --no-install-recommends chromium")
    folder = tmp_path_factory.mktemp("page")
    families = load_registry(write_registry(folder, entries())).families
    recording = Recording(STACK)
    store = Store(folder / "reaper.db")
    remember(store, recording, families)
    with (
        playing(recording, folder) as host,
        running(folder, STACK, folder / "families.yaml", host, OPEN_STATUS="1", SWEEP_EVERY="3600") as reaper,
        chromium.browser(program, folder) as browser,
    ):
        wait_for_sweep(reaper.url)
        # What an agent reports gets into the store as a reason: here it is an attack.
        store.update(families[152].id, reason="unreadable", text=HOSTILE_REASON)
        yield Shown(reaper.url, browser, families, recording)
    store.close()


def test_every_family_is_shown_with_all_its_facts(shown: Shown) -> None:
    """State, since when, why, last activity and its signal, next job, memory and the day's strip, for each of 200."""
    shown.browser.open(shown.url, width=1280, height=900)
    rows = {row["id"].removeprefix("family-"): row for row in shown.rows()}
    assert list(rows) == [family.name for family in shown.families]
    for family in shown.families:
        row = rows[family.name]
        assert row["name"].split() == [*family.display_name.split(), family.name]
        assert row["shown"] == "true"
        assert row["why"]
        assert row["memory"].endswith("iB")
        assert " ago" in row["last activity"] or row["last activity"] == "-"
    assert rows["okafor"]["state"].startswith(("awake", "asleep"))
    awake = next(family for family in shown.families if shown.recording.states.get(family.id) == "running")
    assert rows[awake.name]["state"].split()[:2] == ["awake", "for"]
    assert "heartbeat" in rows[awake.name]["last activity"]
    assert int(rows[awake.name]["rects"]) > 3
    assert rows[awake.name]["told"].startswith("awake for ")
    assert rows["brandt"]["next job"].startswith("in ")
    assert rows["eriksen"]["memory"] == "1 GiB"
    assert rows["fontaine"]["state"].split()[0] == "missing"
    assert "pulumi up" in rows["fontaine"]["why"]
    never = next(family for family in shown.families if family.sleep.never and family.state == "active")
    assert rows[never.name]["why"] == "the registry says that it never sleeps"
    assert rows[never.name]["rects"] == "2", "its strip begins where its state is known from"


def test_names_and_reasons_stay_text(shown: Shown) -> None:
    """A script as a name or a reason is shown as it is; nothing ran, nothing was loaded."""
    shown.browser.open(shown.url, width=1280, height=900)
    rows = shown.rows()
    assert EVIL in rows[150]["name"]
    assert rows[152]["why"] == HOSTILE_REASON
    title = shown.browser.ask("document.title")
    assert title.endswith(f"of {FAMILIES} awake · {STACK}")
    assert shown.browser.ask("document.querySelectorAll('script, img, iframe, [onerror]').length") == 0
    assert shown.browser.complaints() == []


@pytest.mark.parametrize(("width", "phone"), [(390, True), (320, True), (1280, False), (2200, False)])
def test_the_page_fits_its_window(shown: Shown, width: int, *, phone: bool) -> None:
    """The page is as wide as its window, at every size, with a name that has no space to break at; so is each cell."""
    shown.browser.open(shown.url, width=width, height=844, phone=phone)
    assert shown.browser.ask("document.documentElement.scrollWidth") == width
    over = "[...document.querySelectorAll('td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
    assert shown.browser.ask(over) == 0
    assert len([row for row in shown.rows() if row["shown"] == "true"]) == FAMILIES
    strips = "[...document.querySelectorAll('svg')].filter(strip => strip.getBoundingClientRect().width < 150).length"
    assert shown.browser.ask(strips) == 0


def test_a_link_shows_one_state_alone(shown: Shown) -> None:
    """Each link has the state's number, works without a script and survives the page's refresh."""
    shown.browser.open(shown.url, width=390, height=844, phone=True)
    links = json.loads(
        shown.browser.ask(
            "JSON.stringify([...document.querySelectorAll('nav a')].map(link => link.innerText.split(' ')))"
        )
    )
    counts = {state: int(number) for state, number in links}
    assert counts.pop("all") == sum(counts.values()) == FAMILIES
    assert set(counts) == {"awake", "asleep", "suspended", "missing"}
    for state, count in counts.items():
        shown.browser.ask(f"document.querySelector('nav a.{state}').click()")
        rows = [row for row in shown.rows() if row["shown"] == "true"]
        assert len(rows) == count
        assert all(row["state"].startswith(state) for row in rows)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(shown: Shown, *, dark: bool) -> None:
    """Every piece of text has a contrast of at least 4.5 to 1, in the light and the dark theme."""
    shown.browser.open(shown.url, width=1280, height=900, dark=dark)
    assert shown.browser.ask(CONTRAST) >= 4.5


def test_pictures_for_the_documentation(shown: Shown, tmp_path: Path) -> None:
    """Screenshots of a phone's and a desktop's window, of less than 200 kB each."""
    folder = Path(os.environ.get("FLEET_TEST_PICTURES", tmp_path))
    for name, width, height, phone in (("desktop", 1280, 600, False), ("phone", 390, 680, True)):
        shown.browser.open(shown.url, width=width, height=height, phone=phone, dark=phone)
        file = folder / f"status-{name}.png"
        shown.browser.picture(file)
        assert file.read_bytes().startswith(b"\x89PNG")
        assert file.stat().st_size < 200_000

"""All problems of a registry come at once, each with line, column, name and fix."""

from pathlib import Path
from textwrap import dedent, indent

import pytest

from fleet.errors import FleetError
from fleet.registry import load_registry
from tests.support.fleet.registry import problems_of

KEYS = (
    "timezone, language, members, account, channels, toolsets, memory, kanban, dashboard, supervise, image, resources,"
    " env, config, state, sleep"
)
FAMILY_KEYS = f"name, id, display_name, canary, {KEYS}"
ID = "3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11"


def family(body: str) -> str:
    """Return a registry whose only family ends with these lines; they start at line 4, column 5."""
    return f"families:\n  - name: smith\n    id: {ID}\n{indent(dedent(body), '    ')}"


CASES = {
    # The value itself
    "timezone: Europ/London": "4:15: families[0] (smith).timezone: 'Europ/London' is not an IANA time zone;"
    " did you mean 'Europe/London'?",
    "timezone: Mars/Olympus": "4:15: families[0] (smith).timezone: 'Mars/Olympus' is not an IANA time zone",
    "timezone: Factory": "4:15: families[0] (smith).timezone: 'Factory' is not an IANA time zone",
    "language: english": "4:15: families[0] (smith).language: 'english' is not a language tag such as 'en' or 'pt-BR'",
    "display_name: ' '": "4:19: families[0] (smith).display_name: ' ' is blank",
    f"display_name: {'x' * 201}": f"4:19: families[0] (smith).display_name: '{'x' * 75}…' is longer than 200"
    " characters",
    "members: [{name: Ann, rol: x}]": "4:27: families[0] (smith).members[0].rol: is not a key of the registry;"
    " did you mean 'role'?",
    "members: [{role: x}]": "4:15: families[0] (smith).members[0].name: is missing",
    "members: Ann": "4:14: families[0] (smith).members: 'Ann' is not a list",
    "account: {email: ann}": "4:22: families[0] (smith).account.email: 'ann' is not an e-mail address",
    "account: {phone: '0123'}": "4:22: families[0] (smith).account.phone: '0123' is not a phone number with its country"
    " code, such as '+44 20 7946 0018'",
    "channels: {api_server: false}": "4:28: families[0] (smith).channels.api_server: false is invalid: the API server"
    " is always on; remove the key",
    "channels: {twilio_whatsap: null}": "4:16: families[0] (smith).channels.twilio_whatsap: is not a key of the"
    " registry; did you mean 'twilio_whatsapp'?",
    "channels: {twilio_whatsapp: {}}": "4:33: families[0] (smith).channels.twilio_whatsapp.number: is missing",
    "channels: {twilio_whatsapp: {number: '123'}}": "4:42: families[0] (smith).channels.twilio_whatsapp.number: '123'"
    " is not a phone number in E.164 form, such as '+442079460018'",
    "channels: {sudo_chat: 'true'}": "4:27: families[0] (smith).channels.sudo_chat: 'true' is not true or false",
    "toolsets: [memry]": "4:16: families[0] (smith).toolsets[0]: 'memry' is not a toolset of Hermes;"
    " did you mean 'memory'?",
    "toolsets: [web, web]": "4:15: families[0] (smith).toolsets: names 'web' more than once",
    "toolsets: []": "4:15: families[0] (smith).toolsets: is empty; name at least one",
    "memory: {memory_char_limit: 0}": "4:33: families[0] (smith).memory.memory_char_limit: 0 is less than 1",
    "memory: {user_char_limit: 1.5}": "4:31: families[0] (smith).memory.user_char_limit: 1.5 is not an integer",
    "kanban: {default_assignee: A B}": "4:32: families[0] (smith).kanban.default_assignee: 'A B' is not the name of a"
    " profile: up to 64 of a-z, 0-9, - and _",
    "kanban: {max_in_progress_per_profile: 0}": "4:43: families[0] (smith).kanban.max_in_progress_per_profile:"
    " 0 is less than 1",
    "dashboard: 1": "4:16: families[0] (smith).dashboard: 1 is not true or false",
    "image: a b": "4:12: families[0] (smith).image: 'a b' is not an image reference such as"
    " 'nousresearch/hermes-agent:TAG@sha256:DIGEST'",
    "resources: {memory: 2}": "4:25: families[0] (smith).resources.memory: 2 is not an amount of memory;"
    " write it as '512m' or '2g'",
    "resources: {memory: 12m}": "4:25: families[0] (smith).resources.memory: '12m' is too little: an agent needs"
    " at least 256m",
    "resources: {cpus: 0}": "4:23: families[0] (smith).resources.cpus: 0 is less than 0.1",
    "resources: {cpus: '2'}": "4:23: families[0] (smith).resources.cpus: '2' is not a number",
    "env: {TZ: UTC}": "4:11: families[0] (smith).env.TZ: 'TZ' is set by the fleet itself and cannot be set here",
    "env: {API_SERVER_KEY: x}": "4:11: families[0] (smith).env.API_SERVER_KEY: 'API_SERVER_KEY' is set by the fleet"
    " itself and cannot be set here",
    "env: {MAPS_TOKEN: x}": "4:11: families[0] (smith).env.MAPS_TOKEN: 'MAPS_TOKEN' is the name of a secret, and this"
    " file is not secret; set it for all families with:"
    " pulumi config set --path --secret 'hermes-fleet:env.MAPS_TOKEN'",
    "env: {1A: x}": "4:11: families[0] (smith).env.1A: '1A' is not a name for a .env entry: letters, digits and _,"
    " no digit first",
    "env: {A: 1}": "4:14: families[0] (smith).env.A: 1 is not a string to YAML; quote it: '1'",
    'env: {A: "a\\nb"}': "4:14: families[0] (smith).env.A: 'a\\nb' has a line break or a control character, and an"
    " entry of .env is one line of text",
    "env: [A]": "4:10: families[0] (smith).env: a list is not a mapping of names and values",
    "config: {model: x}": "4:14: families[0] (smith).config.model: is set by the fleet and cannot be changed here",
    "config: {memory: 3}": "4:14: families[0] (smith).config.memory: would replace a mapping of which the fleet"
    " sets a part; give a mapping",
    "config: {memory: {user_char_limit: 3}}": "4:23: families[0] (smith).config.memory.user_char_limit: is set by the"
    " fleet and cannot be changed here",
    "canary: maybe": "4:13: families[0] (smith).canary: 'maybe' is not true or false",
    "state: suspendd": "4:12: families[0] (smith).state: 'suspendd' is not 'active' or 'suspended';"
    " did you mean 'suspended'?",
    "sleep: {idle_after: soon}": "4:25: families[0] (smith).sleep.idle_after: 'soon' is not a duration; write seconds,"
    " or '30m', '1h30m'",
    "sleep: {idle_after: 0}": "4:25: families[0] (smith).sleep.idle_after: 0 is out of range: 1 second to 366 days"
    " (sleep.never keeps a family awake for good)",
    "sleep: {idle_after: true}": "4:25: families[0] (smith).sleep.idle_after: true is not a duration; write seconds,"
    " or '30m', '1h30m'",
    "sleep: {keep_warm: [{from: '07:00', to: '07:00'}]}": "4:25: families[0] (smith).sleep.keep_warm[0]: opens and"
    " closes at the same time; a whole day is from '00:00' to '24:00'",
    "sleep: {keep_warm: [{from: '7:00', to: '25:00'}]}": "4:32: families[0] (smith).sleep.keep_warm[0].from: '7:00' is"
    " not a time of day; write it as '07:30' ('00:00' to '24:00')",
    "sleep: {keep_warm: [{days: [tues], from: '07:00', to: '08:00'}]}": "4:33: families[0] (smith).sleep.keep_warm[0]"
    ".days[0]: 'tues' is not 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun'; did you mean 'tue'?",
    "sleep:": "4:11: families[0] (smith).sleep: is empty; give it a value or remove the key",
    "sleep: never": "4:12: families[0] (smith).sleep: 'never' is not a mapping (keys: idle_after, never, keep_warm,"
    " wake_for_cron)",
    # Keys
    "timezon: UTC": "4:5: families[0] (smith).timezon: is not a key of the registry; did you mean 'timezone'?",
    "a b: 1": f"4:5: families[0] (smith)['a b']: is not a key of the registry; known here: {FAMILY_KEYS}",
    "name: again": "4:5: families[0] (smith).name: this key is here twice, first in line 2",
    # Strings that YAML would read as something else
    "display_name: 007": "4:19: families[0] (smith).display_name: YAML may read 007 as a number; quote it: '007'",
    "display_name: 7": "4:19: families[0] (smith).display_name: 7 is not a string to YAML; quote it: '7'",
    "display_name: 1e3": "4:19: families[0] (smith).display_name: YAML may read 1e3 as a number; quote it: '1e3'",
    "display_name: 2026-01-01": "4:19: families[0] (smith).display_name: YAML may read 2026-01-01 as a date;"
    " quote it: '2026-01-01'",
    "display_name: Yes": "4:19: families[0] (smith).display_name: YAML may read Yes as true or false; quote it: 'Yes'",
    "display_name: true": "4:19: families[0] (smith).display_name: true is not a string to YAML; quote it: 'true'",
    "display_name: ~": "4:19: families[0] (smith).display_name: is empty; give it a value or remove the key",
    "language: no": "4:15: families[0] (smith).language: YAML may read no as true or false; quote it: 'no'",
    "dashboard: on": "4:16: families[0] (smith).dashboard: YAML may read on as true or false; quote it: 'on'",
    "account: {phone: +4420}": "4:22: families[0] (smith).account.phone: YAML may read +4420 as a number;"
    " quote it: '+4420'",
    "on: 1": "4:5: families[0] (smith).on: YAML may read on as true or false; quote it: 'on'",
    "7: 1": "4:5: families[0] (smith).7: YAML reads this key as 7; quote it: '7'",
    "? [a]\n: 1": "4:7: families[0] (smith): a key must be a string",
    "<<: {a: b}": "4:5: families[0] (smith)['<<']: merge keys are not read here; put what families share under"
    " defaults",
    "display_name: !!int '7'": "4:19: families[0] (smith).display_name: has the tag tag:yaml.org,2002:int;"
    " tags are not read here",
    "env: !!map {}": "4:10: families[0] (smith).env: has the tag tag:yaml.org,2002:map; tags are not read here",
    "display_name: *x": "4:19: families[0] (smith).display_name: *x has no anchor &x before it",
    "env: &x {A: *x}": "4:17: families[0] (smith).env.A: *x stands inside its own anchor",
    # What Hermes would hide
    "display_name: Check in with Gran": "4:19: families[0] (smith).display_name: 'Check in with Gran' looks like an"
    " attack to Hermes (c2_heartbeat), which would hide it; reword it",
    "members: [{name: Ann, role: pretend to be Bob}]": "4:33: families[0] (smith).members[0].role: 'pretend to be Bob'"
    " looks like an attack to Hermes (role_pretend), which would hide it; reword it",
}


@pytest.mark.parametrize(("body", "expected"), CASES.items(), ids=CASES)
def test_a_wrong_value_is_named_where_it_stands(body: str, expected: str) -> None:
    """The first problem has the line, column and path of the mistake, what is wrong, and the fix."""
    assert problems_of(family(body))[0] == f"families.yaml:{expected}"


@pytest.mark.parametrize("body", [body for body in CASES if "7:00', to: '25" not in body and "{a: b}" not in body])
def test_one_mistake_gives_one_line(body: str) -> None:
    """No problem is reported twice, and none that only follows from another."""
    assert len(problems_of(family(body))) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "families.yaml:1:1: the registry is empty, expected a mapping of defaults and families"),
        ("# nothing\n", "families.yaml:1:1: the registry is empty, expected a mapping of defaults and families"),
        ("[]", "families.yaml:1:1: the registry holds a list, expected a mapping of defaults and families"),
        ("x", "families.yaml:1:1: the registry holds 'x', expected a mapping of defaults and families"),
        ("defaults: {}", "families.yaml:1:1: families: is missing; write families: [] for none"),
        ("families:\n", "families.yaml:1:10: families: is empty; write families: [] for none"),
        ("families: {}", "families.yaml:1:11: families: a mapping is not a list; write families: [] for none"),
        (
            "familys: []\nfamilies: []",
            ("families.yaml:1:1: familys: is not a key of the registry; did you mean 'families'?"),
        ),
        ("families: []\n---\nfamilies: []", "families.yaml:2:1: starts a second YAML document; one file holds one"),
        (
            "families: [a]",
            (f"families.yaml:1:12: families[0]: 'a' is not a mapping (keys: {FAMILY_KEYS})"),
        ),
        (
            "defaults: x\nfamilies: []",
            (f"families.yaml:1:11: defaults: 'x' is not a mapping (keys: {KEYS})"),
        ),
        ("defaults:\nfamilies: []", "families.yaml:1:10: defaults: is empty; give it a value or remove the key"),
        (
            "defaults: {name: x}\nfamilies: []",
            ("families.yaml:1:12: defaults.name: belongs to each family, not to the defaults"),
        ),
        (
            "defaults: {canary: true}\nfamilies: [{name: a, id: 3f0c8a52-6a0e-4f57-9a35-0c9a1f6f3b11}]",
            (
                "families.yaml:1:12: defaults.canary: belongs to each family, not to the defaults;"
                " set it on the one or few families that go first in a roll"
            ),
        ),
        (
            "families: [",
            (
                "families.yaml:2:1: is not valid YAML: did not find expected node content"
                " (while parsing a flow node at line 2)"
            ),
        ),
        (
            "families:\n\t- a",
            (
                "families.yaml:2:1: is not valid YAML: found character that cannot start any token"
                " (while scanning for the next token at line 2); indent with spaces, not tabs"
            ),
        ),
        (
            "families: []\nfoo",
            (
                "families.yaml:3:1: is not valid YAML: could not find expected ':'"
                " (while scanning a simple key at line 2)"
            ),
        ),
        (
            "families: []\n# \x00",
            ("families.yaml:2:3: is not valid YAML: the character U+0000 is not allowed; write it escaped"),
        ),
    ],
)
def test_a_file_that_is_no_registry_says_what_is_expected(text: str, expected: str) -> None:
    """Problems of the top level and of YAML's syntax have a place too."""
    assert problems_of(text) == [expected]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    """Problems of every kind are collected and sorted by line and column."""
    text = dedent(
        f"""\
        defaults: {{timezone: Mars}}
        families:
          - id: {ID}
            timezone: UTC
            name: Smith!
            foo: 1
          - name: jones
            id: 12
            env: {{A: 1, B: 2}}
          - name: jones
            id: {ID.upper().replace("-", "")}
        """
    )
    assert problems_of(text) == [
        "families.yaml:1:22: defaults.timezone: 'Mars' is not an IANA time zone",
        (
            "families.yaml:5:11: families[0] (Smith!).name: 'Smith!' is not a name: 1 to 40 of a-z, 0-9 and -,"
            " no - at an end"
        ),
        (f"families.yaml:6:5: families[0] (Smith!).foo: is not a key of the registry; known here: {FAMILY_KEYS}"),
        (
            "families.yaml:8:9: families[1] (jones).id: 12 is not a UUID; make a new one with:"
            " python3 -c 'import uuid; print(uuid.uuid4())'"
        ),
        "families.yaml:9:14: families[1] (jones).env.A: 1 is not a string to YAML; quote it: '1'",
        "families.yaml:9:20: families[1] (jones).env.B: 2 is not a string to YAML; quote it: '2'",
        "families.yaml:10:11: families[2] (jones).name: 'jones' is taken by families[1] in line 7",
        f"families.yaml:11:9: families[2] (jones).id: '{ID}' is taken by families[0] in line 3",
    ]


TWICE = "families.yaml:2:1: families: this key is here twice, first in line 1"


@pytest.mark.parametrize("first", [f"[{{name: a, id: {ID}}}]", "[]", "{name: x}", ""])
@pytest.mark.parametrize("second", ["[{name: b, language: no}, {language: no}]", "{name: no}"])
def test_a_second_list_of_families_is_one_problem(first: str, second: str) -> None:
    """A bad merge is one problem; problems inside the second list are not reported."""
    assert problems_of(f"families: {first}\nfamilies: {second}") == [TWICE]


def test_what_stands_twice_hides_no_other_problem() -> None:
    """Problems in the first list are still reported."""
    text = f"families: [{{name: a, id: {ID}, language: 5}}]\nfamilies: [{{language: no}}]"
    assert problems_of(text) == [
        "families.yaml:1:74: families[0] (a).language: 5 is not a string to YAML; quote it: '5'",
        TWICE,
    ]


def test_an_entry_under_no_name_is_a_problem_like_any_other() -> None:
    """A mapping with a key that is not a string, in place of the list of families."""
    assert problems_of("families: {? [a] : {language: no}}") == [
        "families.yaml:1:14: families: a key must be a string",
        "families.yaml:1:31: families['?'].language: YAML may read no as true or false; quote it: 'no'",
    ]


def test_a_family_without_name_and_id_is_shown_where_it_starts() -> None:
    """Missing keys are reported at the entry."""
    assert problems_of("families:\n  - timezone: UTC\n") == [
        "families.yaml:2:5: families[0].id: is missing; make one with: python3 -c 'import uuid; print(uuid.uuid4())'",
        "families.yaml:2:5: families[0].name: is missing; a short name of a-z, 0-9 and -",
    ]


def test_the_nil_uuid_is_no_id() -> None:
    """The usual placeholder is refused."""
    text = "families: [{name: a, id: 00000000-0000-0000-0000-000000000000}]"
    assert "is the nil UUID" in problems_of(text)[0]


def test_a_name_that_would_garble_the_message_is_left_out_of_the_path() -> None:
    """A problem stays on one line."""
    (first, *_) = problems_of(f'families: [{{name: "a\\nb", id: {ID}}}]')
    assert first.startswith("families.yaml:1:19: families[0].name: 'a\\nb' is not a name")


def test_a_file_that_is_not_there_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that makes an empty registry."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FleetError) as caught:
        load_registry(Path("x y.yaml"))
    assert str(caught.value) == ("x y.yaml: there is no such file; fix: printf 'families: []\\n' > 'x y.yaml'")

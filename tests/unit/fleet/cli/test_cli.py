"""The command line does what it says, and fails with exit code 1 and a message that helps."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from fleet.cli import registry_path
from fleet.cli.main import COMMANDS, main
from fleet.host import Inventory
from fleet.keys import api_key_for
from fleet.redaction import REDACTED
from fleet.registry import load_registry
from tests.support.fleet.registry import family_id, write_registry

ROOT = Path(__file__).parents[4]
STACK_FILE = """\
config:
  hermes-fleet:image: hermes:1
  hermes-fleet:hermesLine: "0.15"
  hermes-fleet:llm: {provider: openrouter, model: some/model}
  hermes-fleet:llmApiKey: {secure: AAABcipher}
  hermes-fleet:masterKey: {secure: AAABcipher}
  hermes-fleet:env:
    MAPS_API_KEY: {secure: AAABcipher}
  hermes-fleet:pluginsDir: /srv/plugins
  hermes-fleet:rollout: {wave_size: 2}
"""


@pytest.fixture(autouse=True, name="project")
def project_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a project with a registry of two families, without anybody's environment."""
    monkeypatch.chdir(tmp_path)
    for module in ("fleet.cli", "fleet.cli.render"):
        monkeypatch.setattr(f"{module}.ROOT", tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("PULUMI_STACK", "HERMES_FLEET_STACK"):
        monkeypatch.delenv(name, raising=False)
    return write_registry(tmp_path / "families.yaml", 2).parent


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and return its exit code and what it printed."""
    code = main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_validate_counts_the_families(capsys: pytest.CaptureFixture[str]) -> None:
    """A good registry is one line, with a word on what was not checked."""
    code, out, err = run(capsys, "validate")
    assert (code, out) == (0, "families.yaml: 2 families, no problems\n")
    assert err == "plugins were not checked: no directory named plugins beside the registry\n"


def test_validate_prints_every_problem(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems go to stderr, one a line, and the exit code is 1."""
    write_registry(project / "bad.yaml", 1, timezone="Mars", foo=1)
    code, out, err = run(capsys, "validate", "--registry", "bad.yaml")
    assert (code, out) == (1, "")
    assert [line.split(": ")[0] for line in err.splitlines()] == ["bad.yaml:6:13", "bad.yaml:14:3"]


def test_validate_checks_the_plugins_beside_the_registry(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an option the plugins directory next to the file counts, with one any other."""
    write_registry(project / "families.yaml", 1, channels={"sudo_chat": True})
    (project / "plugins").mkdir(mode=0o755)
    assert "expected plugins/sudo_chat/plugin.yaml" in run(capsys, "validate")[2]
    assert "the plugins directory is missing" in run(capsys, "validate", "--plugins-dir", "nowhere")[2]
    plugin = project / "plugins" / "sudo_chat"
    plugin.mkdir(mode=0o755)
    (plugin / "plugin.yaml").touch(mode=0o644)
    assert run(capsys, "validate")[::2] == (0, "")


def test_add_appends_and_says_what(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The new family's name and id are printed, and the registry has it."""
    code, out, _ = run(capsys, "add", "The Smiths")
    family = load_registry(project / "families.yaml").get("the-smiths")
    assert (code, out) == (0, f"families.yaml: added the-smiths ({family.id})\n")
    assert family.display_name == "The Smiths"


def test_add_to_a_registry_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """The message is the command that makes an empty one."""
    code, _, err = run(capsys, "add", "The Smiths", "--registry", "none.yaml")
    assert code == 1
    assert err == "none.yaml: there is no such file; fix: printf 'families: []\\n' > none.yaml\n"


def test_list_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per family under the names of the columns, in the order of the file."""
    code, out, _ = run(capsys, "list")
    head, first, second = out.splitlines()
    assert code == 0
    assert head.split() == ["NAME", "ID", "DISPLAY_NAME", "TIMEZONE", "CHANNELS", "STATE", "CANARY"]
    assert first.startswith(f"family-0  {family_id(0)}  Family 0      Europe/London  api_server  active")
    assert second.startswith("family-1")


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts get the same as data."""
    families = json.loads(run(capsys, "list", "--json")[1])
    assert [family["name"] for family in families] == ["family-0", "family-1"]
    assert families[0]["id"] == str(family_id(0))
    assert families[0]["channels"] == ["api_server"]


def test_list_cannot_be_garbled_by_a_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and control characters of a display name are shown escaped."""
    write_registry(project / "families.yaml", 1, display_name="A\n\x1b[31mB")
    assert "A\\n\\x1b[31mB" in run(capsys, "list")[1]


def test_list_of_nobody(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty registry is no error."""
    (project / "families.yaml").write_text("families: []\n")
    assert run(capsys, "list") == (0, "no families\n", "")
    assert run(capsys, "list", "--json") == (0, "[]\n", "")


def test_render_without_a_stack_uses_placeholders_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A family can be looked at before there is any stack."""
    code, out, err = run(capsys, "render", "family-1")
    assert code == 0
    assert err == "stacks/Pulumi.dev.yaml is not there: shown with placeholders for its config\n"
    assert "timezone: Europe/Madrid" in out
    assert '- Family: "Family 1"' in out
    assert "API_SERVER_KEY=[secret]" in out


def test_render_reads_the_stacks_file_and_shows_no_secret(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings come from the file as it is, encrypted values and derived keys are masked."""
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.prod.yaml").write_text(STACK_FILE)
    code, out, err = run(capsys, "render", family_id(0).hex, "--stack", "prod")
    assert (code, err) == (0, "")
    assert "default: some/model" in out
    assert "_config_version: 24" in out
    assert f'MAPS_API_KEY="{REDACTED}"' in out
    assert f'OPENROUTER_API_KEY="{REDACTED}"' in out
    assert f"API_SERVER_KEY={REDACTED}" in out
    assert api_key_for(REDACTED * 4, family_id(0)) not in out
    assert "cipher" not in out


def test_render_masks_a_secret_that_somebody_left_in_plain_text(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is a secret by its key is masked even where the stack's file does not encrypt it."""
    (project / "stacks").mkdir()
    stack_file = STACK_FILE.replace("llmApiKey: {secure: AAABcipher}", "llmApiKey: sk-planted")
    (project / "stacks" / "Pulumi.dev.yaml").write_text(stack_file)
    code, out, _ = run(capsys, "render", "family-0")
    assert code == 0
    assert "sk-planted" not in out


@pytest.mark.parametrize(("content", "problem"), [("config: {", "cannot be read"), ("config: {}", "is missing")])
def test_render_says_what_is_wrong_with_the_stacks_file(
    content: str, problem: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack's file that is there but will not do is an error, not a placeholder."""
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.dev.yaml").write_text(content)
    code, out, err = run(capsys, "render", "family-0")
    assert (code, out) == (1, "")
    assert problem in err


def test_render_of_an_unknown_family(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest name is offered."""
    code, _, err = run(capsys, "render", "famly-1")
    assert (code, err) == (1, "'famly-1' is not in families.yaml; did you mean 'family-1'?\n")


@pytest.fixture
def mine(project: Path) -> Path:
    """Return the registry that the config of the stack dev names: one family more than families.yaml has."""
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.dev.yaml").write_text(f"{STACK_FILE}  hermes-fleet:registry: mine.yaml\n")
    return write_registry(project / "mine.yaml", 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["validate"], "mine.yaml: 3 families, no problems"),
        (["list"], "family-2"),
        (["render", "family-2"], "Family 2"),
        (["add", "The Smiths"], "mine.yaml: added the-smiths"),
        (["adopt", "--dry-run"], "nothing to adopt: no family of mine.yaml has"),
    ],
)
@pytest.mark.usefixtures("mine")
def test_commands_work_on_the_registry_of_the_stack(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the one that `up` declares; nobody has to name it."""
    monkeypatch.setattr("fleet.host.connect", lambda: SimpleNamespace(api=None, close=lambda: None))
    monkeypatch.setattr("fleet.host.list_fleet", lambda _: Inventory())
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert said in out


def test_the_registry_is_found_from_below(
    project: Path, mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack's registry lies in the project, not in that directory of it where the command is run."""
    monkeypatch.chdir(project / "stacks")
    assert "family-2" in run(capsys, "list")[1]
    assert run(capsys, "list", "--stack", "prod")[2].startswith("families.yaml: there is no such file")
    assert run(capsys, "render", "famly-2")[2] == f"'famly-2' is not in {mine}; did you mean 'family-2'?\n"


@pytest.mark.usefixtures("mine")
def test_elsewhere_the_registry_is_the_one_that_lies_there(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside of the project a families.yaml belongs to no stack; `plan` and `purge` ask the stack all the same."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_registry(elsewhere / "families.yaml", 1)
    monkeypatch.chdir(elsewhere)
    assert run(capsys, "validate")[1] == "families.yaml: 1 family, no problems\n"
    (elsewhere / "stacks").mkdir()
    (elsewhere / "stacks" / "Pulumi.dev.yaml").write_text(STACK_FILE.replace("some/model", "its/own"))
    assert "its/own" in run(capsys, "render", "family-0")[1]
    assert registry_path("dev").name == "mine.yaml"


def test_a_registry_that_is_named_wins(project: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over the stack's; a stack without config works on families.yaml."""
    assert run(capsys, "validate", "--registry", "families.yaml")[1].startswith("families.yaml: 2 families")
    assert run(capsys, "validate", "--stack", "other")[1].startswith("families.yaml: 2 families")
    before = mine.read_text()
    assert run(capsys, "add", "The Smiths", "--registry", "families.yaml")[0] == 0
    assert mine.read_text() == before
    assert load_registry(project / "families.yaml").get("the-smiths")


def test_schema_is_printed_written_and_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Check fails until the file is what write makes of it."""
    assert run(capsys, "schema", "--check")[::2] == (
        1,
        "families.schema.json is not what the models say; make it with: python -m fleet schema --write\n",
    )
    printed = run(capsys, "schema")[1]
    assert run(capsys, "schema", "--write") == (0, "", "")
    assert (project / "families.schema.json").read_text() == printed
    assert run(capsys, "schema", "--check") == (0, "", "")
    unwritable = "nowhere/schema.json: cannot be written (No such file or directory)\n"
    assert run(capsys, "schema", "--write", "--file", "nowhere/schema.json") == (1, "", unwritable)


@pytest.mark.parametrize("words", [[], ["nonsense"], ["add"], ["render"], ["list", "--nonsense"]])
def test_a_wrong_command_line_exits_with_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors are errors: 2 would mean changes to a script that reads a plan."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    assert "usage: python -m fleet" in capsys.readouterr().err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is in the overview with what it does."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = re.sub(r"\s+", " ", capsys.readouterr().out)
    for command in COMMANDS:
        assert f"{command.name} {command.help}" in text


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's own help works, and its module has what a command needs."""
    name, module = command.name, import_module(command.module)  # type: ignore[attr-defined]
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: python -m fleet {name}" in capsys.readouterr().out
    assert callable(module.run)


def test_the_module_runs_as_a_program() -> None:
    """As a module it works, and only imports what the command needs."""
    script = (
        "import sys; from fleet.cli.main import main; code = main(['validate']);"
        "sys.exit(code or bool({'docker', 'pulumi', 'jinja2'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "fleet", "list"], check=True, env=environment, capture_output=True, text=True
    )
    assert "family-1" in done.stdout


def test_a_reader_that_goes_away_is_no_crash(project: Path) -> None:
    """`list | head` ends quietly."""
    write_registry(project / "families.yaml", 1200)
    command = f"{sys.executable} -m fleet list | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], check=True, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("NAME")

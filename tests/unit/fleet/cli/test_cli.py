"""The command line does what it says, and fails with exit code 1 and a message that helps."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

import fleet
from fleet.cli import FAMILY, FLEET, REAPER, REGISTRY, main, table
from fleet.cli import project as find_project
from fleet.cli.registry import registry_path
from fleet.host import Inventory
from fleet.keys import api_key_for
from fleet.redaction import REDACTED
from fleet.registry import load_registry
from fleet.settings import Settings
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
    """Work in a project with a registry of two families, with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text("name: hermes-fleet\n")
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("PULUMI_STACK", "HERMES_FLEET_STACK", "HERMES_FLEET_PROJECT"):
        monkeypatch.setenv(name, "")  # and what a command sets is undone
    return write_registry(tmp_path / "families.yaml", 2).parent


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and return its exit code and what it printed."""
    code = main(words)
    printed = capsys.readouterr()
    return code, plain(printed.out), plain(printed.err)


def plain(text: str) -> str:
    """Return text without colours, which a CI service gets too."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


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


def test_list_of_no_families(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_render_masks_a_secret_that_is_in_plain_text(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    """A stack's file that is there but invalid is an error, not a placeholder."""
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
    """It is the one that `up` declares; it need not be named."""
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
    assert "family-1" in run(capsys, "list", "--stack", "prod")[1], "of a stack without config, the project's own"
    assert run(capsys, "render", "famly-2")[2] == f"'famly-2' is not in {mine}; did you mean 'family-2'?\n"


@pytest.mark.usefixtures("mine")
def test_elsewhere_the_registry_is_the_one_that_lies_there(
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Outside a project a families.yaml belongs to no stack; `plan` and `purge` ask the stack of the checkout."""
    monkeypatch.setattr(fleet, "__file__", str(project / "fleet" / "__init__.py"))
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
        "families.schema.json: is out of date; fix: hermes-fleet schema --write\n",
    )
    printed = run(capsys, "schema")[1]
    assert run(capsys, "schema", "--write") == (0, "", "")
    assert (project / "families.schema.json").read_text() == printed
    assert run(capsys, "schema", "--check") == (0, "", "")
    unwritable = "nowhere/schema.json: cannot be written (No such file or directory)\n"
    assert run(capsys, "schema", "--write", "--file", "nowhere/schema.json") == (1, "", unwritable)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["add"],
        ["render"],
        ["list", "--nonsense"],
        ["plan", "--allow", "x"],
        ["reaper"],
        ["reaper", "x"],
    ],
)
def test_wrong_usage_exits_with_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Usage errors are errors: 2 would mean changes to a script that reads a plan."""
    code, out, err = run(capsys, *words)
    assert code == 1
    assert "Usage: hermes-fleet" in out + err


@pytest.mark.parametrize("share", ["nan", "-0.1", "1.1", "some"])
def test_a_share_is_between_0_and_1(share: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else is given must not switch the guard off."""
    code, _, err = run(capsys, "plan", "--max-removed", share)
    assert code == 1
    assert "--max-removed" in err


def test_the_nearest_command_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """As with names of families."""
    assert "Did you mean 'validate'?" in run(capsys, "valdate")[2]
    assert "Did you mean 'sweep'?" in run(capsys, "reaper", "swep")[2]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command is in the overview with what it does."""
    for words, commands in (["--help"], REGISTRY | FLEET | FAMILY), (["reaper", "--help"], REAPER):  # type: ignore[operator]
        code, out, _ = run(capsys, *words)
        assert code == 0
        text = re.sub(r"\s+", " ", out)
        for name, (_, does) in commands.items():
            assert f"{name} {does}" in text


@pytest.mark.parametrize(
    "words", [[name] for name in (*REGISTRY, *FLEET, *FAMILY)] + [["reaper", name] for name in REAPER], ids=" ".join
)
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command's own help works, and shows an example that names it."""
    code, out, _ = run(capsys, *words, "--help")
    assert code == 0
    assert f"Usage: hermes-fleet {' '.join(words)}" in out
    assert f"Example: hermes-fleet {' '.join(words)}" in out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command."""
    assert run(capsys, "--version") == (0, f"hermes-fleet {fleet.__version__}\n", "")


@pytest.mark.parametrize("named", ["before", "after", "environment", "relative"])
@pytest.mark.usefixtures("mine")
def test_a_project_can_be_named(
    named: str,
    project: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From outside of it, by the option before or after the command, or by the environment."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    given = os.path.relpath(project) if named == "relative" else str(project)
    if named == "environment":
        monkeypatch.setenv("HERMES_FLEET_PROJECT", given)
    words = {"before": ["--project", given, "list"], "environment": ["list"]}.get(named, ["list", "--project", given])
    assert "family-2" in run(capsys, *words)[1]


def test_outside_of_a_project_the_fix_is_told(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that needs one says so; a folder that is none is an error; a Pulumi.yaml of another project is none."""
    monkeypatch.setattr(fleet, "__file__", "/usr/lib/fleet/__init__.py")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "Pulumi.yaml").write_text("name: hermes-fleet-docs\n")
    monkeypatch.chdir(elsewhere)
    said = f"{elsewhere}: is not inside a hermes-fleet project; fix: cd into one, or name it: --project\n"
    assert run(capsys, "plan") == (1, "", said)
    said = f"{elsewhere}: has no Pulumi.yaml of hermes-fleet; fix: --project or HERMES_FLEET_PROJECT\n"
    assert run(capsys, "plan", "--project", str(elsewhere)) == (1, "", said)


def test_the_nearest_project_above_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One inside another counts; outside of any, the checkout."""
    inner = project / "inner" / "stacks"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert find_project() == project
    (inner.parent / "Pulumi.yaml").write_text("# ours\nname: 'hermes-fleet' # here\nruntime: python\n")
    assert find_project() == inner.parent
    monkeypatch.chdir("/")
    assert find_project() == ROOT


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell has it, without a traceback."""
    monkeypatch.setattr("fleet.cli.registry.load_registry", Mock(side_effect=KeyboardInterrupt))
    assert main(["list"]) == 130


def test_commands_are_completed() -> None:
    """The shell asks by the environment."""
    asked = {"_HERMES_FLEET_COMPLETE": "complete_bash", "COMP_WORDS": "hermes-fleet reaper s", "COMP_CWORD": "2"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **asked}
    done = subprocess.run([sys.executable, "-m", "fleet"], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["sweep"]


def test_problems_are_annotations_of_a_workflow(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub shows them beside the line; what it would take for its own syntax is escaped."""
    write_registry(project / "a,b.yaml", 1, timezone="Ma%rs", foo=1)
    code, out, _ = run(capsys, "validate", "--registry", "a,b.yaml", "--format", "github")
    first, second = out.splitlines()
    assert code == 1
    assert first.startswith("::error file=a%2Cb.yaml,line=6,col=13::families[0] (family-0).timezone: 'Ma%25rs'")
    assert second.startswith("::error file=a%2Cb.yaml,line=14,col=3::")
    missing = run(capsys, "validate", "--registry", "none.yaml", "--format", "github")[1]
    assert missing.startswith("::error::none.yaml: there is no such file")


def test_problems_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its place."""
    write_registry(project / "bad.yaml", 1, timezone="Mars")
    code, out, _ = run(capsys, "validate", "--registry", "bad.yaml", "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 1
    assert {key: problem[key] for key in ("file", "line", "column")} == {"file": "bad.yaml", "line": 6, "column": 13}
    assert problem["message"].startswith("families[0] (family-0).timezone: 'Mars'")
    good = json.loads(run(capsys, "validate", "--json")[1])
    assert good == {"registry": str(project / "families.yaml"), "families": 2, "problems": []}


def test_what_was_added_or_rendered_as_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as the text says."""
    added = json.loads(run(capsys, "add", "The Smiths", "--json")[1])
    assert added["id"] == str(load_registry(project / "families.yaml").get("the-smiths").id)
    assert "timezone: Europe/Madrid" in json.loads(run(capsys, "render", "family-1", "--json")[1])["config.yaml"]


def test_the_settings_of_the_reaper_follow_from_the_stack(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As lines of its environment, or as JSON."""
    (project / "stacks").mkdir()
    (project / "stacks" / "Pulumi.dev.yaml").write_text(STACK_FILE)

    def told(settings: Settings) -> dict[str, str]:
        return {"HERMES_FLEET_STACK": settings.stack, "HERMES_FLEET_WAVE_SIZE": str(settings.rollout.wave_size)}

    monkeypatch.setattr("fleet.stack_file.reaper_env", told, raising=False)
    assert run(capsys, "reaper-env") == (0, "HERMES_FLEET_STACK=dev\nHERMES_FLEET_WAVE_SIZE=2\n", "")
    assert json.loads(run(capsys, "reaper-env", "--json")[1])["HERMES_FLEET_WAVE_SIZE"] == "2"


def test_a_table_is_as_wide_as_its_text() -> None:
    """What is piped is not cut off."""
    long = "x" * 500
    assert table([{"name": long, "next job": None, "canary": True}], "none") == (
        f"{'NAME'.ljust(500)}  NEXT JOB  CANARY\n{long}  -         yes"
    )


def test_a_command_imports_only_what_it_needs() -> None:
    """No command waits for the libraries of another, and help waits for none."""
    heavy = {"docker", "pulumi", "jinja2", "uvicorn", "starlette", "reaper"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, more in ((["validate"], set()), (["--help"], {"pydantic", "yaml"})):
        script = (
            f"import sys; from fleet.cli import main; code = main({words!r});"
            f"sys.exit(code or bool({heavy | more!r} & set(sys.modules)))"
        )
        subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True)


def test_the_modules_run_as_programs() -> None:
    """Both of them."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for module, words, shown in (("fleet", ["list"], "family-1"), ("reaper", ["--help"], "Usage: python -m reaper")):
        command = [sys.executable, "-m", module, *words]
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
        assert shown in plain(done.stdout)


def test_the_launcher_runs_this_checkout_from_anywhere(tmp_path: Path) -> None:
    """By a link too, and whatever folder of the same name lies where it is called."""
    checkout, elsewhere = tmp_path / "a checkout", tmp_path / "elsewhere"
    shutil.copytree(ROOT / "bin", checkout / "bin")
    (checkout / "fleet").symlink_to(ROOT / "fleet")
    (checkout / ".venv").symlink_to(sys.prefix)
    (elsewhere / "fleet").mkdir(parents=True)
    (elsewhere / "hermes").symlink_to(checkout / "bin" / "hermes-fleet")
    done = subprocess.run(["./hermes", "--version"], cwd=elsewhere, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"hermes-fleet {fleet.__version__}\n", "")


def test_a_reader_that_goes_away_is_no_crash(project: Path) -> None:
    """`list | head` ends quietly."""
    write_registry(project / "families.yaml", 1200)
    command = f"{sys.executable} -m fleet list | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], check=True, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("NAME")

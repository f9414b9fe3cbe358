import hashlib
import platform
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.setup.machine import Machine

HOST = "pulumi-language-python"
RECENT = "echo v3.270.1"


def install(machine: Machine, folder: Path, script: str = RECENT, *, host: bool = True) -> None:
    """Put a CLI into a folder, with or without its language host."""
    machine.command("pulumi", script, folder)
    if host:
        machine.command(HOST, "exit 0", folder)


def chosen(machine: Machine) -> str:
    """Return the recorded folder."""
    return (machine.repository / ".tools/pulumi-bin").read_text().strip()


def offline(machine: Machine) -> None:
    """Let every download fail."""
    machine.command("curl", "echo 'curl: (6) Could not resolve host: get.pulumi.com' >&2; exit 6")


def release(machine: Machine, folder: Path, *, sums: str | None = None) -> str:
    """Publish a release in a folder and return its address."""
    arch = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    built = folder / "pulumi"
    install(machine, built, "echo v3.258.0")
    archive = folder / f"pulumi-v3.258.0-linux-{arch}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(built, "pulumi")
    digest = sums or hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "pulumi-3.258.0-checksums.txt").write_text(f"{'1' * 64}  other.tar.gz\n{digest}  {archive.name}\n")
    return folder.as_uri()


def test_a_recent_cli_on_path_wins(machine: Machine) -> None:
    """The user's CLI is used, which is printed once."""
    install(machine, machine.commands)
    install(machine, machine.home / ".pulumi/bin")
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 0
    assert f"Pulumi CLI 3.270.1 from {machine.commands} (on PATH)" in answer.stdout
    assert chosen(machine) == str(machine.commands)
    assert machine.run("tools/pulumi-cli.sh").stdout == ""


@pytest.mark.parametrize(
    ("script", "host", "why"),
    [
        ("echo v3.257.9", True, "is 3.257.9, older than 3.258.0"),
        (RECENT, False, f"has no {HOST} beside the CLI"),
        ("exit 1", True, "does not run"),
    ],
)
def test_an_unusable_cli_is_skipped_and_named(machine: Machine, script: str, host: bool, why: str) -> None:
    """An old or incomplete CLI on PATH is neither used nor replaced; a usable one in Pulumi's home is used."""
    install(machine, machine.commands, script, host=host)
    offline(machine)
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 1
    assert why in answer.stderr
    install(machine, machine.home / ".pulumi/bin")
    assert "(in Pulumi's home)" in machine.run("tools/pulumi-cli.sh").stdout


@pytest.mark.parametrize("host", ["opt", "bin"])
def test_a_cli_that_is_only_linked_on_path_is_used(machine: Machine, tmp_path: Path, host: str) -> None:
    """Its language host is beside the link's target, or on PATH, where Pulumi finds it."""
    place = tmp_path / "opt" / "pulumi"
    machine.command("pulumi", RECENT, place)
    (machine.commands / "pulumi").symlink_to(place / "pulumi")
    machine.command(HOST, "exit 0", place if host == "opt" else machine.commands)
    offline(machine)
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 0, answer.stderr
    assert chosen(machine) == str(place)


def test_no_go_and_no_download(machine: Machine) -> None:
    """The message has each attempt with its error, and no scratch folder stays."""
    offline(machine)
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 1
    assert "Could not resolve host: get.pulumi.com" in answer.stderr
    assert "build: Go is not installed" in answer.stderr
    assert "https://www.pulumi.com/docs/install" in answer.stderr
    assert machine.unfinished() == []
    assert not (machine.home / ".pulumi").exists() or not list((machine.home / ".pulumi").iterdir())
    assert not (machine.repository / ".tools/pulumi-bin").exists()


def test_the_official_release_is_checked_and_installed(machine: Machine, tmp_path: Path) -> None:
    """A release with the published checksum is installed into Pulumi's home."""
    address = release(machine, tmp_path / "release")
    answer = machine.run("tools/pulumi-cli.sh", HERMES_FLEET_PULUMI_RELEASES=address)
    assert answer.code == 0, answer.stderr
    assert "(official release)" in answer.stdout
    assert chosen(machine) == str(machine.home / ".pulumi/bin")
    assert (machine.home / ".pulumi/bin" / HOST).exists()
    assert machine.unfinished() == []


def test_a_machine_without_curl_downloads_with_python(machine: Machine, tmp_path: Path) -> None:
    """The Python environment is set up before the CLI."""
    machine.lacks("curl")
    python = machine.repository / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    address = release(machine, tmp_path / "release")
    answer = machine.run("tools/pulumi-cli.sh", HERMES_FLEET_PULUMI_RELEASES=address)
    assert answer.code == 0, answer.stderr
    assert "(official release)" in answer.stdout


def test_an_altered_release_is_refused(machine: Machine, tmp_path: Path) -> None:
    """A download with another checksum is an error; nothing is built instead."""
    address = release(machine, tmp_path / "release", sums="2" * 64)
    machine.command("go", "exit 0")
    answer = machine.run("tools/pulumi-cli.sh", HERMES_FLEET_PULUMI_RELEASES=address)
    assert answer.code == 1
    assert "differs from its published checksum" in answer.stderr
    assert machine.called("go") == []
    assert not (machine.home / ".pulumi/bin").exists()
    assert machine.unfinished() == []


def go(machine: Machine, sdk: Path, caches: Path) -> None:
    """Stub a Go that builds, with its caches in a folder, and records its cache settings."""
    for name in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        machine.command(Path(name).name, "exit 0", (sdk / name).parent)
    machine.command(
        "go",
        'echo "go-settings $GOMODCACHE $GOCACHE $GOFLAGS" >>"' + str(machine.calls) + '"\n'
        'case "$*" in\n'
        "  'env GOVERSION') echo go1.26.8 ;;\n"
        f"  'env GOMODCACHE') echo {caches}/mod ;;\n"
        f"  'env GOCACHE') echo {caches}/build ;;\n"
        f"  list*) echo {sdk} ;;\n"
        '  build*) while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\\necho v3.258.0" >"$2"; chmod 755 "$2" ;;\n'
        "esac",
    )


def test_it_is_built_where_go_is_present(machine: Machine, tmp_path: Path) -> None:
    """The build makes the CLI, its language host, and two files beside it, in the user's Go caches."""
    offline(machine)
    go(machine, tmp_path / "sdk", tmp_path / "caches")
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 0, answer.stderr
    assert "(built from the pinned Go modules)" in answer.stdout
    files = sorted(file.name for file in (machine.home / ".pulumi/bin").iterdir())
    assert files == ["pulumi", HOST, f"{HOST}-exec", "pulumi-resource-pulumi-python"]
    assert set(machine.called("go-settings")) == {"  "}
    assert machine.unfinished() == []


def test_go_gets_other_caches_where_the_users_are_read_only(machine: Machine, tmp_path: Path) -> None:
    """They are below .tools and can be deleted."""
    offline(machine)
    (tmp_path / "in the way").touch()
    go(machine, tmp_path / "sdk", tmp_path / "in the way")
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 0, answer.stderr
    tools = machine.repository / ".tools"
    assert machine.called("go-settings")[-1] == f"{tools}/go/mod {tools}/go/build  -modcacherw"


def test_an_interrupted_copy_is_removed_by_the_next(machine: Machine, tmp_path: Path) -> None:
    """None of its files gets into Pulumi's home."""
    half_made = machine.home / ".pulumi/bin.new"
    install(machine, half_made, "exit 1")
    (half_made / "old").touch()
    answer = machine.run("tools/pulumi-cli.sh", HERMES_FLEET_PULUMI_RELEASES=release(machine, tmp_path / "release"))
    assert answer.code == 0, answer.stderr
    assert sorted(file.name for file in (machine.home / ".pulumi/bin").iterdir()) == ["pulumi", HOST]
    assert machine.unfinished() == []


def test_a_build_on_a_full_disk(machine: Machine) -> None:
    """The message has the compiler's error, and no scratch folder stays."""
    offline(machine)
    machine.command(
        "go", 'case "$*" in build*) echo "write /tmp/go-build: no space left on device" >&2; exit 1 ;; esac'
    )
    answer = machine.run("tools/pulumi-cli.sh")
    assert answer.code == 1
    assert "no space left on device" in answer.stderr
    assert "df -h" in answer.stderr
    assert machine.unfinished() == []


def test_an_old_cli_in_pulumis_home_stays(machine: Machine, tmp_path: Path) -> None:
    """Other projects may depend on it; the new one is installed below .tools."""
    install(machine, machine.home / ".pulumi/bin", "echo v3.100.0")
    address = release(machine, tmp_path / "release")
    answer = machine.run("tools/pulumi-cli.sh", HERMES_FLEET_PULUMI_RELEASES=address)
    assert answer.code == 0, answer.stderr
    assert chosen(machine) == str(machine.repository / ".tools/pulumi/bin")
    assert "v3.100.0" in (machine.home / ".pulumi/bin/pulumi").read_text()

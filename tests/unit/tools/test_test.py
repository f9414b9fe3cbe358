from tests.support.machine import Machine


def test_a_piece_that_cannot_be_had_costs_no_other(machine: Machine) -> None:
    """Neither the CLI nor Docker nor a single package: what there is runs, and each piece is named."""
    machine.user(0)
    machine.command("apt-get", "echo 'E: Package has no installation candidate' >&2; exit 100")
    machine.command("dpkg", "exit 1")
    machine.command("nproc", "echo 2")
    machine.command(
        "python3",
        'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; ln -s "$0" "$3/bin/pip"\n'
        'printf \'#!/bin/bash\\n[ "$2" != pytest ] || echo "pytest runs"\\n\' >"$3/bin/python"\n'
        'chmod 755 "$3/bin/python"; fi',
    )
    (machine.repository / "requirements-dev.lock").write_text("a==1\n")
    answer = machine.run("tools/test.sh")
    assert answer.code == 0, answer.complained
    assert answer.said.splitlines()[-1] == "pytest runs"
    assert "going on without Docker" in answer.said
    assert answer.complained.count("no installation candidate") >= 4
    assert machine.leftovers() == []

"""What an operator is told about a family that does not turn healthy: its last health output and log lines."""

from contextlib import closing

from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from fleet import host, naming
from fleet.container.credentials import redaction_for
from fleet.errors import FleetError
from fleet.redaction import printable
from fleet.registry import Family
from fleet.settings import Settings


def gate_report(family: Family, settings: Settings) -> str:
    """Return the report on a family whose container failed to start or to turn healthy, secrets redacted.

    Never raises: an error here would hide the failure itself.
    """
    name = naming.container_name(family.id)
    try:
        with closing(host.connect()) as client:
            lines = _report(client.containers.get(name))
    except NotFound:
        lines = [f"there is no container {name}"]
    except (FleetError, DockerException, OSError) as error:
        lines = [f"its container cannot be inspected: {error}"]
    head = f"family {family.name} ({name}) did not pass its gate; families in later waves were not touched"
    fix = (
        "fix: remove the cause and run up again, which gates just this family again. To let the others go on, set "
        f"`state: suspended` for {family.name} in the registry"
    )
    return redaction_for(settings, [family]).apply("\n".join([head, *lines, fix]))


def _report(container: Container) -> list[str]:
    state = container.attrs["State"]
    status = f"state: {state['Status']}, exit code {state['ExitCode']}"
    if state.get("Error"):
        status += f", error: {printable(state['Error'])}"
    checks = (state.get("Health") or {}).get("Log") or []
    last = checks[-1] if checks else None
    health = f"exit {last['ExitCode']}: {printable(last['Output'].strip())}" if last else "no check has run yet"
    log = container.logs(tail=30).decode(errors="replace").splitlines()
    # A CI system obeys a line that begins with `::`, also after blanks.
    quoted = [f"  | {printable(line)}" for line in log]
    return [status, f"last health output: {health}", f"last {len(log)} log lines:", *quoted]

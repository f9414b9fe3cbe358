"""What an operator is told about a family that does not turn healthy: its last health output and log lines."""

import docker
from docker.errors import DockerException, NotFound

from fleet.redaction import Redaction, printable

LOG_LINES = 30


def gate_report(client: docker.DockerClient, container: str, family: str, redaction: Redaction) -> str:
    """Return the report on a container that failed to start or to turn healthy, secrets redacted.

    Never raises: an error here would hide the failure itself.
    """
    try:
        lines = _report(client, container)
    except NotFound:
        lines = [f"there is no container {container}"]
    except (DockerException, OSError) as error:
        lines = [f"its container cannot be inspected: {error}"]
    head = f"family {family} ({container}) did not pass its gate; families in later waves were not touched"
    fix = (
        "fix: remove the cause and run up again, which gates just this family again. To let the others go on, set "
        f"`state: suspended` for {family} in the registry"
    )
    return redaction.apply("\n".join([head, *lines, fix]))


def _report(client: docker.DockerClient, name: str) -> list[str]:
    container = client.containers.get(name)
    state = container.attrs["State"]
    status = f"state: {state['Status']}, exit code {state['ExitCode']}"
    if state.get("Error"):
        status += f", error: {printable(state['Error'])}"
    checks = (state.get("Health") or {}).get("Log") or []
    last = checks[-1] if checks else None
    health = f"exit {last['ExitCode']}: {printable(last['Output'].strip())}" if last else "no check has run yet"
    log = container.logs(tail=LOG_LINES).decode(errors="replace").splitlines()
    # A CI system obeys a line that begins with `::`, also after blanks.
    quoted = [f"  | {printable(line)}" for line in log]
    return [status, f"last health output: {health}", f"last {len(log)} log lines:", *quoted]

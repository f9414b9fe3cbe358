"""What to tell an operator when a family does not turn healthy: its last health answer and its last log lines."""

import docker
from docker.errors import DockerException, NotFound

from fleet.redaction import Redaction, printable

LOG_LINES = 30


def gate_report(client: docker.DockerClient, container: str, family: str, mask: Redaction) -> str:
    """Return the report on a family whose container failed to start or to turn healthy, secrets masked.

    Never raises: it is read in place of an error, and must not hide one.
    """
    try:
        lines = _report(client, container)
    except NotFound:
        lines = [f"there is no container {container}"]
    except (DockerException, OSError) as error:
        lines = [f"its container cannot be inspected: {error}"]
    head = f"family {family} ({container}) did not pass its gate; families in later waves were not touched"
    mend = (
        "mend the cause and run the same up again: it gates just this family again. To let the others go on, set "
        f"`state: suspended` for {family} in the registry"
    )
    return mask.apply("\n".join([head, *lines, mend]))


def _report(client: docker.DockerClient, name: str) -> list[str]:
    container = client.containers.get(name)
    state = container.attrs["State"]
    status = f"state: {state['Status']}, exit code {state['ExitCode']}"
    if state.get("Error"):
        status += f", error: {printable(state['Error'])}"
    health = (state.get("Health") or {}).get("Log") or []
    answer = health[-1] if health else None
    checked = f"exit {answer['ExitCode']}: {printable(answer['Output'].strip())}" if answer else "no check has run yet"
    log = container.logs(tail=LOG_LINES).decode(errors="replace").splitlines()
    # A CI system obeys a line that begins with `::`, whatever blanks stand before it.
    quoted = [f"  | {printable(line)}" for line in log]
    return [status, f"last health output: {checked}", f"last {len(log)} log lines:", *quoted]

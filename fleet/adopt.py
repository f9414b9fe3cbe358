"""Takes over a fleet that was started by `docker run`: its containers make way, its volumes stay.

A container that this project did not make cannot be changed into one that it did. So each is stopped with grace and
removed, by ID; the next `pulumi up` declares the family on the volume that stayed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import docker
from docker.errors import APIError, NotFound

from fleet import naming
from fleet.errors import FleetError, Problem
from fleet.host import ContainerSummary, Inventory
from fleet.naming import DATA
from fleet.registry import Family

STOP_GRACE_SECONDS = 30


@dataclass(frozen=True)
class Candidate:
    """A container to take over, and the family it belongs to."""

    family: Family
    seen: ContainerSummary


def candidates(families: Iterable[Family], host: Inventory) -> list[Candidate]:
    """Return the families' containers that carry no stack's label; those of any stack are not ours to take."""
    found = ((family, host.container(family.id)) for family in families)
    return [Candidate(family, seen) for family, seen in found if seen and naming.LABEL_STACK not in seen.labels]


def check(client: docker.DockerClient, found: Iterable[Candidate]) -> None:
    """Raise FleetError, with every problem, where removing a container would leave a family's data behind.

    A container that is gone by now is no problem: `adopt` says so.
    """
    problems = [problem for candidate in found if (problem := _problem(client, candidate))]
    if problems:
        raise FleetError(problems)


def _problem(client: docker.DockerClient, candidate: Candidate) -> Problem | None:
    try:
        mounts = client.api.inspect_container(candidate.seen.id)["Mounts"]
    except NotFound:
        return None
    except (APIError, OSError) as error:
        return _failed(candidate, error)
    data = next((mount for mount in mounts if mount["Destination"].rstrip("/") == DATA), None)
    wanted = naming.volume_name(candidate.family.id)
    if data and data.get("Type") == "volume" and data.get("Name") == wanted:
        return None
    lies = f"in {data.get('Name') or data.get('Source')}" if data else "inside the container"
    what = (
        f"its data lies {lies}, not in volume {wanted}; nothing was touched. Stop it and copy the data first: "
        f"docker cp -a {candidate.seen.name}:{DATA}/. - | "
        f"docker run --rm -i -v {wanted}:{DATA} --entrypoint tar IMAGE -x -C {DATA}; "
        f"then: docker rename {candidate.seen.name} old-{candidate.family.name}"
    )
    return Problem(_place(candidate), what)


def adopt(client: docker.DockerClient, found: Iterable[Candidate], say: Callable[[str], None]) -> None:
    """Stop each container with grace and remove it by ID. Volumes are never removed.

    Raises FleetError with those that failed, after all were tried.
    """
    problems = []
    for candidate in found:
        try:
            client.api.stop(candidate.seen.id, timeout=STOP_GRACE_SECONDS)
            client.api.remove_container(candidate.seen.id, v=False, force=False)
        except NotFound:
            say(f"{candidate.family.name}: its container is gone already")
            continue
        except (APIError, OSError) as error:
            problems.append(_failed(candidate, error))
            continue
        volume = naming.volume_name(candidate.family.id)
        say(f"{candidate.family.name}: container {candidate.seen.id[:12]} stopped and removed, volume {volume} kept")
    if problems:
        raise FleetError(problems)


def _failed(candidate: Candidate, error: Exception) -> Problem:
    """Return what Docker said against it, or that it said nothing."""
    if isinstance(error, APIError):
        return Problem(_place(candidate), str(error.explanation or error))
    return Problem(_place(candidate), f"docker: no answer ({error}); run the same command again")


def _place(candidate: Candidate) -> str:
    return f"{candidate.family.name}: container {candidate.seen.name}"

"""Brings images to the host before anything is declared.

The provider deletes the old container before it finds out that the new image cannot be had. So a roll pulls first,
and fails there with every container untouched.
"""

from collections.abc import Callable, Iterable

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from urllib3.exceptions import HTTPError

from fleet.errors import FleetError, Problem

Log = Callable[[str], None]


def ensure_images(client: docker.DockerClient, references: Iterable[str], say: Log) -> None:
    """Pull each image that the host lacks; `say` hears of the progress. Raises FleetError with all that failed."""
    problems = []
    for reference in sorted(set(references)):
        try:
            if not _present(client, reference):
                _pull(client, reference, say)
        except (DockerException, HTTPError, OSError) as error:  # a pull is read past docker-py, from its connection
            why = getattr(error, "explanation", None) or str(error)
            what = (
                f"is not on the Docker host and cannot be pulled ({why}); no container was touched. Mend it with: "
                f"docker pull {reference}, or pulumi config set hermes-fleet:image REFERENCE"
            )
            problems.append(Problem(f"image {reference}", what))
    if problems:
        raise FleetError(problems)


def _present(client: docker.DockerClient, reference: str) -> bool:
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient, reference: str, say: Log) -> None:
    say(f"pulling {reference}")
    total, done = set(), set()
    for event in client.api.pull(*_name_and_tag(reference), stream=True, decode=True):
        if "error" in event:
            raise APIError(event["error"], explanation=event["error"])
        layer, status = event.get("id"), event.get("status")
        if layer and status == "Pulling fs layer":
            total.add(layer)
        if layer and status in {"Pull complete", "Already exists"} and layer not in done:
            done.add(layer)
            say(f"pulling {reference}: {len(done)} of {len(total | done)} layers")


def _name_and_tag(reference: str) -> tuple[str, str | None]:
    """Split a reference as the pull call wants it: a digest stays with the name, no tag means latest."""
    if "@" in reference:
        return reference, None
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")

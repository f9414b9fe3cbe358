"""Pulls images before anything is declared.

The provider would delete the old container before it finds that the new image cannot be pulled. A roll that pulls first
fails with every container untouched.
"""

from collections.abc import Callable, Iterable

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from urllib3.exceptions import HTTPError

from fleet.errors import FleetError, Problem

Log = Callable[[str], None]


def ensure_images(client: docker.DockerClient, references: Iterable[str], log: Log) -> None:
    """Pull each image that the host lacks and log the progress. Raises FleetError with all that failed."""
    problems = []
    for reference in sorted(set(references)):
        try:
            _ensure(client, reference, log)
        except (DockerException, HTTPError, OSError) as error:  # docker-py passes HTTPError on from a pull
            why = getattr(error, "explanation", None) or str(error)
            what = (
                f"is not on the Docker host and cannot be pulled ({why}); no container was touched; fix: "
                f"docker pull {reference}, or pulumi config set hermes-fleet:image REFERENCE"
            )
            problems.append(Problem(f"image {reference}", what))
    if problems:
        raise FleetError(problems)


def _ensure(client: docker.DockerClient, reference: str, log: Log) -> None:
    try:
        client.images.get(reference)
    except ImageNotFound:
        _pull(client, reference, log)


def _pull(client: docker.DockerClient, reference: str, log: Log) -> None:
    log(f"pulling {reference}")
    total, done = set(), set()
    for event in client.api.pull(reference, stream=True, decode=True):
        if "error" in event:
            raise APIError(event["error"], explanation=event["error"])
        layer, status = event.get("id"), event.get("status")
        if layer and status == "Pulling fs layer":
            total.add(layer)
        if layer and status in {"Pull complete", "Already exists"} and layer not in done:
            done.add(layer)
            log(f"pulling {reference}: {len(done)} of {len(total | done)} layers")

"""An image that cannot be pulled stops a roll before it begins."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import ImageNotFound
from urllib3.exceptions import ProtocolError

from fleet.errors import FleetError
from fleet.host.images import ensure_images


def test_a_pull_that_breaks_off_is_a_message() -> None:
    """The daemon was restarted meanwhile: docker-py passes its connection's error on."""

    def pull(*_: object, **__: object) -> Iterator[dict[str, str]]:
        yield {"id": "1", "status": "Pulling fs layer"}
        raise ProtocolError("Connection broken")

    def get(reference: str) -> None:
        raise ImageNotFound(reference)

    client: Any = SimpleNamespace(images=SimpleNamespace(get=get), api=SimpleNamespace(pull=pull))
    with pytest.raises(FleetError) as caught:
        ensure_images(client, ["hermes:1", "hermes:2"], lambda _: None)
    assert [problem.where for problem in caught.value.problems] == ["image hermes:1", "image hermes:2"]
    assert "Connection broken); no container was touched" in str(caught.value)

"""The uploads as they lie in a container."""

import io
import tarfile

import docker


def uploaded(client: docker.DockerClient, container: str) -> dict[str, tuple[bytes, int, int, int]]:
    """Return content, mode and owner of what is below /opt/fleet, by path from /opt; the container need not run."""
    stream, _ = client.api.get_archive(container, "/opt/fleet")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        found = {each.name: (tar.extractfile(each), each) for each in tar.getmembers()}
        return {key: (data.read() if data else b"", it.mode, it.uid, it.gid) for key, (data, it) in found.items()}

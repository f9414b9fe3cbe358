"""The registry as the reaper sees it: read again when the file changes; the last good one is kept when it is bad."""

import logging
import threading
from pathlib import Path
from uuid import UUID

from fleet.errors import FleetError
from fleet.registry import Family, Registry, load_registry

log = logging.getLogger("reaper")


class Families:
    """The families of a registry file."""

    def __init__(self, path: Path) -> None:
        """Read the registry. Raises FleetError where the first reading fails: there is no good one to keep."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._registry = load_registry(path)
        self.problem: str | None = None

    def _look(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def current(self) -> Registry:
        """Return the registry, read again if the file changed."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._registry = load_registry(self._path)
                    self.problem = None
                    log.info("the registry changed: %d families", len(self._registry.families))
                except FleetError as error:
                    self.problem = str(error)
                    log.error("the registry is refused, the last good one stays in force:\n%s", error)  # noqa: TRY400
                except Exception as error:  # a mistake of our own in the reading
                    self.problem = f"{self._path}: reading it failed ({type(error).__name__}: {error})"
                    log.exception("reading the registry failed, the last good one stays in force")
            return self._registry

    def by_id(self) -> dict[UUID, Family]:
        """Return the families by id."""
        return {family.id: family for family in self.current().families}

    def find(self, slug_or_uuid: str) -> Family | None:
        """Return a family by name or UUID, None where there is none."""
        try:
            return self.current().get(slug_or_uuid)
        except KeyError:
            return None

"""The reaper's view of the registry: reloaded when the file changes; an invalid file leaves the last valid one."""

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
        """Read the registry. Raises FleetError if it is invalid: there is no earlier one to keep."""
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stat()
        self._registry = load_registry(path)
        self.problem: str | None = None

    def _stat(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def current(self) -> Registry:
        """Return the registry, reloaded if the file changed."""
        with self._lock:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._registry = load_registry(self._path)
                    self.problem = None
                    log.info("the registry changed: %d families", len(self._registry.families))
                except FleetError as error:
                    self.problem = str(error)
                    log.error("the registry is invalid, the last valid one stays in force:\n%s", error)  # noqa: TRY400
                except Exception as error:  # a bug in the reader must not end the reaper
                    self.problem = f"{self._path}: cannot be read ({type(error).__name__}: {error})"
                    log.exception("the registry cannot be read, the last valid one stays in force")
            return self._registry

    def by_id(self) -> dict[UUID, Family]:
        """Return the families by id."""
        return {family.id: family for family in self.current().families}

    def find(self, slug_or_uuid: str) -> Family | None:
        """Return a family by name or UUID, None if there is none."""
        try:
            return self.current().get(slug_or_uuid)
        except KeyError:
            return None

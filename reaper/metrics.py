"""The reaper's Prometheus metrics, in a registry of their own."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY = (0.25, 0.5, 1, 1.5, 2, 3, 5, 8, 13, 20, 30, 60, 120)


class Metrics:
    """All series. Families are never a label: there can be thousands, and `explain` tells more about each."""

    def __init__(self) -> None:
        """Create every series at zero."""
        self.registry = CollectorRegistry()
        self.wakes = self._counter("wakes", "Families started, by reason", "reason")
        self.failed_wakes = self._counter("failed_wakes", "Starts that did not end in a healthy agent", "error")
        # Starting at 0: an alert on an increase does not see the first failure of a series that begins with it.
        for error in ("unknown", "suspended", "not_provisioned", "timed_out", "no_turn"):
            self.failed_wakes.labels(error)
        self.stops = self._counter("stops", "Families stopped, by reason", "reason")
        self.failed_stops = self._counter("failed_stops", "Stops that Docker did not carry out; they are retried")
        self.aborted_stops = self._counter("aborted_stops", "Stops aborted at the second reading, by reason", "reason")
        self.skips = self._counter("skips", "Running families left running at a sweep, by reason", "reason")
        self.unreadable = self._counter("unreadable_probes", "Probes that could not read a signal, by signal", "signal")
        self.heartbeats = self._counter("heartbeats", "Heartbeats received")
        self.refused = self._counter("refused_requests", "Requests refused, by status", "status")
        self.wake_seconds = Histogram(
            "hermes_reaper_wake_seconds",
            "Seconds from the request to a healthy agent, of families that had to be started",
            buckets=_LATENCY,
            registry=self.registry,
        )
        self.awake = self._gauge("awake_families", "Families whose container runs")
        self.asleep = self._gauge("asleep_families", "Families whose container does not run")
        self.missing = self._gauge("missing_families", "Families without a container of this stack")
        self.orphans = self._gauge("orphans", "Containers of an old deployment")
        self.last_sweep = self._gauge("last_sweep_timestamp_seconds", "When the last successful sweep ended")
        self.sweep_seconds = self._gauge("sweep_duration_seconds", "How long the last sweep took, its stops excluded")
        self.store_ok = self._gauge("store_ok", "1 while the store works; while it is 0, no family is stopped")
        self.registry_ok = self._gauge("registry_ok", "0 while the registry is invalid and the last valid one is used")
        self.daemon_ok = self._gauge("docker_ok", "1 while the Docker daemon answers")
        self.cron_unread = self._gauge("cron_unread", "Sleeping families whose schedule cannot be read")
        self._volumes = Gauge(
            "hermes_reaper_volume_bytes", "Size of a family's volume", ["volume"], registry=self.registry
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"hermes_reaper_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"hermes_reaper_{name}", text, registry=self.registry)

    def set_volumes(self, sizes: Mapping[str, int]) -> None:
        """Set the sizes of the volumes in bytes; volumes that are gone are dropped."""
        self._volumes.clear()
        for name, size in sizes.items():
            self._volumes.labels(name).set(size)

    def text(self) -> bytes:
        """Return every series in Prometheus' text format."""
        return generate_latest(self.registry)

"""The files of `deploy/`, validated by the programs that read them and compared with the code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reaper.metrics import Metrics
from reaper.settings import load_settings
from tests.support.setup.machine import ROOT

DEPLOY = ROOT / "deploy"
# Exposure level of `systemd-analyze security`: 0 is fully sandboxed, 10 is not sandboxed.
MOST_EXPOSED = 2.0


def needed(program: str, package: str) -> str:
    """Return the path of a program; skip the test where it is missing."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"no {program}; get it with: apt-get install --no-install-recommends {package}")
    return found


def run(*words: str, **values: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, **values)


def rules() -> list[dict[str, Any]]:
    """Return every alert rule."""
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def series(metrics: Metrics) -> set[str]:
    """Return the names of all series that the reaper can export."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {f"{kind.name}{end}" for kind in metrics.registry.collect() for end in suffixes.get(kind.type, ("",))}


def test_alerts_use_existing_series() -> None:
    """The reaper exports each series of a rule, and starts failed wakes at 0, so that the first one is an increase."""
    metrics = Metrics()
    for rule in rules():
        names = set(re.findall(r"\bhermes_reaper_\w+", rule["expr"]))
        assert names, rule["alert"]
        assert names <= series(metrics), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
    picked = re.findall(r'(hermes_reaper_\w+\{\w+="\w+"\})', " ".join(rule["expr"] for rule in rules()))
    assert picked
    assert all(f"{each} 0.0" in metrics.text().decode() for each in picked)


# The series that make each alert fire, with their values by minute; all others are those of a healthy reaper.
FIRING = {
    "ReaperDown": {'up{job="hermes-reaper"}': "0x200"},
    "ReaperSweepOld": {"hermes_reaper_last_sweep_timestamp_seconds": "60x200"},
    "ReaperStoreFails": {"hermes_reaper_store_ok": "0x200"},
    "ReaperDockerAway": {"hermes_reaper_docker_ok": "0x200"},
    "ReaperRegistryRefused": {"hermes_reaper_registry_ok": "0x200"},
    "ReaperFailedWakes": {'hermes_reaper_failed_wakes_total{error="timed_out"}': "0x190 1x9"},
    "ReaperWakesSlow": {
        'hermes_reaper_wake_seconds_bucket{le="20.0"}': "0+1x200",
        'hermes_reaper_wake_seconds_bucket{le="30.0"}': "0+4x200",
        'hermes_reaper_wake_seconds_bucket{le="+Inf"}': "0+4x200",
    },
    "ReaperFailedStops": {"hermes_reaper_failed_stops_total": "0+1x200"},
    "ReaperUnreadable": {
        'hermes_reaper_unreadable_probes_total{signal="human"}': "0+0.3x200",
        'hermes_reaper_unreadable_probes_total{signal="any"}': "0+0.3x200",
    },
    "ReaperSchedulesUnread": {"hermes_reaper_cron_unread": "1x200"},
    "ReaperFlapping": {
        'hermes_reaper_wakes_total{reason="heartbeat"}': "0+0.5x200",
        'hermes_reaper_wakes_total{reason="ensure"}': "0+0.5x200",
    },
}
WELL = {
    'up{job="hermes-reaper"}': "1x200",
    "hermes_reaper_last_sweep_timestamp_seconds": "0+60x200",
    "hermes_reaper_store_ok": "1x200",
    "hermes_reaper_docker_ok": "1x200",
    "hermes_reaper_registry_ok": "1x200",
    "hermes_reaper_cron_unread": "0x200",
    "hermes_reaper_awake_families": "4x200",
    "hermes_reaper_asleep_families": "6x200",
    "hermes_reaper_failed_stops_total": "0x200",
    'hermes_reaper_failed_wakes_total{error="timed_out"}': "0x200",
    'hermes_reaper_wakes_total{reason="ensure"}': "0+0.1x200",
}


def test_each_alert_fires_when_it_should_and_then_alone(tmp_path: Path) -> None:
    """`promtool test rules` simulates three hours with one fault, and three without any."""
    program = needed("promtool", "prometheus")
    summaries = {rule["alert"]: rule for rule in rules()}
    assert set(FIRING) == set(summaries)
    played = []
    for wrong, values in [*FIRING.items(), ("", {})]:
        expected = []
        for name, rule in summaries.items():
            labels = {"severity": rule["labels"]["severity"], **({} if name == "ReaperWakesSlow" else LABELS)}
            labels |= {"error": "timed_out"} if name == "ReaperFailedWakes" else {}
            alert = {"exp_labels": labels, "exp_annotations": rule["annotations"]}
            expected.append({"eval_time": "195m", "alertname": name, "exp_alerts": [alert] if name == wrong else []})
        told = [{"series": _labelled(name), "values": text} for name, text in {**WELL, **values}.items()]
        played.append(
            {"interval": "1m", "name": wrong or "all is well", "input_series": told, "alert_rule_test": expected}
        )
    file = tmp_path / "alerts.test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(DEPLOY / "alerts.yaml")], "tests": played}))
    done = run(program, "test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


LABELS = {"job": "hermes-reaper", "instance": "host:8765"}


def _labelled(name: str) -> str:
    """Return a series as Prometheus stores it, with the labels of its target."""
    plain, _, own = name.partition("{")
    labels = {**LABELS, **dict(re.findall(r'(\w+)="([^"]*)"', own))}
    told = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{plain}{{{told}}}"


def test_the_alerts_are_valid() -> None:
    """For `promtool check rules`."""
    done = run(needed("promtool", "prometheus"), "check", "rules", str(DEPLOY / "alerts.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return a copy of the unit that runs this Python."""
    text = (DEPLOY / "hermes-reaper.service").read_text()
    assert "ExecStart=/opt/hermes-fleet/.venv/bin/python -m reaper run\n" in text
    made = tmp_path / "hermes-reaper.service"
    made.write_text(text.replace("/opt/hermes-fleet/.venv/bin/python", sys.executable))
    return made


def test_the_unit_is_valid(unit: Path) -> None:
    """For `systemd-analyze verify`."""
    done = run(needed("systemd-analyze", "systemd"), "verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_sandboxes_the_reaper(unit: Path) -> None:
    """For `systemd-analyze security`."""
    program = needed("systemd-analyze", "systemd")
    limit = f"--threshold={MOST_EXPOSED * 10:.0f}"
    done = run(program, "security", "--offline=true", "--no-pager", limit, str(unit))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd does not judge files; run the tests where it is 250 or later")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


@pytest.fixture
def services() -> dict[str, dict[str, Any]]:
    """Return the services of the compose file."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


def test_only_the_proxy_has_the_socket_and_no_service_a_spare_capability(
    services: dict[str, dict[str, Any]],
) -> None:
    """The reaper uses Docker through the proxy alone; both are read-only and cannot gain privileges."""
    with_socket = [name for name, service in services.items() if "docker.sock" in str(service["volumes"])]
    assert with_socket == ["socket-proxy"]
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert "privileged" not in service
        assert not service.get("container_name", "").startswith("hermes-user-")


def test_only_the_reaper_reaches_the_proxy(services: dict[str, dict[str, Any]]) -> None:
    """It listens in a shared volume that only root and the reaper's group can enter, and not on TCP."""
    listens = re.findall(r"^\s*listen (.+);", (DEPLOY / "socket-proxy.conf").read_text(), re.MULTILINE)
    assert listens == ["unix:/run/docker-proxy/docker.sock"]
    assert services["reaper"]["environment"]["DOCKER_HOST"] == "unix:///run/docker-proxy/docker.sock"
    for service in services.values():
        assert "${SOCKET_DIR:-docker-proxy}:/run/docker-proxy" in service["volumes"]
    assert services["socket-proxy"]["network_mode"] == "none"
    volume = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["volumes"]["docker-proxy"]["driver_opts"]
    assert volume["type"] == "tmpfs"
    assert volume["o"].startswith("mode=0750,uid=0,gid=10100,")
    assert services["reaper"]["group_add"] == ["10100"]


def test_the_compose_file_has_every_setting_of_the_reaper(services: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """With the stack's name from `env` and the secrets mounted, no setting is missing."""
    environment = {**services["reaper"]["environment"], "HERMES_FLEET_STACK": "prod"}
    for name, value in environment.items():
        if name.endswith("_FILE"):
            secret = tmp_path / Path(value).name
            assert secret.name in services["reaper"]["secrets"]
            secret.write_text("5" * 64)
            environment[name] = str(secret)
    assert load_settings(tmp_path, environment).stack == "prod"


def test_the_compose_file_is_valid(tmp_path: Path) -> None:
    """For `docker compose config`."""
    docker = shutil.which("docker")
    plugin = docker and run(docker, "compose", "version").returncode == 0
    words = [docker or "", "compose"] if plugin else [needed("docker-compose", "docker-compose")]
    (tmp_path / "deploy").mkdir()
    shutil.copy(DEPLOY / "compose.yaml", tmp_path / "deploy")
    (tmp_path / "deploy" / "env").write_text("HERMES_FLEET_STACK=prod\n")
    done = run(*words, "-f", "deploy/compose.yaml", "config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"]["reaper"]["read_only"] is True

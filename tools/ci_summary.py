"""Summarizes a test run, and fails where a test that matters did not run.

Usage: python tools/ci_summary.py REPORT, which is pytest's junit file. Exits with 1 where a test was skipped for a
reason that is not in ALLOWED_SKIPS, a test file has no result, or no test of a layer or on a real agent passed.
"""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
DOCKER_LAYERS = ("engine", "e2e")
LAYERS = ("unit", *DOCKER_LAYERS)
PROVIDERS = ("official", "offline")

# Patterns of whole reasons, each with why a CI machine may lack what the test needs.
ALLOWED_SKIPS = {
    r"no official docker provider, get it with: make setup": "its download may be refused",
    r"no promtool; .*": "its package would start a Prometheus server",
    r"no docker-compose; .*": "make test does not install it beside Docker",
    r"no systemd-analyze; .*": "a container has no systemd",
    r"this systemd does not judge files; .*": "older releases have an older systemd",
    r"no image python:3\.12-slim; .*": "it needs an image registry, or Debian 12",
    r"no package index can be reached from a build; .*": "a build may have no network",
    r".*; get it with: sysctl net\.ipv6\.conf\.lo\.disable_ipv6=0": "a container cannot change the kernel's settings",
}
# So many tests are named under each reason.
NAMED = 5


@dataclass(frozen=True)
class Case:
    """A test's result. `parameters` are the words in the brackets after its name, `reason` why it was skipped."""

    module: str
    name: str
    passed: bool
    reason: str | None

    @property
    def layer(self) -> str:
        """Return the layer, `other` for what is outside all of them."""
        return next((part for part in self.module.split(".") if part in LAYERS), "other")

    @property
    def parameters(self) -> set[str]:
        """Return the words of its parameters."""
        found = re.search(r"\[(.*)\]", self.name)
        return set(re.split(r"[-\s]", found[1])) if found else set()

    @property
    def agents(self) -> list[str]:
        """Return the versions of the real agents that it ran on."""
        versions = sorted(word for word in self.parameters if re.fullmatch(r"\d+\.\d+(\.\d+)?", word))
        s6 = " (s6)" if "s6" in self.parameters else ""
        return [version + s6 for version in versions] if self.layer == "e2e" else []


def read(report: Path) -> Iterator[Case]:
    """Yield the results of pytest's junit file."""
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own file
        skipped = case.find("skipped")
        passed = all(case.find(outcome) is None for outcome in ("skipped", "failure", "error"))
        reason = None if skipped is None else skipped.get("message", "")
        yield Case(case.get("classname", ""), case.get("name", ""), passed, reason)


def test_modules(tests: Path) -> Iterator[str]:
    """Yield the modules of all test files, as pytest's report names them."""
    for file in sorted(tests.rglob("test_*.py")):
        yield ".".join(file.relative_to(tests.parent).with_suffix("").parts)


def allowed(reason: str) -> bool:
    """Return whether CI may be without what a test lacked."""
    return any(re.fullmatch(pattern, reason, re.DOTALL) for pattern in ALLOWED_SKIPS)


def problems(cases: Sequence[Case], modules: Sequence[str]) -> Iterator[str]:
    """Yield what should have run and did not; `modules` are those of all test files."""
    wrongly: dict[str, list[str]] = {}
    for case in cases:
        if case.reason is not None and not allowed(case.reason):
            wrongly.setdefault(case.reason, []).append(f"{case.module}::{case.name}")
    for reason, names in sorted(wrongly.items()):
        yield f"{len(names)} skipped: {reason}" + "".join(f"\n    {name}" for name in names[:NAMED])
    ran = {case.module for case in cases}
    for module in modules:
        if not any(each == module or each.startswith(f"{module}.") for each in ran):
            yield f"no result of {module}"
    for layer in LAYERS:
        if not any(case.passed for case in cases if case.layer == layer):
            yield f"no test of tests/{layer} passed"
    if not any(case.passed and case.agents for case in cases):
        yield "no test on a real hermes-agent passed"


def summary(cases: Sequence[Case]) -> Iterator[str]:
    """Yield how many tests passed by layer, provider and agent, and which were skipped for an allowed reason."""
    passed = [case for case in cases if case.passed]
    layers = Counter(case.layer for case in passed)
    yield "passed: " + ", ".join(f"{layer} {layers[layer]}" for layer in LAYERS)
    for provider in PROVIDERS:
        on = Counter(case.layer for case in passed if provider in case.parameters)
        counts = ", ".join(f"{layer} {on[layer]}" for layer in DOCKER_LAYERS if on[layer])
        yield f"on the {provider} docker provider: {counts or 'no test'}"
    for agent, number in sorted(Counter(agent for case in passed for agent in case.agents).items()):
        yield f"on the real hermes-agent {agent}: {number}"
    reasons = Counter(case.reason for case in cases if case.reason is not None and allowed(case.reason))
    for reason, number in sorted(reasons.items()):
        yield f"skipped {number}: {reason}"


def main(words: list[str]) -> int:
    """Print the summary; return 1 where a test that matters did not run."""
    cases = list(read(Path(words[0])))
    for line in summary(cases):
        print(line)
    found = list(problems(cases, list(test_modules(TESTS))))
    for problem in found:
        print(f"error: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

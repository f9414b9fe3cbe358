"""Says how many tests passed on which provider and which agent, and fails where that is too few.

Usage: python tools/ci_summary.py REPORT engine=FLOOR e2e=FLOOR agents=FLOOR. REPORT is pytest's junit file; `agents`
stands for the tests on real agents, `engine` for those of the engine on the provider that most of them ran on.
"""

import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

LAYERS = ("unit", "engine", "e2e")
PROVIDERS = ("official", "offline")


def words(name: str) -> set[str]:
    """Return the words of a test's parameters, in brackets after its name; behind them may stand `@` and a group."""
    found = re.search(r"\[(.*)\]", name)
    return set(re.split(r"[-\s]", found[1])) if found else set()


def count(report: Path) -> tuple[Counter[str], Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """Return the passed tests by layer, by provider and layer, by agent; and the layers' skipped tests."""
    layers: Counter[str] = Counter()
    providers: Counter[tuple[str, str]] = Counter()
    agents: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own file
        layer = next((part for part in case.get("classname", "").split(".") if part in LAYERS), "other")
        if case.find("skipped") is not None:
            skipped[layer] += 1
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            continue
        layers[layer] += 1
        parameters = words(case.get("name", ""))
        for provider in parameters & set(PROVIDERS):
            providers[provider, layer] += 1
        if layer == "e2e":
            for agent in sorted(word for word in parameters if re.fullmatch(r"\d+\.\d+(\.\d+)?", word)):
                agents[f"{agent} (s6)" if "s6" in parameters else agent] += 1
    return layers, providers, agents, skipped


def main(words_given: list[str]) -> int:
    """Print the summary; return 1 where a floor is not reached."""
    report, floors = Path(words_given[0]), dict(word.split("=") for word in words_given[1:])
    layers, providers, agents, skipped = count(report)
    print("passed: " + ", ".join(f"{layer} {layers[layer]}" for layer in LAYERS))
    if skipped:
        print("skipped: " + ", ".join(f"{layer} {number}" for layer, number in sorted(skipped.items())))
    for provider in PROVIDERS:
        tested = ", ".join(f"{layer} {providers[provider, layer]}" for layer in LAYERS if providers[provider, layer])
        if tested:
            print(f"on the {provider} docker provider: {tested}")
    for agent, number in sorted(agents.items()):
        print(f"on the real hermes-agent {agent}: {number}")
    if not any(providers["official", layer] for layer in LAYERS):
        print("not tested on the official provider")
    if not agents:
        print("not tested on a real hermes-agent")
    on_one_provider = max(providers[provider, "engine"] for provider in PROVIDERS)
    passed = Counter({**layers, "engine": on_one_provider, "agents": sum(agents.values())})
    short = [
        f"{what} {passed[what]} of at least {floor}" for what, floor in floors.items() if passed[what] < int(floor)
    ]
    if short:
        print(f"error: too few tests passed: {', '.join(short)}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a preview shows of a family: everything that its container depends on, and no secret."""

import json

from fleet.container import spec_for
from tests.support.fleet.families import make_family, make_settings

PLANTED = "sk-PLANTED/visible+key"


def test_a_preview_sees_what_a_container_depends_on_and_no_secret() -> None:
    """Every part by name, and a digest of the credentials, which differs for another key."""
    family = make_family(name="ash", env={"GREETING": "hello"}, dashboard=True)
    shown = [spec_for(family, make_settings(llm_api_key=key)).shown for key in (PLANTED, f"{PLANTED}-2")]
    first, second = shown
    assert first["gateway"] == {"dashboard": True, "supervise": True}
    assert (first["family"], first["env"], first["state"]) == ("ash", {"GREETING": "hello"}, "active")
    assert set(first) >= {"image", "hermesLine", "config", "identity", "toolsets", "limits", "credentials", "plugins"}
    assert "_config_version" in first["config"]
    assert {name for name in first if first[name] != second[name]} == {"credentials"}
    assert PLANTED not in json.dumps(shown)

"""The names under which Hermes looks for keys."""

import pytest

from fleet.hermes.providers import PROVIDERS, provider


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("openrouter", "OPENROUTER_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("openai-api", "OPENAI_API_KEY"),
        ("openai", "OPENAI_API_KEY"),
        ("gemini", "GOOGLE_API_KEY"),
        ("zai", "GLM_API_KEY"),
        ("huggingface", "HF_TOKEN"),
        ("custom", "CUSTOM_LLM_API_KEY"),
    ],
)
def test_each_provider_has_its_own_name_for_the_key(name: str, env: str) -> None:
    """The name that all Hermes lines read first."""
    assert provider(name).key_env == env


def test_openai_is_called_what_hermes_calls_it() -> None:
    """Hermes knows no provider 'openai'."""
    assert provider("openai").name == "openai-api"


def test_an_unknown_provider_is_refused_with_a_way_out() -> None:
    """The message has the nearest provider, and what to use for any other endpoint."""
    with pytest.raises(ValueError, match="is not a provider") as caught:
        provider("openruter")
    said = str(caught.value)
    assert "did you mean 'openrouter'?" in said
    assert "'custom'" in said
    assert all(name in said for name in PROVIDERS)

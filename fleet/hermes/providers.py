"""The LLM providers that all supported Hermes lines know, and the names of their entries in `.env`."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Provider:
    """A provider as Hermes names it, with the `.env` names of its key and its base URL."""

    name: str
    key_env: str
    base_url_env: str | None


# Where Hermes reads several names, the first one.
_NAMES: Mapping[str, tuple[str, str | None]] = {
    "alibaba": ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"),
    "alibaba-coding-plan": ("ALIBABA_CODING_PLAN_API_KEY", "ALIBABA_CODING_PLAN_BASE_URL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "arcee": ("ARCEEAI_API_KEY", "ARCEE_BASE_URL"),
    "azure-foundry": ("AZURE_FOUNDRY_API_KEY", "AZURE_FOUNDRY_BASE_URL"),
    "copilot": ("COPILOT_GITHUB_TOKEN", "COPILOT_API_BASE_URL"),
    # Hermes has no environment name for the key of a custom endpoint; this one is ours, config.yaml refers to it.
    "custom": ("CUSTOM_LLM_API_KEY", None),
    "deepseek": ("DEEPSEEK_API_KEY", "DEEPSEEK_BASE_URL"),
    "gemini": ("GOOGLE_API_KEY", "GEMINI_BASE_URL"),
    "gmi": ("GMI_API_KEY", "GMI_BASE_URL"),
    "huggingface": ("HF_TOKEN", "HF_BASE_URL"),
    "kilocode": ("KILOCODE_API_KEY", "KILOCODE_BASE_URL"),
    "kimi-coding": ("KIMI_API_KEY", "KIMI_BASE_URL"),
    "kimi-coding-cn": ("KIMI_CN_API_KEY", None),
    "lmstudio": ("LM_API_KEY", "LM_BASE_URL"),
    "minimax": ("MINIMAX_API_KEY", "MINIMAX_BASE_URL"),
    "minimax-cn": ("MINIMAX_CN_API_KEY", "MINIMAX_CN_BASE_URL"),
    "novita": ("NOVITA_API_KEY", "NOVITA_BASE_URL"),
    "nvidia": ("NVIDIA_API_KEY", "NVIDIA_BASE_URL"),
    "ollama-cloud": ("OLLAMA_API_KEY", "OLLAMA_BASE_URL"),
    "openai-api": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "opencode-go": ("OPENCODE_GO_API_KEY", "OPENCODE_GO_BASE_URL"),
    "opencode-zen": ("OPENCODE_ZEN_API_KEY", "OPENCODE_ZEN_BASE_URL"),
    "openrouter": ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL"),
    "stepfun": ("STEPFUN_API_KEY", "STEPFUN_BASE_URL"),
    "tencent-tokenhub": ("TOKENHUB_API_KEY", "TOKENHUB_BASE_URL"),
    "xai": ("XAI_API_KEY", "XAI_BASE_URL"),
    "xiaomi": ("XIAOMI_API_KEY", "XIAOMI_BASE_URL"),
    "zai": ("GLM_API_KEY", "GLM_BASE_URL"),
}
# Common names that Hermes does not use.
_ALIASES = {"openai": "openai-api"}

PROVIDERS = tuple(sorted(_NAMES))


def provider(name: str) -> Provider:
    """Return a provider by its name or alias. Raises ValueError for one that Hermes takes no key for."""
    known = _ALIASES.get(name, name)
    if known not in _NAMES:
        near = get_close_matches(name, [*_NAMES, *_ALIASES], n=1)
        hint = f", did you mean '{near[0]}'?" if near else ""
        raise ValueError(
            f"is not a provider that Hermes takes a key for{hint}; known are {', '.join(PROVIDERS)};"
            " for any other OpenAI-compatible endpoint use 'custom' and llm.base_url"
        )
    return Provider(known, *_NAMES[known])

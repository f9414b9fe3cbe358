"""Asks the LLM provider whether it knows a key, before a roll carries the key to every family.

An agent with a dead key boots healthy and fails in every conversation; only the provider can tell.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urljoin, urlsplit
from uuid import UUID

from fleet import naming
from fleet.hermes.providers import provider
from fleet.host import Inventory
from fleet.settings import Llm

TIMEOUT_SECONDS = 10

# The set-up of the dev stack announces this value where no key was given; asking a provider about it is no use.
PLACEHOLDER_KEY = "placeholder-until-LLM_API_KEY-is-set"

# The providers' public API roots, as their own references give them, for stacks that set no base_url.
_BASE_URLS = {
    "anthropic": "https://api.anthropic.com/v1",
    "openai-api": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
# Anyone may list OpenRouter's models, with any key or none; this is where it says 401 to a bad one
# (https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key).
_KEY_PATHS = {"openrouter.ai": "key"}
_REFUSALS = {http.client.UNAUTHORIZED, http.client.FORBIDDEN}
_REDIRECTS = range(http.client.MULTIPLE_CHOICES, http.client.BAD_REQUEST)


class Verdict(Enum):
    """What the provider made of the key."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Preflight:
    """The provider's answer, in a sentence that holds no secret."""

    verdict: Verdict
    message: str


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect the error that it is: the key goes to the host that the operator named, and to no other."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def new_credentials(host: Inventory, stack: str, digests: Mapping[UUID, str]) -> bool:
    """Tell whether a family's own container carries other credentials than those declared for it in `digests`."""
    return any(
        seen.labels.get(naming.LABEL_CREDENTIALS) != digests[family_id]
        for family_id, seen in host.ours(stack).items()
        if family_id in digests
    )


def ask_provider(llm: Llm, api_key: str) -> Preflight:
    """Ask `GET {base_url}/models` with the key, or what else the provider guards by it.

    401 and 403 refuse it; whatever else goes wrong proves nothing.
    """
    base_url = llm.base_url or _BASE_URLS.get(provider(llm.provider).name)
    if base_url is None:
        return Preflight(Verdict.UNKNOWN, f"provider {llm.provider} has no known address; its key was not checked")
    base = urlsplit(base_url)
    path = _KEY_PATHS.get(base.hostname or "", "models")
    url = base._replace(path=f"{base.path.rstrip('/')}/{path}").geturl()
    request = urllib.request.Request(url, headers=_headers(llm.provider, api_key))  # noqa: S310 - settings allow http(s) only
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT_SECONDS):
            return Preflight(Verdict.ACCEPTED, f"{url} accepts the key")
    except urllib.error.HTTPError as error:
        error.close()
        return _answered(url, error.code, error.headers["Location"])
    except (OSError, http.client.HTTPException) as error:
        return Preflight(Verdict.UNKNOWN, f"{url} does not answer ({error}); the key was not checked")
    except ValueError:  # its text may repeat the key
        what = "the address, the key or a redirect is malformed or has characters outside ASCII"
        return Preflight(Verdict.UNKNOWN, f"{url} cannot be asked ({what}); the key was not checked")


def _answered(url: str, code: int, location: str | None) -> Preflight:
    if code in _REFUSALS:
        return Preflight(Verdict.REFUSED, f"{url} answers {code} to the key")
    if code in _REDIRECTS and location:
        what = f"{url} redirects to {_origin(url, location)!r}; the key was not sent there and was not checked"
        mend = "mend it with: pulumi config set --path 'hermes-fleet:llm.base_url' https://HOST/v1"
        return Preflight(Verdict.UNKNOWN, f"{what}; {mend}")
    return Preflight(Verdict.UNKNOWN, f"{url} answers {code} to the key")


def _origin(url: str, location: str) -> str:
    """Return scheme and host of a redirect's target; its path, query and user may hold secrets."""
    try:
        target = urlsplit(urljoin(url, location))
    except ValueError:
        return "an invalid address"
    return f"{target.scheme}://{target.netloc.rpartition('@')[2]}"


def _headers(provider: str, api_key: str) -> dict[str, str]:
    if provider == "anthropic":
        return {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {api_key}"}

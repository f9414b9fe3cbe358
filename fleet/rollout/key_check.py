"""Asks the LLM provider whether it accepts a key, before a roll gives the key to every family.

An agent with a dead key boots healthy and fails in every conversation; only the provider can tell.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import requests
from requests.adapters import HTTPAdapter

from fleet import naming
from fleet.hermes.providers import provider
from fleet.host import Inventory
from fleet.settings import Llm

# The set-up of the dev stack uses this value, and says so, where no key was given. No provider accepts it.
PLACEHOLDER_KEY = "placeholder-until-LLM_API_KEY-is-set"

# The public API roots, from the providers' references, for stacks that set no base_url.
_BASE_URLS = {
    "anthropic": "https://api.anthropic.com/v1",
    "openai-api": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
# OpenRouter lists its models for any key. This path answers 401 to a bad one
# (https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key).
_KEY_PATHS = {"openrouter.ai": "key"}


class _SystemTrust(HTTPAdapter):
    """Trusts the machine's certificates, too: requests by itself knows no private authority."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as in requests
        """Make the pool of direct connections."""
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401
        """Return the pool of connections through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=ssl.create_default_context(), **options)


@dataclass(frozen=True)
class KeyCheck:
    """The provider's verdict on the key, and its answer as a sentence without secrets."""

    verdict: Literal["accepted", "refused", "unknown"]
    message: str


def new_credentials(inventory: Inventory, stack: str, digests: Mapping[UUID, str]) -> bool:
    """Tell whether a family's container has other credentials than its digest in `digests`."""
    return any(
        container.labels.get(naming.LABEL_CREDENTIALS) != digests[family_id]
        for family_id, container in inventory.ours(stack).items()
        if family_id in digests
    )


def ask_provider(llm: Llm, api_key: str) -> KeyCheck:
    """Ask `GET {base_url}/models`, or another path that the provider guards by the key, for at most 10 s.

    401 and 403 refuse the key; any other failure proves nothing.
    """
    base_url = llm.base_url or _BASE_URLS.get(provider(llm.provider).name)
    if base_url is None:
        return KeyCheck("unknown", f"provider {llm.provider} has no known address; its key was not checked")
    base = urlsplit(base_url)
    path = _KEY_PATHS.get(base.hostname or "", "models")
    url = base._replace(path=f"{base.path.rstrip('/')}/{path}").geturl()
    try:
        url.encode("ascii")
        session = requests.Session()
        session.mount("https://", _SystemTrust())
        with session.get(
            url,
            headers=_headers(llm.provider, api_key),
            auth=lambda request: request,  # without it, requests replaces the key by a password of ~/.netrc
            timeout=10,
            allow_redirects=False,
            stream=True,
        ) as response:
            return _verdict(url, response)
    except ValueError:  # the error's text may repeat the key
        what = "the address, the key or a redirect is malformed or has characters outside ASCII"
        return KeyCheck("unknown", f"{url} cannot be asked ({what}); the key was not checked")
    except OSError as error:  # all that requests raises, and a file of certificates that is not there
        cause = getattr(error.args[0] if error.args else None, "reason", error)
        return KeyCheck("unknown", f"{url} does not answer ({cause}); the key was not checked")


def _verdict(url: str, response: requests.Response) -> KeyCheck:
    """Return what a response says about the key. Raises ValueError for a redirect to an invalid address."""
    code, location = response.status_code, response.headers.get("Location")
    if code < HTTPStatus.MULTIPLE_CHOICES:
        return KeyCheck("accepted", f"{url} accepts the key")
    if code < HTTPStatus.BAD_REQUEST and location:
        target = urlsplit(urljoin(url, location))  # its path, query and user may hold secrets
        origin = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
        what = f"{url} redirects to {origin!r}; the key was not sent there and was not checked"
        fix = "fix: pulumi config set --path 'hermes-fleet:llm.base_url' https://HOST/v1"
        return KeyCheck("unknown", f"{what}; {fix}")
    refused = code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return KeyCheck("refused" if refused else "unknown", f"{url} answers {code} to the key")


def _headers(provider: str, api_key: str) -> dict[str, str]:
    if provider == "anthropic":
        return {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
    return {"Authorization": f"Bearer {api_key}"}

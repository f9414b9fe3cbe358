"""The secrets of the stack's config: which of them a family gets, their digest, and their redaction."""

from collections.abc import Sequence

from fleet import keys
from fleet.redaction import Redaction
from fleet.registry import Family
from fleet.settings import Settings


def secret_env(family: Family, settings: Settings) -> dict[str, str]:
    """Return the secret `.env` entries that a family gets from the stack's config; the family's own `env` wins."""
    entries = dict(settings.env)
    for channel in family.plugins:
        entries.update(settings.channel_env.get(channel, {}))
    return {name: value for name, value in entries.items() if name not in family.env}


def credentials_of(family: Family, settings: Settings) -> str:
    """Return the digest of every secret that a family gets from the stack's config."""
    return keys.credentials_digest(settings.master_key, settings.llm_api_key, secret_env(family, settings))


def redaction_for(settings: Settings, families: Sequence[Family] = ()) -> Redaction:
    """Return the redaction of every secret in the stack's config, and of every key derived for these families."""
    masters = [key for key in (settings.master_key, settings.master_key_previous) if key]
    environments = [settings.env, *settings.channel_env.values()]
    secrets = [settings.llm_api_key, *masters, *(value for each in environments for value in each.values())]
    for master in masters:
        reaper = keys.reaper_key(master)
        secrets.append(reaper)
        for family in families:
            secrets += [keys.api_key_for(master, family.id), keys.heartbeat_token_for(reaper, family.id)]
    return Redaction(secrets)

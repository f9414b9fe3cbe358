"""The models of `families.yaml`, with every default.

They are validated from the file's notation (`2g`, `30m`) and hold MiB and seconds. Descriptions and defaults are also
those of the JSON Schema; `docs/registry.md` is checked against them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
    model_validator,
)

from fleet.hermes.lines import CHANNELS
from fleet.hermes.toolsets import TOOLSETS
from fleet.registry import fields

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_always_on = fields.must(lambda value: value is not False, "is invalid: the API server is always on; remove the key")


def _some(found: tuple[str, ...]) -> tuple[str, ...]:
    if not found:
        raise ValueError("is empty; name at least one")
    twice = sorted({item for item in found if found.count(item) > 1})
    if twice:
        raise ValueError(f"names {', '.join(map(repr, twice))} more than once")
    return found


def _form(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


Text = Annotated[
    str,
    AfterValidator(fields.text),
    AfterValidator(fields.remembered),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": fields.TEXT_LENGTH}),
]
Clock = Annotated[int, BeforeValidator(fields.clock), WithJsonSchema(_form(fields.CLOCK))]
Toolset = Annotated[
    str,
    AfterValidator(fields.toolset),
    WithJsonSchema({"anyOf": [{"enum": sorted(TOOLSETS)}, _form(fields.MCP_TOOLSET)]}),
]

EnvEntries = Annotated[
    Mapping[Annotated[str, AfterValidator(fields.env_name)], Annotated[str, AfterValidator(fields.env_value)]],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": fields.ENV_NAME},
            "additionalProperties": {"type": "string"},
        }
    ),
]


class Model(BaseModel):
    """The base of all models: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Member(Model):
    """One person of a family."""

    name: Text = Field(description="What the agent calls the person.")
    role: Annotated[str, AfterValidator(fields.role), AfterValidator(fields.remembered)] = Field(
        "", description="Parent, child, grandmother, dog."
    )


class Account(Model):
    """How the family is reached outside; part of the identity block."""

    email: (
        Annotated[
            str, AfterValidator(fields.email), AfterValidator(fields.remembered), WithJsonSchema(_form(fields.EMAIL))
        ]
        | None
    ) = Field(None, description="E-mail address of the account.")
    phone: Annotated[str, AfterValidator(fields.phone), WithJsonSchema(_form(fields.PHONE))] | None = Field(
        None, description="Phone number with its country code, in quotes."
    )


class TwilioWhatsapp(Model):
    """WhatsApp through Twilio."""

    number: Annotated[str, AfterValidator(fields.e164), WithJsonSchema(_form(fields.E164))] = Field(
        description="The family's WhatsApp number in E.164 form, in quotes."
    )


class Channels(Model):
    """The ways in to an agent. All but the API server need a plugin of the same name in the plugins directory."""

    api_server: Annotated[Literal[True], BeforeValidator(_always_on)] = Field(
        True, description="The HTTP API; always on."
    )
    twilio_whatsapp: TwilioWhatsapp | None = Field(None, description="WhatsApp through Twilio; null turns it off.")
    sudo_chat: bool = Field(False, description="The chat of the family's app.")
    sudo_voice: bool = Field(False, description="The voice bridge.")


class Memory(Model):
    """How much the agent may remember in its two memory files."""

    memory_char_limit: int = Field(2200, ge=1, le=1_000_000, description="Characters of MEMORY.md.")
    user_char_limit: int = Field(1375, ge=1, le=1_000_000, description="Characters of USER.md.")


class Kanban(Model):
    """The agent's board of tasks."""

    default_assignee: Annotated[str, AfterValidator(fields.profile), WithJsonSchema(_form(fields.PROFILE))] | None = (
        Field(None, description="Profile for tasks that fit no other profile.")
    )
    max_in_progress_per_profile: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Tasks that one profile may have in progress."
    )


class Resources(Model):
    """What the container may use of its host."""

    memory: Annotated[int, BeforeValidator(fields.memory), WithJsonSchema(_form(fields.MEMORY))] = Field(
        2048, description="Memory: MiB (`512m`) or GiB (`2g`), at least `256m`.", json_schema_extra={"default": "2g"}
    )
    cpus: float = Field(1.0, ge=0.1, le=1024, allow_inf_nan=False, description="Processors, also parts of one.")


class Window(Model):
    """A time of the week, in the family's time zone. A window that ends before it starts runs over midnight."""

    days: Annotated[tuple[Day, ...], Field(strict=False, json_schema_extra={"minItems": 1}), AfterValidator(_some)] = (
        Field(DAYS, description="Days on which the window opens.")
    )
    start: Clock = Field(alias="from", description="Opens at, `HH:MM` in quotes.")
    end: Clock = Field(alias="to", description="Closes at, `HH:MM` in quotes; `24:00` is the end of the day.")

    @model_validator(mode="after")
    def _lasts(self) -> "Window":
        if self.start == self.end:
            raise ValueError("opens and closes at the same time; a whole day is from '00:00' to '24:00'")
        return self

    def covers(self, local: datetime) -> bool:
        """Tell whether the window contains a local time of the family. The end is outside of it."""
        minute = local.hour * 60 + local.minute
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute < self.end)


class Sleep(Model):
    """When the reaper may stop the container."""

    idle_after: Annotated[
        int,
        BeforeValidator(fields.duration),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, _form(fields.DURATION)]}),
    ] = Field(
        1800, description="Time without activity: seconds, or `30m`, `1h30m`.", json_schema_extra={"default": "30m"}
    )
    never: bool = Field(False, description="Never stop it.")
    keep_warm: Annotated[tuple[Window, ...], Field(strict=False)] = Field(
        (), description="Times of the week in which it is not stopped."
    )
    wake_for_cron: bool = Field(True, description="Start it in time for its own scheduled jobs.")


class Own(Model):
    """The keys that only a family may have."""

    name: Annotated[
        str,
        AfterValidator(fields.slug),
        AfterValidator(fields.no_id),
        WithJsonSchema(_form(fields.SLUG) | {"not": _form(fields.UUID_FORM)}),
    ] = Field(description="Short name for commands and routes, unique; may change.")
    id: Annotated[UUID, BeforeValidator(fields.family_id), WithJsonSchema(_form(fields.UUID_FORM))] = Field(
        description="UUID, unique and permanent: container and data are named after it."
    )
    display_name: Text = Field(
        default_factory=lambda data: data.get("name", ""), description="What the agent calls the family."
    )
    canary: bool = Field(False, description="Goes first in a roll.")


class Shared(Model):
    """The keys that `defaults` and every family may have."""

    timezone: Annotated[str, AfterValidator(fields.timezone)] = Field("UTC", description="IANA time zone.")
    language: Annotated[
        str, AfterValidator(fields.language), AfterValidator(fields.remembered), WithJsonSchema(_form(fields.LANGUAGE))
    ] = Field("en", description="Language tag.")
    members: Annotated[tuple[Member, ...], Field(strict=False)] = Field((), description="The people.")
    account: Account = Field(Account(), description="E-mail and phone of the account.")
    channels: Channels = Field(Channels(), description="The ways in to the agent.")
    toolsets: Annotated[
        tuple[Toolset, ...], Field(strict=False, json_schema_extra={"minItems": 1}), AfterValidator(_some)
    ] = Field(("memory", "session_search", "skills", "todo", "cronjob", "web"), description="What the agent can do.")
    memory: Memory = Field(Memory(), description="Limits of the agent's memory files.")
    kanban: Kanban = Field(Kanban(), description="How the agent's board spreads tasks over profiles.")
    dashboard: bool = Field(False, description="Run the Hermes dashboard inside the container.")
    supervise: bool = Field(True, description="Let s6 images supervise the gateway.")
    image: Annotated[str, AfterValidator(fields.image), WithJsonSchema(_form(fields.IMAGE))] | None = Field(
        None, description="An image of the family's own instead of the stack's."
    )
    resources: Resources = Field(Resources(), description="Memory and processors of the container.")
    env: EnvEntries = Field({}, description="More entries for the agent's `.env`; not for secrets.")
    config: Mapping[str, JsonValue] = Field({}, description="Merged over the rendered `config.yaml`.")
    state: Literal["active", "suspended"] = Field(
        "active", description="`suspended`: declared, kept stopped, out of every gate."
    )
    sleep: Sleep = Field(Sleep(), description="The family's rules of sleep.")


class Family(Shared, Own):
    """One family, with the defaults merged under it."""

    @property
    def plugins(self) -> tuple[str, ...]:
        """Return the enabled channels that a plugin provides, sorted."""
        return tuple(channel for channel in CHANNELS if getattr(self.channels, channel))


class RegistryFile(Model):
    """The registry of a fleet: defaults and families."""

    defaults: Shared = Field(Shared(), description="Merged under every family; a family's own values win.")
    families: Annotated[tuple[Family, ...], Field(strict=False)] = Field(description="The families.")

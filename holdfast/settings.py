"""What one operator chooses: a TOML file, `HOLDFAST_*` in the environment, then flags.

Later wins. What all nodes must agree on is in the genesis and cannot be set here. Unknown
keys are errors, so a typing mistake is not a silent default.
"""

import os
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from wire.errors import Malformed

CONFIG_NAME = "holdfast.toml"
PREFIX = "HOLDFAST_"
NESTED = "__"
HOME_VARIABLE = "HOLDFAST_HOME"
"""Says where the settings are, and is none itself."""


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(Section):
    """Where a server listens, and what it tells others when that differs."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    """0: any free port, chosen anew at each start."""
    public_host: str | None = None


class ChainSection(Section):
    """The node that roles and commands talk to, and where a validator serves."""

    url: str = "http://127.0.0.1:4600"
    listen: Listen = Listen(port=4600)
    gossip: Listen = Listen(port=4601)
    """Where a validator listens for the others."""
    keep_blocks: int | None = Field(None, ge=1)
    """How many of the last blocks a node keeps whole; None: all of them."""
    snapshots: bool = True
    """Offer the state of each term's end to nodes that begin."""
    fee_limit_base: int = Field(0, ge=0)
    """Most that a command offers for a transaction when blocks are full; 0: the least fee."""


class HosterSection(Section):
    """What a hoster offers."""

    listen: Listen = Listen(port=4610)
    capacity_bytes: int = Field(100 * 2**30, ge=1)
    price_base_per_gib: int = Field(0, ge=0)
    operator: str = Field("", max_length=64)
    stake_base: int | None = None
    """None: the least that the network asks, and collateral for ten contracts."""
    repair: bool = True
    """Fetch again, from the owner or other hosters, what the disk has lost."""
    fee_limit_base: int | None = Field(None, ge=0)
    """Most that a transaction may cost when blocks are full; None: a quarter of a collateral."""


class AttestorSection(Section):
    """What an attestor brings."""

    listen: Listen = Listen(port=4620)
    stake_base: int | None = None
    """None: the least that the network asks."""
    visit_bytes: int = Field(4 * 2**20, ge=0)
    """What one visit may fetch to hide its planned chunks; more costs hosters more."""
    fee_limit_base: int | None = Field(None, ge=0)
    """Most that a transaction may cost when blocks are full; None: what a coin unopened costs."""


class OwnerSection(Section):
    """Where an owner's feeds can be fetched from while they are being replicated."""

    listen: Listen = Listen(port=4630)


class LogSection(Section):
    """What is logged, and how; always on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseSettings):
    """All settings of one home directory."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=NESTED, extra="forbid", frozen=True
    )

    chain: ChainSection = ChainSection()
    hoster: HosterSection = HosterSection()
    attestor: AttestorSection = AttestorSection()
    owner: OwnerSection = OwnerSection()
    log: LogSection = LogSection()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file."""
        return (init_settings, env_settings, cls._file(settings_cls))

    @classmethod
    def _file(cls, settings_cls: type[BaseSettings]) -> PydanticBaseSettingsSource:
        return TomlConfigSettingsSource(settings_cls, _file_in_use)


_file_in_use: Path | None = None


def default_home() -> Path:
    """Where a home directory is unless told otherwise."""
    return user_data_path("holdfast")


def load_settings(home: Path, **flags: Any) -> Settings:
    """The settings of a home; raises `Malformed` naming the source, the key and what is wrong."""
    global _file_in_use  # noqa: PLW0603 - pydantic-settings has no other way to pass a path
    path = home / CONFIG_NAME
    _file_in_use = path if path.exists() else None
    variables = {name for name in os.environ if name.upper().startswith(PREFIX)}
    for name in sorted(variables):
        table = name.upper().removeprefix(PREFIX).split(NESTED)[0].lower()
        if table not in Settings.model_fields and name != HOME_VARIABLE:
            raise Malformed(f"{name} in the environment is no setting: two underscores for a dot?")
    try:
        return Settings(**flags)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [str(part) for part in first["loc"]]
        source = _source_of(where, flags, variables) or path
        raise Malformed(f"{source}: {'.'.join(where)}: {first['msg'].lower()}") from None
    except SettingsError as error:
        tables = " or ".join(sorted(name for name in variables if NESTED not in name))
        raise Malformed(f"{tables} in the environment: {error}") from None
    except (ValueError, OSError) as error:
        raise Malformed(f"{path}: {' '.join(str(error).split())}") from None


def _source_of(where: list[str], flags: dict[str, Any], variables: set[str]) -> str | None:
    """What else than the file has set a key, if anything has."""
    value: Any = flags
    for part in where:
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None:
        return "the command line"
    names = [PREFIX + NESTED.join(where[:depth]).upper() for depth in range(len(where), 0, -1)]
    found = (each for name in names for each in variables if each.upper() == name)
    return next(found, None)

"""Options of commands, and the types of their values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError

from service.core.database_location import DatabaseLocation
from service.settings import ENV_PREFIX, FORMER_NAMES, DatabaseSettings, Settings, explain

Command = TypeVar("Command", bound=Callable[..., Any])

CONTAINER = re.compile(r"[A-Za-z0-9_.:@/-]{1,100}", re.ASCII)
TENANT = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[int]):
    """A whole number and s, m, h, d or w; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([1-9]\d{0,8})([smhdw])", str(value), re.ASCII)
        if found is None:
            self.fail("give a number and s, m, h, d or w, such as 90d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


class Name(click.ParamType[str]):
    """A string that must match a pattern."""

    def __init__(self, name: str, pattern: re.Pattern[str]) -> None:
        self.name = name
        self.pattern = pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self.pattern.fullmatch(str(value)):
            self.fail(f"must match ^{self.pattern.pattern}$", param, ctx)
        return str(value)


def setting_options(command: Command) -> Command:
    """Add a flag for every setting, in the order of `Settings`."""
    for name, info in reversed(Settings.model_fields.items()):
        flag = "--" + name.replace("_", "-")
        help_text = f"{info.description} [{ENV_PREFIX}{name.upper()}; default: {info.default}]"
        if info.annotation is bool:
            option = click.option(flag, name, is_flag=True, default=None, help=help_text)
        elif get_origin(info.annotation) is Literal:
            kind = click.Choice(get_args(info.annotation))
            option = click.option(flag, name, type=kind, default=None, help=help_text)
        else:
            # Checked by Settings, like the same text from the environment.
            option = click.option(flag, name, type=str, default=None, help=help_text)
        command = option(command)
    for former in FORMER_NAMES:
        flag = "--" + former.replace("_", "-")
        command = click.option(flag, former, type=str, default=None, hidden=True)(command)
    return command


def database_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flags that say where the database is; the command gets it as `location`."""

    @_data_dir_option
    @click.option(
        "--database-url",
        envvar=[f"{ENV_PREFIX}DATABASE_URL", "DATABASE_URL"],
        help=Settings.model_fields["database_url"].description,
    )
    @click.option(
        "--database-prepare",
        envvar=[f"{ENV_PREFIX}DATABASE_PREPARE", "DATABASE_PREPARE"],
        hidden=True,
    )
    @functools.wraps(command)
    def with_location(
        data_dir: Path, database_url: str | None, database_prepare: str | None, **given: Any
    ) -> None:
        of_database = {
            "data_dir": data_dir,
            "database_url": database_url,
            "database_prepare": database_prepare,
        }
        command(location=_location(of_database), **given)

    return with_location


def _location(given: dict[str, Any]) -> DatabaseLocation:
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return DatabaseSettings(**values).database_location
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error


def _data_dir_option(command: Command) -> Command:
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=f"{ENV_PREFIX}DATA_DIR",
        default=Settings.model_fields["data_dir"].default,
        show_default=True,
        show_envvar=True,
        help=Settings.model_fields["data_dir"].description,
    )(command)


def settings_of(given: dict[str, Any]) -> Settings:
    """The settings of the flags that were given; other fields are read from the environment."""
    values = {name: value for name, value in given.items() if value is not None}
    for former, present in FORMER_NAMES.items():
        if former in values:
            values.setdefault(present, values.pop(former))
    try:
        return Settings(**values)
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error

"""The command line.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 `check` found faults.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, get_args, get_origin

import click
from pydantic import ValidationError

from service.client.command import health_command, import_command, search_command
from service.output import streams
from service.settings import ENV_PREFIX, Settings, database_path, explain

if TYPE_CHECKING:
    from service.app import Service
    from service.storage.keys.operations import KeyInfo

log = logging.getLogger("palimpsest.cli")

Command = TypeVar("Command", bound=Callable[..., Any])

FINDINGS = 3
"""Exit code of `check` for a database with faults."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CONTAINER = re.compile(r"[A-Za-z0-9_.:@/-]{1,100}", re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class Duration(click.ParamType[int]):
    """A whole number and s, m, h, d or w; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([1-9]\d{0,8})([smhdw])", str(value), re.ASCII)
        if found is None:
            self.fail("give a number and s, m, h, d or w, such as 90d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


class Name(click.ParamType[str]):
    """A text of a pattern."""

    def __init__(self, name: str, pattern: re.Pattern[str]) -> None:
        self.name = name
        self.pattern = pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not self.pattern.fullmatch(str(value)):
            self.fail(f"must match ^{self.pattern.pattern}$", param, ctx)
        return str(value)


def _setting_options(command: Command) -> Command:
    """A flag for every setting, in the order of the table."""
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
    return command


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


@contextmanager
def _explained() -> Iterator[None]:
    """Failures that an operator can act on, as one line instead of a traceback."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except OSError as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        from service.embedding.base import EmbedderError
        from service.storage.sqlite.errors import explain as explain_storage

        text = str(error) if isinstance(error, EmbedderError) else explain_storage(error)
        if text is None:
            raise
        raise click.ClickException(text) from error


def _existing(data_dir: Path) -> Path:
    """The database of a data folder that has one."""
    path = database_path(data_dir)
    if not path.is_file():
        from service.storage.sqlite import presence

        if left := presence.traces(path):
            raise click.ClickException(str(presence.lost(path, left)))
        raise click.ClickException(
            f"there is no database in {data_dir}; "
            "name its folder with --data-dir, or make one with `palimpsest serve` or `migrate`"
        )
    return path


def _new_or_existing(data_dir: Path) -> Path:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return database_path(data_dir)


def _keep_temporary_files_in(data_dir: Path) -> None:
    """Where a scrub's copy of the database goes: to the same disk, not a shared folder.

    SQLite looks at this once, when it is loaded.
    """
    os.environ.setdefault("SQLITE_TMPDIR", str(data_dir.absolute()))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="palimpsest-memory", prog_name="palimpsest")
def main() -> None:
    """A self-hosted memory service for agents, spoken over gRPC."""


main.add_command(health_command)
main.add_command(import_command)
main.add_command(search_command)


@main.command()
@_setting_options
def serve(**given: Any) -> None:
    """Run the service until SIGTERM or SIGINT.

    Calls in progress are finished first; a second signal ends their grace.
    """
    from service.runtime import logs

    form = given["log_format"] or os.environ.get(f"{ENV_PREFIX}LOG_FORMAT")
    failure: click.ClickException | None = None
    try:
        settings = _settings(given)
    except click.UsageError as error:
        if form != "json":
            raise
        logs.configure("info", "json", sys.stderr)
        log.error("%s", error.format_message())
        raise SystemExit(error.exit_code) from error
    _keep_temporary_files_in(settings.data_dir)
    with logs.running(settings.log_level, settings.log_format, settings.data_dir):
        try:
            with _explained():
                _serve(settings)
        except click.ClickException as error:
            failure = error
            if form == "json":
                log.error("%s", error.format_message())
        except KeyboardInterrupt:
            log.info("interrupted before it served")
            raise SystemExit(1) from None
    if failure is not None:
        raise SystemExit(failure.exit_code) if form == "json" else failure


def _serve(settings: Settings) -> None:
    from service import app
    from service.rpc.server import BindError
    from service.tls_files import TlsFileError

    try:
        app.run(settings, lambda service: _announce(settings, service))
    except (BindError, TlsFileError) as error:
        raise click.ClickException(str(error)) from error


def _announce(settings: Settings, service: Service) -> None:
    """Say where the service is, and where its first key.

    The key itself goes to a terminal only: what is written elsewhere is often kept.
    """
    terminal = sys.stdout.isatty()
    if settings.log_format == "json" and not terminal:
        if service.first_key is not None:
            log.info("the first key is in %s", settings.first_key_file)
        return
    lines = [f"Palimpsest is serving on {service.address}"]
    if service.first_key is not None and terminal:
        lines.append(f"\nThe first key, shown only now and kept in {settings.first_key_file}:\n")
        lines.append(f"  {service.first_key}\n")
    elif service.first_key is not None:
        lines.append(f"The first key is in {settings.first_key_file}")
    call = grpcurl_line(settings, service.address)
    if call is not None:
        lines.append(f"Store a first document from another terminal:\n\n  {call}\n")
    try:
        click.echo("\n".join(lines))
    except OSError as error:
        # Serving matters more than saying so.
        streams.discard_output()
        log.warning("where the service is could not be said on standard output: %s", error)


def grpcurl_line(settings: Settings, address: str) -> str | None:
    """A call that works as it is in a shell of this machine; None if there is none."""
    beside = Path(sys.executable).with_name("grpcurl")
    grpcurl = str(beside) if beside.exists() else shutil.which("grpcurl")
    if grpcurl is None or settings.tls_cert is not None or address.startswith("unix:"):
        return None
    key = ""
    if not settings.no_auth:
        file = settings.first_key_file.absolute()
        if not file.exists():
            return None
        key = f'-H "authorization: Bearer $(cat {shlex.quote(str(file))})" '
    host, _, port = address.rpartition(":")
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return (
        f"{shlex.quote(grpcurl)} -plaintext {key}"
        """-d '{"content": "The kettle whistles at 96 degrees."}' """
        f"{reachable}:{port} palimpsest.v1.Documents/UpsertDocument"
    )


@main.group()
def keys() -> None:
    """Make, list and revoke the keys that callers need."""


@keys.command("create")
@_data_dir_option
@click.option(
    "--tenant",
    type=Name("tenant", _TENANT),
    default="default",
    show_default=True,
    help="Whose key it is; a new name makes a new tenant.",
)
@click.option("--label", default="", help="What it is for, to tell it from others.")
@click.option(
    "--container",
    "containers",
    multiple=True,
    type=Name("container", _CONTAINER),
    help="Limit it to this container; repeat for several.",
)
@click.option("--read-only", is_flag=True, help="Limit it to calls that change nothing.")
@click.option("--expires-in", type=Duration(), help="Limit it in time, such as 12h or 90d.")
@click.option("--init", is_flag=True, help="Make the database if there is none.")
def create_key(
    data_dir: Path,
    tenant: str,
    label: str,
    containers: tuple[str, ...],
    read_only: bool,
    expires_in: int | None,
    init: bool,
) -> None:
    """Make a key and print it, the only time it can be seen.

    It works at once, also with a server that is running.
    """
    from service.core.times import system_clock
    from service.storage.sqlite import admin

    path = _new_or_existing(data_dir) if init else _existing(data_dir)
    with _explained():
        info, secret = admin.create_key(
            path,
            tenant=tenant,
            label=label,
            containers=containers,
            read_only=read_only,
            expires_at=None if expires_in is None else system_clock() + expires_in * 1_000_000,
        )
    click.echo(f"Made key {info.key_id} of tenant {info.tenant}. Keep it safe:", err=True)
    try:
        click.echo(secret)
    except OSError:
        # A key that nobody has seen must not stay in force.
        admin.revoke_key(path, info.key_id)
        raise


@keys.command("list")
@_data_dir_option
def list_keys(data_dir: Path) -> None:
    """List the keys, without their secrets, as columns parted by tabs."""
    from service.storage.sqlite import admin

    with _explained():
        found = admin.list_keys(_existing(data_dir))
    click.echo("ID\tTENANT\tACCESS\tCONTAINERS\tMADE\tSTATE\tLABEL")
    now = datetime.now(UTC)
    for info in found:
        click.echo("\t".join(_key_columns(info, now)))


def _key_columns(info: KeyInfo, now: datetime) -> tuple[str, ...]:
    return (
        info.key_id,
        info.tenant,
        "read" if info.read_only else "read+write",
        "all" if info.containers is None else ",".join(info.containers),
        _instant(info.create_time),
        _state(info, now),
        info.label,
    )


def _state(info: KeyInfo, now: datetime) -> str:
    if info.revoke_time is not None:
        return f"revoked {_instant(info.revoke_time)}"
    if info.expire_time is None:
        return "valid"
    past = info.expire_time <= now.timestamp() * 1_000_000
    return f"{'expired' if past else 'valid until'} {_instant(info.expire_time)}"


def _instant(microseconds: int) -> str:
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@keys.command("revoke")
@_data_dir_option
@click.argument("key_id")
def revoke_key(data_dir: Path, key_id: str) -> None:
    """Refuse a key from now on, also by a server that is running."""
    from service.storage.sqlite import admin

    with _explained():
        revoked = admin.revoke_key(_existing(data_dir), key_id)
    if not revoked:
        raise click.ClickException(
            f"no key {key_id} is in force; `palimpsest keys list` shows the ids"
        )
    click.echo(f"Key {key_id} is revoked.")


@main.command()
@_data_dir_option
def migrate(data_dir: Path) -> None:
    """Make the database, or bring an older one to this release's schema.

    `serve` does so too; this is for doing it at a time of one's choosing.
    """
    from service.storage.sqlite import admin

    with _explained():
        before, after = admin.migrate(_new_or_existing(data_dir))
    if before is None:
        click.echo(f"Made the database, with schema {after}.")
    elif before == after:
        click.echo(f"The database already has schema {after}.")
    else:
        click.echo(f"Migrated the database from schema {before} to {after}.")


@main.command()
@_data_dir_option
def check(data_dir: Path) -> None:
    """Verify the database on a snapshot; a server may run, and nothing is written.

    Its pages, every digest, every invariant, and that nothing acknowledged is missing.
    """
    from service.storage.sqlite import admin

    path = database_path(data_dir)
    with _explained():
        findings = admin.check(path if _was_there(path) else _existing(data_dir), _progress)
    if findings:
        _tell_of(
            findings,
            f"Stop the server, keep a copy of {data_dir}, "
            "and put back the last backup that `palimpsest check` finds well.",
        )
    click.echo("All is well.")


def _was_there(path: Path) -> bool:
    """Whether a database left traces, though it may be gone."""
    from service.storage.sqlite import presence

    return bool(presence.traces(path))


def _tell_of(findings: Sequence[str], advice: str) -> NoReturn:
    for finding in findings:
        click.echo(finding)
    click.echo(f"{len(findings)} found. {advice}", err=True)
    raise SystemExit(FINDINGS)


@main.command()
@_data_dir_option
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def backup(data_dir: Path, target: Path) -> None:
    """Write a consistent and verified copy to TARGET, a new file; a server may run.

    A damaged database is not copied: what was found is listed, with exit code 3.
    """
    from service.storage.sqlite import admin
    from service.storage.sqlite.backups import DamagedSourceError

    source = _existing(data_dir)
    shown = -1

    def progress(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(total, 1)
        if percent // 10 > shown // 10 or shown < 0:
            shown = percent
            _progress(f"{percent} % copied")

    with _explained():
        try:
            admin.backup(source, target, progress, _progress)
        except DamagedSourceError as error:
            _tell_of(
                error.findings,
                f"The database is damaged and {target} was not written. Stop the server, keep a "
                f"copy of {data_dir}, and put back the last sound backup.",
            )
    click.echo(f"Wrote {target}. Keys are in it as hashes; guard it like the database itself.")


@main.command()
@_data_dir_option
def scrub(data_dir: Path) -> None:
    """Rewrite the database without traces of what was deleted.

    A server may run, but its writes wait meanwhile: about a second for 100 MB.
    """
    _keep_temporary_files_in(data_dir)

    from service.storage.sqlite import admin

    with _explained():
        admin.scrub(_existing(data_dir), _progress)
    click.echo("Done: what was deleted is gone from the files. Backups made earlier keep it.")


@main.command()
@_setting_options
def reindex(**given: Any) -> None:
    """Index anew what another embedder indexed, and what has no vector yet.

    A server does so by itself; this shows how far it is. A server may run: its
    searches go on with what there is. Stopped, it goes on where it was.
    """
    settings = _settings(given)
    from service import reindexing
    from service.runtime import logs

    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    json = settings.log_format == "json"
    path = _existing(settings.data_dir)
    with _explained():
        total = reindexing.remaining(path, settings)
        with click.progressbar(length=total, label="Indexing", file=sys.stderr, hidden=json) as bar:
            done = reindexing.run(path, settings, bar.update)
    click.echo(f"{done} texts indexed with {settings.embedder}; all is in its space now.")


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError(explain(error)) from error


def _progress(text: str) -> None:
    click.echo(f"… {text}", err=True)

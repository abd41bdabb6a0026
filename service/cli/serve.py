"""`palimpsest serve`."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from service.cli.data_dir import keep_temporary_files_in
from service.cli.errors import explained
from service.cli.options import setting_options, settings_of
from service.output import streams
from service.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from service.app import Service

log = logging.getLogger("palimpsest.cli")


@click.command()
@setting_options
def serve(**given: Any) -> None:
    """Run the service until SIGTERM or SIGINT.

    Calls in progress are finished first; a second signal ends that grace period.
    """
    from service.runtime import logs

    log_format = given["log_format"] or os.environ.get(f"{ENV_PREFIX}LOG_FORMAT")
    failure: click.ClickException | None = None
    try:
        settings = settings_of(given)
    except click.UsageError as error:
        if log_format != "json":
            raise
        logs.configure("info", "json", sys.stderr)
        log.error("%s", error.format_message())
        raise SystemExit(error.exit_code) from error
    keep_temporary_files_in(settings.data_dir)
    with logs.running(settings.log_level, settings.log_format, settings.data_dir):
        try:
            with explained():
                _serve(settings)
        except click.ClickException as error:
            failure = error
            if log_format == "json":
                log.error("%s", error.format_message())
        except KeyboardInterrupt:
            log.info("interrupted before it served")
            raise SystemExit(1) from None
    if failure is not None:
        raise SystemExit(failure.exit_code) if log_format == "json" else failure


def _serve(settings: Settings) -> None:
    from service import app
    from service.rpc.server import BindError
    from service.tls_files import TlsFileError
    from service.tracing.opening import TracingError

    try:
        app.run(settings, lambda service: _announce(settings, service))
    except (BindError, TlsFileError, TracingError) as error:
        raise click.ClickException(str(error)) from error


def _announce(settings: Settings, service: Service) -> None:
    """Print the address of the service, and where its first key is.

    The key itself is printed to a terminal only: other outputs are often stored.
    """
    terminal = sys.stdout.isatty()
    if settings.log_format == "json" and not terminal:
        if service.first_key is not None:
            log.info("the first key is in %s", settings.first_key_file)
        return
    lines = [f"Palimpsest is serving on {service.address}"]
    if service.http is not None:
        scheme = "http" if settings.tls_cert is None else "https"
        over = service.http if service.http.startswith("unix:") else f"{scheme}://{service.http}"
        lines.append(f"and over HTTP on {over}")
    where = "PostgreSQL" if settings.database_url else settings.data_dir.absolute()
    lines.append(f"with its data in {where}")
    if service.first_key is not None and terminal:
        lines.append(f"\nThe first key, shown only now and kept in {settings.first_key_file}:\n")
        lines.append(f"  {service.first_key}\n")
    elif service.first_key is not None:
        lines.append(f"The first key is in {settings.first_key_file}")
    call = curl_line(settings, service.http)
    if call is not None:
        lines.append(f"Store a first document from another terminal:\n\n  {call}\n")
    try:
        click.echo("\n".join(lines))
    except OSError as error:
        # The service is available even if its address cannot be printed.
        streams.discard_output()
        log.warning("where the service is could not be said on standard output: %s", error)


def curl_line(settings: Settings, http: str | None) -> str | None:
    """A curl command that works unchanged in a shell of this machine; None if there is none."""
    curl = shutil.which("curl")
    if curl is None or http is None or settings.tls_cert is not None or http.startswith("unix:"):
        return None
    key = ""
    if not settings.no_auth:
        file = settings.first_key_file.absolute()
        if not file.exists():
            return None
        key = f'-H "authorization: Bearer $(cat {shlex.quote(str(file))})" '
    host, _, port = http.rpartition(":")
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    return (
        f"curl http://{reachable}:{port}/v1/documents {key}"
        """-H "content-type: application/json" """
        """-d '{"content": "The kettle whistles at 96 degrees."}'"""
    )

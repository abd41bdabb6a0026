"""Options that name a server: its address, TLS files and key."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from service.client.address import Address, AddressError, parse_address
from service.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from service.client.target import ClientTls

Command = TypeVar("Command", bound=Callable[..., Any])

KEY_VARIABLE = f"{ENV_PREFIX}KEY"

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class AddressType(click.ParamType[Address]):
    """Where a server is: `host:port` or `unix:path`."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return parse_address(str(value))
        except AddressError as error:
            self.fail(f"{value}: {error}", param, ctx)


def target_options(*, with_key: bool) -> Callable[[Command], Command]:
    """Add the options that name a server to a command, as one argument `target`.

    Args:
        with_key: Whether its calls need a key.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            *args: Any,
            address: Address,
            tls_ca: Path | None,
            tls_cert: Path | None,
            tls_key: Path | None,
            key_file: Path | None = None,
            **values: Any,
        ) -> Any:
            with _quiet_grpc():
                from service.client.target import Target

                tls = _tls(tls_ca, tls_cert, tls_key)
                key = _key(key_file) if with_key else None
                return command(*args, target=Target(address, key, tls), **values)

        for option in reversed(_options(with_key=with_key)):
            option(run)
        return run  # type: ignore[return-value]

    return decorate


def _options(*, with_key: bool) -> list[Callable[[Any], Any]]:
    address = click.option(
        "--address",
        type=AddressType(),
        envvar=f"{ENV_PREFIX}ADDRESS",
        default=Settings.model_fields["listen"].default,
        show_default=True,
        show_envvar=True,
        help="Where the server is: `host:port` or `unix:path`.",
    )
    key = click.option(
        "--key-file",
        type=_FILE,
        envvar=f"{ENV_PREFIX}KEY_FILE",
        show_envvar=True,
        help=f"File with the key; without it the key in {KEY_VARIABLE}, else the first key "
        "in the data folder.",
    )
    return [
        address,
        *([key] if with_key else []),
        click.option(
            "--tls-ca",
            type=_FILE,
            envvar=f"{ENV_PREFIX}TLS_CA",
            show_envvar=True,
            help="PEM file of the authority of the server's certificate; without it, no TLS.",
        ),
        # Not the variables of the server's own certificate: both may run in one environment.
        click.option(
            "--tls-cert",
            type=_FILE,
            envvar=f"{ENV_PREFIX}TLS_CLIENT_CERT",
            show_envvar=True,
            help="PEM file of a client certificate, for a server that requires one.",
        ),
        click.option(
            "--tls-key",
            type=_FILE,
            envvar=f"{ENV_PREFIX}TLS_CLIENT_KEY",
            show_envvar=True,
            help="PEM file of its private key.",
        ),
    ]


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ClientTls | None:
    from service.client.target import ClientTls
    from service.tls_files import TlsFileError, read_authorities, read_key_pair

    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key go together: give both or neither")
    if ca is None:
        if certificate is not None:
            raise click.UsageError("--tls-cert and --tls-key need --tls-ca")
        return None
    try:
        authorities = read_authorities(ca, "authority")
        if certificate is None or key is None:
            return ClientTls(authorities, ca)
        return ClientTls(authorities, ca, read_key_pair(certificate, key), certificate)
    except TlsFileError as error:
        raise click.UsageError(str(error)) from error


def _key(file: Path | None) -> str | None:
    """The key from a file, the environment, or the data folder of a server on this machine."""
    if file is None:
        given = os.environ.get(KEY_VARIABLE)
        if given is not None:
            return given
        default = Settings.model_fields["data_dir"].default
        file = Path(os.environ.get(f"{ENV_PREFIX}DATA_DIR", default)) / "first-key"
        if not file.exists():
            return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _quiet_grpc() -> Iterator[None]:
    """Have failures reported by the command only, and not in gRPC's own log as well.

    gRPC reads the variable when it is first used.
    """
    name = "GRPC_VERBOSITY"
    given = os.environ.get(name)
    os.environ.setdefault(name, "NONE")
    try:
        yield
    finally:
        if given is None:
            del os.environ[name]

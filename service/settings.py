"""Settings: from the environment, overridden by flags of `serve`."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.core import windows
from service.core.database_location import CONNECTIONS, DatabaseLocation, PostgresServer

ENV_PREFIX = "PALIMPSEST_"

FORMER_NAMES = {"helpers": "compute_processes"}
"""Former names of settings, still accepted as flags and variables, and the present ones."""

MAX_PORT = 65_535

_HOST_AND_PORT = re.compile(r"(\[[^\s\[\]]+\]|[^\s\[\]:/,]*):[0-9]+")

_ROOT = Path(__file__).resolve().parent.parent


def _variables(name: str) -> AliasChoices:
    """The environment variables of a setting, those of its former names last."""
    former = [old for old, new in FORMER_NAMES.items() if new == name]
    return AliasChoices(*(ENV_PREFIX + each.upper() for each in (name, *former)))


def _plain(name: str) -> AliasChoices:
    """The environment variables of a setting that has one without the prefix, too."""
    return AliasChoices(ENV_PREFIX + name.upper(), name.upper())


def default_data_dir(root: Path = _ROOT) -> Path:
    """Where the data is if no folder is named.

    `data` in the current folder when this package runs from a source checkout, or for a user
    without a home, as in many containers; else the user's folder for the data of applications:
    `$XDG_DATA_HOME` or `~/.local/share` (XDG Base Directory Specification), on macOS
    `~/Library/Application Support`.

    Args:
        root: The folder that this package is in.
    """
    here = Path("data")
    if (root / "pyproject.toml").is_file():
        return here
    from platformdirs import user_data_path

    try:
        return user_data_path("palimpsest", appauthor=False)
    except RuntimeError:
        return here


class DatabaseSettings(BaseSettings):
    """Where the database is: the settings that every command on one has.

    Raises:
        pydantic.ValidationError: A value is malformed.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="forbid",
        # Where a field has variables of its own, arguments and errors still have its name.
        validate_by_name=True,
        loc_by_alias=False,
    )

    data_dir: Annotated[
        Path, Field(description="Folder of the database; created, for its owner only, if missing.")
    ] = default_data_dir()
    database_url: Annotated[
        str | None,
        Field(
            validation_alias=_plain("database_url"),
            repr=False,
            description="`postgresql://USER:PASSWORD@HOST:PORT/NAME`, also as DATABASE_URL: the "
            "database is there; without it, in the data folder.",
        ),
    ] = None
    database_connections: Annotated[
        int,
        Field(
            ge=3,
            le=1000,
            description="Connections to PostgreSQL, at most, of the server and of the process "
            "that searches, each.",
        ),
    ] = CONNECTIONS
    database_prepare: Annotated[
        Literal["on", "off"],
        Field(
            validation_alias=_plain("database_prepare"),
            description="`off` behind a proxy that gives a connection to each transaction.",
        ),
    ] = "on"

    @property
    def database(self) -> Path:
        return database_path(self.data_dir)

    @property
    def database_location(self) -> DatabaseLocation:
        """Where the database is."""
        if self.database_url is None:
            return DatabaseLocation(self.database)
        prepare = self.database_prepare == "on"
        server = PostgresServer(self.database_url, self.database_connections, prepare)
        return DatabaseLocation(self.database, server)

    @field_validator("database_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if not url:
            return None
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return url


class Settings(DatabaseSettings):
    """How the service runs. Field NAME is PALIMPSEST_NAME, and `--name` of `serve`.

    Raises:
        pydantic.ValidationError: A value is malformed, or the values together
            would serve without the protection that an address needs.
    """

    listen: Annotated[
        str,
        Field(description="Address: `host:port`, `[ipv6]:port` or `unix:path`; port 0 takes any."),
    ] = "127.0.0.1:50051"
    http: Annotated[
        str,
        Field(description="Address for HTTP, as `listen`; empty: none."),
    ] = "127.0.0.1:50080"
    http_origins: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^\s,/]+(,https?://[^\s,/]+)*)?$",
            description="Origins of web pages that may call over HTTP (CORS), separated by commas.",
        ),
    ] = ""
    metrics: Annotated[
        Literal["local", "all", "off"],
        Field(description="Which callers `/metrics` answers: `local`, `all`, or none (`off`)."),
    ] = "local"
    slow_call_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="A call that takes longer is logged, with where its time went; 0: none.",
        ),
    ] = 1.0
    traces: Annotated[
        str,
        Field(
            pattern=r"^(off|otlp|https?://\S+)$",
            description="Where calls are sent as spans of OpenTelemetry, by OTLP over HTTP: an "
            "`http://` URL, `otlp` (as `OTEL_EXPORTER_OTLP_ENDPOINT` says) or nowhere (`off`).",
        ),
    ] = "off"
    tls_cert: Annotated[
        Path | None, Field(description="PEM file of the server's certificate chain.")
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM file of its private key.")] = None
    tls_client_ca: Annotated[
        Path | None,
        Field(description="PEM file of authorities; clients must present a certificate of theirs."),
    ] = None
    allow_plaintext: Annotated[
        bool, Field(description="Serve without TLS on an address that is not loopback.")
    ] = False
    no_auth: Annotated[
        bool, Field(description="Disable authentication; on a loopback address only.")
    ] = False
    drain_grace: Annotated[
        float, Field(ge=0, description="Seconds that calls in progress get when the server stops.")
    ] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least severe level that is logged; `debug` logs every call."),
    ] = "info"
    log_format: Annotated[
        Literal["console", "json"], Field(description="Lines for people or for machines.")
    ] = "console"
    sweep_interval: Annotated[
        float,
        Field(gt=0, description="Seconds between records of memories that have expired."),
    ] = 1.0
    checkpoint_interval: Annotated[
        float,
        Field(gt=0, description="Seconds after which deleted text leaves the write-ahead log."),
    ] = 20.0
    scrub_interval: Annotated[
        float,
        Field(gt=0, description="Seconds after which a database under 256 MB is scrubbed."),
    ] = 60.0
    scrub_window: Annotated[
        str | None,
        Field(
            pattern=windows.PATTERN,
            description="When a larger one is scrubbed, daily: `HH:MM-HH:MM` in UTC.",
        ),
    ] = None
    change_retention: Annotated[
        float | None,
        Field(gt=0, description="Days that the change log is kept; without a limit if not given."),
    ] = None
    disk_reserve: Annotated[
        int,
        Field(
            ge=0,
            description="Bytes of disk kept so that deleting works when it is full, at most a "
            "16th of it; 0 keeps none.",
        ),
    ] = 32 * 1024 * 1024
    max_waiting: Annotated[
        int,
        Field(
            ge=1, description="Writes, and reads, that may wait before further ones are refused."
        ),
    ] = 10_000
    readers: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Reads that run at once: one for single reads, the others for lists.",
        ),
    ] = 2
    embedder: Annotated[
        str,
        Field(
            description="`static`, `multilingual`, `onnx:FOLDER` or "
            "`openai:https://HOST/v1?model=NAME&dimension=NUMBER`."
        ),
    ] = "static"
    index_memory: Annotated[
        int,
        Field(
            ge=1_000_000,
            description="Bytes of memory that the search indexes of containers may take up; what "
            "does not fit is searched block by block, slowly.",
        ),
    ] = 512 * 1024 * 1024
    workers: Annotated[
        int,
        Field(
            ge=0,
            le=16,
            description="Workers that process documents; 0 leaves that to other servers.",
        ),
    ] = 3
    compute_processes: Annotated[
        int,
        Field(
            ge=0,
            le=16,
            validation_alias=_variables("compute_processes"),
            description="Processes, at most, that extract, chunk, index and embed while there is "
            "work, with one more that searches and lists; 0 leaves all that to threads of the "
            "server.",
        ),
    ] = 2
    lease: Annotated[
        float,
        Field(
            ge=0.5,
            le=3600,
            description="Seconds after which another worker takes the documents of one that died.",
        ),
    ] = 20.0
    attempts: Annotated[
        int, Field(ge=1, le=100, description="Attempts before a document is FAILED.")
    ] = 5
    embedder_key_file: Annotated[
        Path | None, Field(description="File with the key that the embedder's server requires.")
    ] = None

    @property
    def first_key_file(self) -> Path:
        """Holds the key that a new server created; only its owner can read it."""
        return self.data_dir / "first-key"

    @field_validator("listen", "http")
    @classmethod
    def _address(cls, listen: str, info: ValidationInfo) -> str:
        if info.field_name == "http" and not listen:
            return listen
        if listen == "unix:":
            raise ValueError("needs a path after unix:")
        if not listen.startswith("unix:") and _HOST_AND_PORT.fullmatch(listen) is None:
            raise ValueError("must be host:port, [ipv6]:port or unix:path")
        check_port(listen)
        return listen

    @model_validator(mode="after")
    def _protected(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: give both or neither")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")
        for address in (self.listen, self.http):
            if not address or is_loopback(address):
                continue
            if self.no_auth:
                raise ValueError(
                    f"no_auth would let everyone in on {address}: "
                    "listen on a loopback address, or use keys"
                )
            if self.tls_cert is None and not self.allow_plaintext:
                raise ValueError(
                    f"{address} is not a loopback address: give tls_cert and tls_key, "
                    "or allow_plaintext to send keys and content unencrypted"
                )
        return self


def database_path(data_dir: Path) -> Path:
    """The path of the database in a data folder."""
    return data_dir / "palimpsest.db"


def check_port(address: str) -> None:
    """Raise ValueError if the number after the last colon cannot be a port.

    gRPC takes such a number modulo 65,536, and so another port than was meant.
    """
    port = "" if address.startswith("unix:") else address.rpartition(":")[2]
    if port.isdecimal() and (len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT):
        raise ValueError(f"the port must be a number from 0 to {MAX_PORT}")


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach the address."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def explain(error: ValidationError) -> str:
    """The errors of settings, one per line, without the values."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        name = "".join(f"{part}: " for part in fault["loc"])
        lines.append(name + fault["msg"].removeprefix("Value error, "))
    return "\n".join(lines)

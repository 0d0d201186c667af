"""One frozen settings object per service, read from HARMONIA_* once. Every problem is reported in one go,
and a HARMONIA_* variable that nobody knows is a problem: it is a misspelt one.

pydantic without pydantic-settings: its sources cost each process 0.12 s of start and bring nothing here.
"""

import os
import socket
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

PREFIX = "HARMONIA_"
LONGEST_S = 7 * 86400


def _from_seconds(value: object) -> object:
    if not isinstance(value, str | int | float):
        return value
    seconds = float(value)
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"a number of seconds above 0 and up to {LONGEST_S}")
    return timedelta(seconds=seconds)


# A number of seconds in the environment, a timedelta in the program.
Seconds = Annotated[timedelta, BeforeValidator(_from_seconds)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")]


def _instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class ServiceSettings(BaseModel):
    """What every service needs; a service adds its own by subclassing. The name of a variable is
    HARMONIA_ and the name of the field, but for spans of time, which end in _S: HARMONIA_LEASE_S."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Address = Field(default="127.0.0.1:0", description="internal gRPC door")
    health_listen: Address = Field(default="127.0.0.1:0", description="plaintext grpc.health.v1")
    metrics_listen: Address = Field(default="127.0.0.1:0", description="Prometheus over HTTP")
    nats_url: str = Field(pattern=r"^tls://", description="tls://host:port, several by commas")
    tls_cert: Path = Field(description="this service's certificate chain, PEM; reread when it changes")
    tls_key: Path = Field(description="its key, PEM")
    tls_ca: Path = Field(description="the certificate authority of the mesh, PEM")
    trust_domain: str = Field(default="harmonia.local", pattern=r"^[a-z0-9._-]+$", description="of the SPIFFE ids")
    gateway_address: Address = Field(description="internal door of the gateway")
    lyricist_address: Address = Field(description="of the lyricist")
    composer_address: Address = Field(description="of the composer")
    mastering_address: Address = Field(description="of mastering")
    artifacts_address: Address = Field(description="of artifacts")
    lease: Seconds = Field(default=timedelta(seconds=30), description="a worker silent for so long loses its job")
    drain_grace: Seconds = Field(
        default=timedelta(seconds=10), description="what calls and work may still take after SIGTERM"
    )
    log_level: str = Field(
        default="info", pattern=r"^(debug|info|warning|error)$", description="debug, info, warning or error"
    )
    otlp_endpoint: str | None = Field(default=None, description="http://host:4317, where traces go; absent: nowhere")
    ready_file: Path | None = Field(default=None, description="gets a line of JSON once the service is ready")
    instance: str = Field(default_factory=_instance, min_length=1, description="name of this process; host-pid")


S = TypeVar("S", bound=ServiceSettings)


def variables(settings_type: type[ServiceSettings]) -> dict[str, str]:
    """Name of the variable of each field, by field."""
    return {
        name: PREFIX + name.upper() + ("_S" if field.annotation is timedelta else "")
        for name, field in settings_type.model_fields.items()
    }


def problems(settings_type: type[ServiceSettings], environment: Mapping[str, str]) -> list[str]:
    """A line for every variable that is missing, malformed or unknown."""
    names = variables(settings_type)
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in names.values())
    lines = [f"{name}: no such setting" for name in unknown]
    try:
        settings_from(settings_type, environment)
    except ValidationError as invalid:
        lines = [f"{_named(names, error['loc'])}: {error['msg']}" for error in invalid.errors()] + lines
    return lines


def settings_from(settings_type: type[S], environment: Mapping[str, str]) -> S:
    names = variables(settings_type)
    given = {field: environment[name] for field, name in names.items() if name in environment}
    return settings_type.model_validate(given)


def read_settings(settings_type: type[S]) -> S:
    """The settings of this process; exits with 2 and a report when they are wrong."""
    found = problems(settings_type, os.environ)
    if found:
        _refuse(found)
    return settings_from(settings_type, os.environ)


def _named(names: Mapping[str, str], loc: tuple[int | str, ...]) -> str:
    return names.get(str(loc[0]), str(loc[0])) if loc else "settings"


def _refuse(found: list[str]) -> NoReturn:
    sys.stderr.write(
        "".join(
            f"{line}\n"
            for line in ["1 setting is wrong:" if len(found) == 1 else f"{len(found)} settings are wrong:", *found]
        )
    )
    sys.exit(2)

"""What mesh.json says about a running mesh: the contract with everybody who looks for one."""

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """`grpc` is "" for the door for HTTP, whose address is `MeshInfo.rest`."""

    name: str
    pid: int
    grpc: str
    health: str
    metrics: str
    log: str


@dataclass(frozen=True, slots=True)
class ObserverInfo:
    """Credentials that may read every stream and write none."""

    cert: str
    key: str
    api_prefix: str
    inbox_prefix: str


@dataclass(frozen=True, slots=True)
class NatsInfo:
    pid: int
    url: str
    monitor: str
    observer: ObserverInfo


@dataclass(frozen=True, slots=True)
class MeshInfo:
    """`grpc` is the public door; those of `services` are internal."""

    version: str
    pid: int
    ready_ms: int
    grpc: str
    rest: str | None
    link: str | None
    ca: str
    token_file: str
    operator_token_file: str
    nats: NatsInfo
    services: tuple[ServiceInfo, ...]

    def service(self, name: str) -> ServiceInfo:
        return next(service for service in self.services if service.name == name)


def to_json(info: MeshInfo) -> str:
    """On one line."""
    return json.dumps(asdict(info))


def from_json(text: str) -> MeshInfo:
    fields: dict[str, Any] = json.loads(text)
    nats = fields.pop("nats")
    observer = ObserverInfo(**nats.pop("observer"))
    services = tuple(ServiceInfo(**service) for service in fields.pop("services"))
    return MeshInfo(**fields, nats=NatsInfo(**nats, observer=observer), services=services)

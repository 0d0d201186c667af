"""The doors of a process: gRPC for services (mutual TLS) and for users (server TLS), plaintext health, and
metrics over HTTP. Certificates are read again when their files change; no restart.

Health has two names besides the services': "live" says the process answers, "ready" and "" that it takes
work. They differ while it starts and while it drains.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import start_http_server

from harmonia_chassis.access import Admit, Door, Rule, rules_of
from harmonia_chassis.identity import CertificateFiles
from harmonia_chassis.interceptors import MethodHandler, ServerChain
from harmonia_chassis.telemetry import Metrics

LARGEST_MESSAGE = 4 * 1024 * 1024
LARGEST_METADATA = 16 * 1024
STREAMS_OF_A_USER = 100
STREAMS_OF_A_SERVICE = 1000

Handlers = dict[str, dict[str, MethodHandler]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process allows and how often it looks; the defaults are those of the mesh."""

    # Calls a door has open at once; what comes above is told to come again.
    calls_at_once: int = 4000
    # Half of a leaf's 24 h, so that no connection outlives the certificate it was made with.
    oldest_connection: timedelta = timedelta(hours=12)
    # The certificate's files change at half of its life.
    look_at_certificate: timedelta = timedelta(seconds=10)
    ask_for_revocations: timedelta = timedelta(seconds=10)


class DoorMissing(Exception):
    """A method can be called at no door of this process: the server must not start."""


class _Recorder:
    """Stands in for a server while generated code registers a servicer."""

    def __init__(self) -> None:
        self.handlers: Handlers = {}

    def add_registered_method_handlers(self, service: str, handlers: dict[str, MethodHandler]) -> None:
        self.handlers[service] = handlers

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The same handlers a second time."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A method, its rule and its handler."""

    path: str
    rule: Rule
    handler: MethodHandler


def offers_of(add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object) -> list[Offer]:
    """Every method of a servicer; raises RuleMissing."""
    recorder = _Recorder()
    add_to_server(servicer, cast("grpc.aio.Server", recorder))
    rules = rules_of(recorder.handlers)
    return [
        Offer(path, rules[path], handler)
        for service, handlers in recorder.handlers.items()
        for path, handler in ((f"/{service}/{name}", handler) for name, handler in handlers.items())
    ]


class GrpcDoor:
    """One gRPC server. Nothing is offered until `open`."""

    def __init__(self, door: Door, admit: Admit, metrics: Metrics, *, limits: Limits) -> None:
        self._door = door
        self._chain = ServerChain(door, admit, metrics, calls_at_once=limits.calls_at_once)
        self._server = grpc.aio.server(options=_options(door, limits.oldest_connection))
        self._certificates: CertificateFiles | None = None

    def offer(self, offers: list[Offer]) -> None:
        """Registers those methods whose callers use this door."""
        handlers: Handlers = {}
        for offer in offers:
            if self._door in offer.rule.doors:
                service, _, name = offer.path[1:].partition("/")
                wrapped = self._chain.wrap(offer.path, offer.rule, offer.handler)
                handlers.setdefault(service, {})[name] = wrapped
        for service, methods in handlers.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))

    async def open(self, address: str, certificates: CertificateFiles) -> str:
        """Starts to take calls; returns host:port as bound."""
        credentials = _server_credentials(certificates, mutual=self._door is Door.INTERNAL)
        port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        return f"{address.rpartition(':')[0]}:{port}"

    def end_streams(self, *, silent_for: timedelta = timedelta(0)) -> int:
        """Ends the response streams that have been silent for so long; returns how many are open."""
        self._chain.streams.end(silent_for=silent_for)
        return len(self._chain.streams)

    async def close(self, grace: timedelta) -> None:
        await self._server.stop(grace.total_seconds())


class Health:
    """grpc.health.v1 in plaintext, on a port of its own: probes cannot do mutual TLS."""

    def __init__(self) -> None:
        self._servicer = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_common())
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, self._server)

    async def open(self, address: str) -> str:
        await self._set("live", serving=True)
        await self.ready(False)
        port = self._server.add_insecure_port(address)
        await self._server.start()
        return f"{address.rpartition(':')[0]}:{port}"

    async def ready(self, is_ready: bool) -> None:
        for name in ("", "ready"):
            await self._set(name, serving=is_ready)

    async def close(self) -> None:
        await self._server.stop(None)

    async def _set(self, name: str, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._servicer.set(name, status)


def open_metrics(address: str, metrics: Metrics) -> tuple[str, Callable[[], Awaitable[None]]]:
    """Prometheus over HTTP at /metrics; returns host:port as bound, and what closes it."""
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), metrics.registry)

    async def close() -> None:
        await asyncio.to_thread(server.shutdown)  # up to 0.5 s: the server's poll
        server.server_close()
        thread.join()

    return f"{host}:{server.server_port}", close


def _server_credentials(certificates: CertificateFiles, *, mutual: bool) -> grpc.ServerCredentials:
    def configuration() -> grpc.ServerCertificateConfiguration:
        now = certificates.current
        authority = now.authority if mutual else None
        return grpc.ssl_server_certificate_configuration([(now.key, now.chain)], authority)

    served = [certificates.current]

    def newest() -> grpc.ServerCertificateConfiguration | None:
        # Called for each handshake; the files are shared with the client side, which may have read them first.
        certificates.changed()
        if certificates.current == served[0]:
            return None
        served[0] = certificates.current
        return configuration()

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        newest,  # type: ignore[arg-type]  # None means unchanged, says grpc; its stubs do not
        require_client_authentication=mutual,
    )


def _common() -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_metadata_size", LARGEST_METADATA),
        ("grpc.absolute_max_metadata_size", LARGEST_METADATA * 2),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _options(door: Door, oldest_connection: timedelta) -> list[tuple[str, Any]]:
    streams = STREAMS_OF_A_USER if door is Door.PUBLIC else STREAMS_OF_A_SERVICE
    return [
        *_common(),
        ("grpc.max_concurrent_streams", streams),
        ("grpc.max_connection_age_ms", int(oldest_connection.total_seconds() * 1000)),
        ("grpc.max_connection_age_grace_ms", 60_000),
    ]


def doors_missing(offers: list[Offer], doors: Mapping[Door, object]) -> list[str]:
    """Paths of methods that no open door serves."""
    return [offer.path for offer in offers if not offer.rule.doors & doors.keys()]

"""One process of the mesh, from its settings to its drain.

    settings → logs → start(node) → doors open → background tasks, signing keys → READY → SIGTERM
    → not ready, streams told to end, calls and work given their grace → exit 0

A background task that fails takes the process down with exit 1: whoever supervises it starts it again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn

import grpc
import structlog
import uvloop

from harmonia.identity.v1 import identity_pb2 as pb
from harmonia.identity.v1 import identity_pb2_grpc as rpc
from harmonia_chassis.access import Authenticate, Door, admit_services, admit_users
from harmonia_chassis.channel import Channels
from harmonia_chassis.errors import HarmoniaError
from harmonia_chassis.identity import (
    CertificateFiles,
    Peer,
    Revocations,
    Token,
    TokenSigner,
    TokenSource,
    TokenVerifier,
    service_of,
)
from harmonia_chassis.server import DoorMissing, GrpcDoor, Health, Limits, Offer, doors_missing, offers_of, open_metrics
from harmonia_chassis.settings import S, read_settings
from harmonia_chassis.status import rpc_errors
from harmonia_chassis.store import StoreClient
from harmonia_chassis.telemetry import Metrics, start_logs, start_traces

if TYPE_CHECKING:
    from harmonia_chassis.job_stream import JobStream

Background = Callable[[Callable[[], None]], Awaitable[None]]

# A stream that has been silent for so long when the process drains is waiting, not working.
SILENT = timedelta(seconds=1)
LOOK_AT_STREAMS = timedelta(milliseconds=100)

_log = structlog.get_logger()


class Node(Generic[S]):
    """What a service is given at its start, to hang its servicers and workers on."""

    def __init__(self, service: str, settings: S, *, limits: Limits | None = None) -> None:
        self.service = service
        self.instance = settings.instance
        self.settings = settings
        self._limits = limits or Limits()
        self.draining = asyncio.Event()
        self.ready = asyncio.Event()
        self.at: dict[str, str] = {}  # host:port as bound, of grpc, public, health, metrics
        self.metrics = Metrics()
        self.certificates = CertificateFiles(settings.tls_cert, settings.tls_key, settings.tls_ca)
        self.verifier = TokenVerifier(service, settings.trust_domain, jwks=self._jwks)
        self._signer: TokenSigner | None = None
        self._channels = Channels(addresses_of(settings), self.certificates, TokenSource(self._exchange), self.metrics)
        self._jobs: JobStream | None = None
        self._offers: list[Offer] = []
        self._background: list[tuple[str, Background, bool]] = [("signing keys", self._know_keys, False)]
        admit = admit_services(self.verifier, settings.trust_domain)
        internal = GrpcDoor(Door.INTERNAL, admit, self.metrics, limits=self._limits)
        self._doors = {Door.INTERNAL: (internal, settings.listen, self.certificates)}

    @cached_property
    def store(self) -> StoreClient:
        return StoreClient(self.channel("artifacts"))

    def channel(self, service: str) -> grpc.aio.Channel:
        """Mutual TLS, token, deadline, trace and retries; the same channel every time."""
        return self._channels.to(service)

    async def jobs(self) -> "JobStream":
        """Connected to NATS; waits until the streams are there. The same every time."""
        if self._jobs is None:
            from harmonia_chassis.job_stream import open_job_stream

            self._jobs = await open_job_stream(self.settings, self.service)
        return self._jobs

    def sign_with(self, signer: TokenSigner) -> None:
        """The gateway's: its own tokens and keys come from the signer and not from another service."""
        self._signer = signer

    def serve_users(self, listen: str, authenticate: Authenticate, *, certificates: CertificateFiles) -> None:
        """Opens the public door at host:port. `authenticate` turns a bearer token into a Principal or
        raises Unauthenticated; `certificates` are what users see."""
        door = GrpcDoor(Door.PUBLIC, admit_users(authenticate, self.metrics), self.metrics, limits=self._limits)
        self._doors[Door.PUBLIC] = (door, listen, certificates)

    def serve(
        self, add_to_server: Callable[[Any, grpc.aio.Server], None], servicer: object, *, public: bool = False
    ) -> None:
        """Offers a servicer: at the internal door those methods whose rules name services and, when it is
        public, at the public door those whose rules name users. Raises RuleMissing."""
        offers = offers_of(add_to_server, servicer)
        if not public:
            hidden = [offer.path for offer in offers if offer.rule.doors == {Door.PUBLIC}]
            if hidden:
                raise DoorMissing(f"for users, and not served in public: {', '.join(hidden)}")
        self._offers += offers

    def background(self, name: str, run: Background, *, drains: bool = False) -> None:
        """`run(ready)` becomes a task of the node and calls `ready()` once it can take work. At the drain one
        that `drains` ends by itself within the grace, because it watches `draining`; others are cancelled."""
        self._background.append((name, run, drains))

    async def live(self, start: Callable[["Node[S]"], Awaitable[None]]) -> None:
        """From start to drain; raises an ExceptionGroup when a background task fails."""
        born = time.monotonic()
        health = Health()
        async with contextlib.AsyncExitStack() as stack:
            self.at["health"] = await health.open(self.settings.health_listen)
            stack.push_async_callback(health.close)
            self.at["metrics"], close_metrics = open_metrics(self.settings.metrics_listen, self.metrics)
            stack.push_async_callback(close_metrics)
            stack.push_async_callback(self._close_clients)
            async with asyncio.TaskGroup() as tasks:
                own = [tasks.create_task(self._channels.follow_certificate(self._limits.look_at_certificate))]
                if not await self._unless_draining(start(self)):
                    _cancel(own)
                    return
                await self._open_doors(stack)
                own.append(tasks.create_task(self._follow_revocations()))
                ready = [asyncio.Event() for _ in self._background]
                work = [
                    tasks.create_task(_run(name, run, event), name=name)
                    for (name, run, _), event in zip(self._background, ready, strict=True)
                ]
                if await self._unless_draining(_all(ready)):
                    await self._be_ready(health, born)
                    await self.draining.wait()
                _log.info("draining")
                await self._be_unready(health)
                await self._drain(work)
                _cancel([*own, *work])
        _log.info("stopped")

    async def _unless_draining(self, step: Awaitable[None]) -> bool:
        """Awaits the step; False when SIGTERM came first, and then the step is cancelled."""
        doing, stopping = asyncio.ensure_future(step), asyncio.ensure_future(self.draining.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                await doing
            return doing.done() and not self.draining.is_set()
        finally:
            for task in (doing, stopping):
                task.cancel()
            await asyncio.gather(doing, stopping, return_exceptions=True)

    async def _open_doors(self, stack: contextlib.AsyncExitStack) -> None:
        missing = doors_missing(self._offers, self._doors)
        if missing:
            raise DoorMissing(f"no door is open for {', '.join(missing)}")
        for kind, (door, listen, certificates) in self._doors.items():
            door.offer(self._offers)
            self.at["grpc" if kind is Door.INTERNAL else "public"] = await door.open(listen, certificates)
            stack.push_async_callback(door.close, timedelta(0))

    async def _be_ready(self, health: Health, born: float) -> None:
        await health.ready(True)
        self.metrics.ready.set(1)
        names = {"service": self.service, "instance": self.instance}
        report = {"pid": os.getpid(), "public": None, **self.at, "ready_s": round(time.monotonic() - born, 3)}
        if self.settings.ready_file is not None:
            _write(self.settings.ready_file, json.dumps(names | report) + "\n")
        self.ready.set()
        _log.info("ready", **report)

    async def _be_unready(self, health: Health) -> None:
        self.ready.clear()
        self.metrics.ready.set(0)
        await health.ready(False)
        if self.settings.ready_file is not None:
            self.settings.ready_file.unlink(missing_ok=True)

    async def _drain(self, work: Sequence[asyncio.Task[None]]) -> None:
        """Calls and work end by themselves, or when the grace is over."""
        grace = self.settings.drain_grace
        draining = [task for task, (_, _, drains) in zip(work, self._background, strict=True) if drains]
        async with asyncio.TaskGroup() as closing:
            for door, _, _ in self._doors.values():
                closing.create_task(door.close(grace))
                closing.create_task(_end_streams(door, grace / 2))
            if draining:
                closing.create_task(asyncio.wait(draining, timeout=grace.total_seconds()))

    async def _close_clients(self) -> None:
        if self._jobs is not None:
            await self._jobs.close()
        await self._channels.close()

    async def _jwks(self) -> str:
        if self._signer is not None:
            return self._signer.jwks_json()
        with rpc_errors():
            # At the start the gateway may be on its way too: no refused connection then, and no wait after it.
            stub, starting = rpc.TokenServiceStub(self.channel("gateway")), not self.verifier.knows_keys
            answer = await stub.Jwks(pb.JwksRequest(), wait_for_ready=starting)
        self.metrics.jwks_read.set_to_current_time()
        return answer.jwks_json

    async def _know_keys(self, ready: Callable[[], None]) -> None:
        """Nobody can be let in before. The gateway has its own, so it is ready without the others, and they after it;
        those known serve on while it is away."""
        await self.verifier.know_keys()
        ready()

    async def _exchange(self, audience: str) -> Token:
        if self._signer is not None:
            return self._signer.service_token(Peer(self.service, self.certificates.current.thumbprint), audience)
        asked = datetime.now(UTC)
        with rpc_errors():
            request = pb.ExchangeRequest(audience=audience)
            answer = await rpc.TokenServiceStub(self.channel("gateway")).Exchange(request)
        return Token(answer.token, asked + answer.expires_in.ToTimedelta())

    async def _follow_revocations(self) -> None:
        """The gateway sets its own; the others ask it. While it is away, what was known last holds."""
        while self._signer is None:
            with contextlib.suppress(HarmoniaError), rpc_errors():
                request = pb.ListRevocationsRequest()
                answer = await rpc.TokenServiceStub(self.channel("gateway")).ListRevocations(request)
                self.verifier.revocations = revocations_of(answer, self.settings.trust_domain)
            await asyncio.sleep(self._limits.ask_for_revocations.total_seconds())


def run_service(
    service: str,
    settings_type: type[S],
    start: Callable[[Node[S]], Awaitable[None]],
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """The whole of a service's main. Exits 0 after a drain, 1 after a failure, 2 on wrong settings."""
    parser = argparse.ArgumentParser(f"harmonia_{service}", description="Runs from HARMONIA_* variables alone.")
    parser.add_argument("--check", action="store_true", help="check the settings and exit")
    arguments = parser.parse_args(argv)
    settings = read_settings(settings_type)
    if arguments.check:
        sys.exit(0)
    os.umask(0o077)
    start_logs(service, settings.instance, level=settings.log_level)
    end_traces = start_traces(service, settings.instance, otlp_endpoint=settings.otlp_endpoint)
    try:
        uvloop.run(_main(service, settings, start))
    except Exception:
        _log.error("stopped by an error", exc_info=True)
        sys.exit(1)
    finally:
        end_traces()
    sys.exit(0)


async def _main(service: str, settings: S, start: Callable[[Node[S]], Awaitable[None]]) -> None:
    node = Node(service, settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, node.draining.set)
    await node.live(start)


def addresses_of(settings: S) -> dict[str, str]:
    return {
        "gateway": settings.gateway_address,
        "lyricist": settings.lyricist_address,
        "composer": settings.composer_address,
        "mastering": settings.mastering_address,
        "artifacts": settings.artifacts_address,
    }


def revocations_of(answer: pb.ListRevocationsResponse, trust_domain: str) -> Revocations:
    listed = answer.revocations
    oldest = [(service_of(one.subject, trust_domain), one.min_iat.ToSeconds()) for one in listed if one.subject]
    return Revocations(
        frozenset(one.kid for one in listed if one.kid),
        frozenset(one.jti for one in listed if one.jti),
        tuple((service, float(second)) for service, second in oldest if service is not None),
    )


def closing(close: Callable[[], Awaitable[None]]) -> Background:
    """A task of the node that only closes what others use, at the end."""

    async def run(ready: Callable[[], None]) -> None:
        ready()
        try:
            await asyncio.Event().wait()
        finally:
            await close()

    return run


async def _run(name: str, run: Background, ready: asyncio.Event) -> None:
    try:
        await run(ready.set)
    except Exception:
        _log.error("background task failed", task=name)
        raise
    ready.set()


async def _all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def _end_streams(door: GrpcDoor, grace: timedelta) -> None:
    for _ in range(int(grace / LOOK_AT_STREAMS)):
        if not door.end_streams(silent_for=SILENT):
            return
        await asyncio.sleep(LOOK_AT_STREAMS.total_seconds())
    door.end_streams()


def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)

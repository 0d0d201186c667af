"""The mesh on one machine: nats-server and the five services as processes of one home, started, supervised, stopped.

There is no insecure way to run it: each process has its own certificate from the home's private CA, and people come in
with the home's tokens.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from harmonia_chassis.errors import InvalidInput, NotFound, Reason
from harmonia_chassis.lanes import accounts, api_prefix, inbox
from harmonia_local.certificates import (
    SERVICES,
    bootstrap_keys,
    ensure_signing_key,
    ensure_token,
    issue_stale,
    open_authority,
)
from harmonia_local.environments import (
    Doors,
    Plan,
    RestDoors,
    address,
    rest_environment,
    service_environment,
    without_settings,
)
from harmonia_local.home import Home, is_alive
from harmonia_local.mesh_info import MeshInfo, NatsInfo, ObserverInfo, ServiceInfo, from_json, to_json
from harmonia_local.nats_server import NatsServer, check_version, configuration, find_binary
from harmonia_local.ports import Ports
from harmonia_local.private_file import write_private
from harmonia_local.rest import REST_PORT, ensure_session_key, new_link
from harmonia_local.supervisor import Child, Command, ReadyFile, supervised
from harmonia_local.task_owner import owned_tasks

TRUST_DOMAIN = "harmonia.local"
PUBLIC_PORT = 7443
LEASE_S = 10.0
RENEWAL_CHECK_S = 60.0  # by the clock on the wall and often, because a laptop sleeps

# Who is stopped together, and the seconds it may take: workers hand back their jobs through the others.
STOP_ORDER: tuple[tuple[tuple[str, ...], float], ...] = (
    (("rest", "lyricist", "composer", "mastering"), 9.0),
    (("gateway", "artifacts"), 5.5),
    (("nats",), 3.0),
)

RESTART_GRACE_S = 10.0

Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    sys.stderr.write(f"harmonia: {line}\n")
    sys.stderr.flush()


class Mesh:
    """A running mesh. `nats` is one of its processes, beside the five services; so is `rest`, where it is built."""

    def __init__(self, plan: Plan, nats: NatsServer) -> None:
        self._plan = plan
        self._nats = nats
        self._children: Mapping[str, Child] = {}
        self._ready_ms = 0
        self._announced = False
        self._link: str | None = None

    @property
    def info(self) -> MeshInfo:
        """With the pids of this moment."""
        home = self._plan.home
        return MeshInfo(
            version=version("harmonia-local"),
            pid=os.getpid(),
            ready_ms=self._ready_ms,
            grpc=address(self._plan.public_port),
            rest=self._rest_url,
            link=self._link,
            ca=str(home.pki / "ca.pem"),
            token_file=str(home.user_token),
            operator_token_file=str(home.operator_token),
            nats=self._nats_info(),
            services=(*(self._service_info(name) for name in SERVICES), *self._rest_info()),
        )

    def pid(self, service: str) -> int:
        return self._child(service).pid

    async def ready(self, service: str) -> None:
        """Returns when the process that runs now, or the next one, is ready."""
        await self._child(service).is_ready.wait()

    async def restart(self, service: str) -> None:
        """Drains the process and returns when its successor is ready."""
        await self._child(service).restart(RESTART_GRACE_S)

    async def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Returns when the process is dead (SIGKILL) or has the signal (others); the supervisor starts it again."""
        await self._child(service).kill(number)

    async def become_ready(self, children: Mapping[str, Child], *, began: float) -> None:
        self._children = children
        for name in children:
            await self.ready(name)
        self._ready_ms = round((time.monotonic() - began) * 1000)
        if self._rest_url is not None:
            self._link = new_link(self._plan.home, self._rest_url)
        self._announced = True
        self._write_info()

    def process_started(self) -> None:
        if self._announced:
            self._write_info()

    def withdraw(self) -> None:
        """A mesh that drains is no longer to be found; whoever looks for one waits for the lock."""
        self._announced = False
        self._plan.home.mesh_json.unlink(missing_ok=True)

    def reload_nats(self) -> None:
        """nats-server reads its certificate again."""
        os.kill(self.pid("nats"), signal.SIGHUP)

    @property
    def _rest_url(self) -> str | None:
        rest = self._plan.rest
        return None if rest is None else f"http://{address(rest.http)}"

    def _write_info(self) -> None:
        write_private(self._plan.home.mesh_json, f"{to_json(self.info)}\n".encode())

    def _nats_info(self) -> NatsInfo:
        pki = self._plan.home.pki
        observer = ObserverInfo(
            cert=str(pki / "observer.pem"),
            key=str(pki / "observer.key.pem"),
            api_prefix=api_prefix("observer"),
            inbox_prefix=inbox("observer"),
        )
        return NatsInfo(pid=self.pid("nats"), url=self._nats.url, monitor=self._nats.monitor, observer=observer)

    def _service_info(self, name: str) -> ServiceInfo:
        doors = self._plan.doors[name]
        return ServiceInfo(
            name=name,
            pid=self.pid(name),
            grpc=address(doors.grpc),
            health=address(doors.health),
            metrics=f"http://{address(doors.metrics)}/metrics",
            log=str(self._plan.home.log(name)),
        )

    def _rest_info(self) -> Iterator[ServiceInfo]:
        rest = self._plan.rest
        if rest is not None:
            yield ServiceInfo(
                name="rest",
                pid=self.pid("rest"),
                grpc="",
                health=address(rest.health),
                metrics=f"http://{address(rest.metrics)}/metrics",
                log=str(self._plan.home.log("rest")),
            )

    def _child(self, service: str) -> Child:
        if service not in self._children:
            known = ", ".join(self._children)
            raise NotFound(f"the mesh has no process {service!r}, only {known}", reason=Reason.UNKNOWN_VALUE)
        return self._children[service]


def find_mesh(home: Path) -> MeshInfo | None:
    """The mesh that runs in this home. Its pid must live and its lock be held: a pid alone may be somebody else's."""
    place = Home.at(home)
    try:
        info = from_json(place.mesh_json.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):  # of another version: nothing that this one could use
        return None
    return info if is_alive(info.pid) and place.is_locked() else None


@asynccontextmanager
async def running_mesh(
    home: Path,
    *,
    commands: Mapping[str, Sequence[str]] | None = None,
    environment: Mapping[str, str] | None = None,
    lease_s: float = LEASE_S,
    rest: Path | None = None,
    say: Say = to_stderr,
) -> AsyncIterator[Mesh]:
    """A mesh that is ready when the body starts, and gone, with every process, when it is left.

    `commands` are other argv per process, `environment` more settings, `rest` the program that answers HTTP. The body
    is cancelled when a process cannot be kept alive; then, and when the start fails, FailedPrecondition names the log.
    """
    began = time.monotonic()
    _check_names(commands or {})
    place = Home.at(home)
    place.make()
    async with place.locked() as lock:
        place.mesh_json.unlink(missing_ok=True)
        with Ports() as ports:
            plan, nats = _plan(place, ports, lease_s=lease_s, binary=find_binary(), rest=rest)
            await check_version(nats.binary)
            make_keys(place, now=datetime.now(UTC), keep_keys=False)
            write_private(nats.config, _nats_configuration(plan, nats))
            mesh = Mesh(plan, nats)
            async with (
                supervised(
                    [
                        _nats_command(plan, nats),
                        *_service_commands(plan, commands or {}, environment or {}),
                        *_rest_commands(plan, environment or {}),
                    ],
                    stop_order=STOP_ORDER,
                    inherited=[lock],
                    on_start=mesh.process_started,
                    say=say,
                ) as children,
                _certificates_kept_fresh(mesh, place, say),
            ):
                await mesh.become_ready(children, began=began)
                try:
                    yield mesh
                finally:
                    mesh.withdraw()


def _check_names(commands: Mapping[str, Sequence[str]]) -> None:
    unknown = sorted(set(commands) - set(SERVICES))
    if unknown:
        raise InvalidInput(
            f"commands for {', '.join(unknown)}; the services are {', '.join(SERVICES)}",
            field="commands",
            reason=Reason.UNKNOWN_VALUE,
        )


def make_keys(home: Home, *, now: datetime, keep_keys: bool) -> list[str]:
    """Whatever is missing or stale under pki/ and run/; returns the names of the certificates issued."""
    ensure_signing_key(home.signing_key)
    ensure_session_key(home.session_key)
    keys = bootstrap_keys(ensure_token(home.user_token), ensure_token(home.operator_token))
    write_private(home.bootstrap_keys, keys)
    authority = open_authority(home.pki, now)
    return issue_stale(authority, home.pki, trust_domain=TRUST_DOMAIN, now=now, keep_keys=keep_keys)


def _plan(home: Home, ports: Ports, *, lease_s: float, binary: Path, rest: Path | None) -> tuple[Plan, NatsServer]:
    nats = NatsServer(binary, config=home.root / "nats" / "nats.json", port=ports.take(), monitor_port=ports.take())
    doors = {name: Doors(grpc=ports.take(), health=ports.take(), metrics=ports.take()) for name in SERVICES}
    public_port = ports.take_preferring(PUBLIC_PORT)
    http = None if rest is None else _rest_doors(rest, ports)
    return Plan(home, nats.url, TRUST_DOMAIN, lease_s, public_port, doors, http), nats


def _rest_doors(binary: Path, ports: Ports) -> RestDoors:
    return RestDoors(binary, ports.take_preferring(REST_PORT), health=ports.take(), metrics=ports.take())


def _nats_configuration(plan: Plan, nats: NatsServer) -> bytes:
    return configuration(nats, store=plan.home.root / "nats", pki=plan.home.pki, accounts=accounts(plan.trust_domain))


def _nats_command(plan: Plan, nats: NatsServer) -> Command:
    return Command(
        name="nats",
        argv=nats.argv,
        environment=without_settings(os.environ),
        log=plan.home.log("nats"),
        readiness=nats,
    )


def _service_commands(
    plan: Plan, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> Iterator[Command]:
    for service in SERVICES:
        yield Command(
            name=service,
            argv=commands.get(service) or (sys.executable, "-m", f"harmonia_{service}"),
            environment=service_environment(service, plan, inherited=os.environ, added=environment),
            log=plan.home.log(service),
            readiness=ReadyFile(plan.home.ready_file(service)),
        )


def _rest_commands(plan: Plan, environment: Mapping[str, str]) -> Iterator[Command]:
    if plan.rest is not None:
        yield Command(
            name="rest",
            argv=(str(plan.rest.binary),),
            environment=rest_environment(plan, plan.rest, inherited=os.environ, added=environment),
            log=plan.home.log("rest"),
            readiness=ReadyFile(plan.home.ready_file("rest")),
        )


@asynccontextmanager
async def _certificates_kept_fresh(mesh: Mesh, home: Home, say: Say) -> AsyncIterator[None]:
    async with owned_tasks() as tasks:
        renewal = tasks.create_task(_keep_fresh(mesh, home, say))
        try:
            yield
        finally:
            renewal.cancel()


async def _keep_fresh(mesh: Mesh, home: Home, say: Say) -> None:
    """A full disk is no reason to stop: half a leaf's life is left to try again."""
    while True:
        await asyncio.sleep(RENEWAL_CHECK_S)
        try:
            issued = await asyncio.to_thread(make_keys, home, now=datetime.now(UTC), keep_keys=True)
        except OSError as error:
            say(f"certificates cannot be reissued: {error}; trying again in {RENEWAL_CHECK_S:g} s")
            continue
        if "nats" in issued:
            mesh.reload_nats()

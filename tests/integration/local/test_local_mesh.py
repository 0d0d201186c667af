"""A home's mesh with a real nats-server and services that only say they are ready."""

import asyncio
import json
import os
import signal
import ssl
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats
import nats.errors
import psutil
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from harmonia_chassis.errors import FailedPrecondition, InvalidInput
from harmonia_local.certificates import SERVICES
from harmonia_local.environments import DRAIN_GRACE_S
from harmonia_local.home import Home
from harmonia_local.mesh import STOP_ORDER, Mesh, find_mesh, make_keys, running_mesh
from harmonia_local.mesh_info import MeshInfo, from_json
from tests.processes import LONG_S, alive, all_gone, children, group_of

FAKE = (
    "import json, os, pathlib, signal;"
    "pathlib.Path(os.environ['HARMONIA_READY_FILE']).write_text(json.dumps(dict(os.environ)));"
    "signal.pause()"
)
FAKES: dict[str, Sequence[str]] = dict.fromkeys(SERVICES, (sys.executable, "-I", "-S", "-c", FAKE))


@asynccontextmanager
async def mesh_of_fakes(home: Path, environment: dict[str, str] | None = None) -> AsyncIterator[Mesh]:
    async with running_mesh(home, commands=FAKES, environment=environment, say=lambda _: None) as mesh:
        yield mesh


async def until(condition: Callable[[], bool], timeout_s: float = LONG_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def content(path: str) -> str:
    return Path(path).read_text()


async def connect(info: MeshInfo, user: str, errors: list[Exception] | None = None) -> Client:
    async def note(error: Exception) -> None:
        if errors is not None:
            errors.append(error)

    pki = Path(info.ca).parent
    context = ssl.create_default_context(cafile=info.ca)
    context.load_cert_chain(pki / f"{user}.pem", pki / f"{user}.key.pem")
    return await asyncio.wait_for(
        nats.connect(
            info.nats.url,
            tls=context,
            inbox_prefix=f"_INBOX_{user}",
            error_cb=note,
            allow_reconnect=False,
            connect_timeout=LONG_S,
        ),
        LONG_S,
    )


async def test_mesh_json_says_what_runs_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with mesh_of_fakes(home) as mesh:
        file = home / "run" / "mesh.json"
        said = json.loads(file.read_text())

        assert list(said) == [
            *("version", "pid", "ready_ms", "grpc", "rest", "link", "ca", "token_file", "operator_token_file"),
            *("nats", "services"),
        ]
        assert file.stat().st_mode & 0o777 == 0o600
        assert said["pid"] == os.getpid()
        assert (said["rest"], said["link"]) == (None, None)
        assert 0 < said["ready_ms"] < 60_000
        assert [service["name"] for service in said["services"]] == list(SERVICES)
        assert list(said["services"][0]) == ["name", "pid", "grpc", "health", "metrics", "log"]
        assert list(said["nats"]) == ["pid", "url", "monitor", "observer"]
        assert list(said["nats"]["observer"]) == ["cert", "key", "api_prefix", "inbox_prefix"]
        assert (said["nats"]["observer"]["api_prefix"], said["nats"]["observer"]["inbox_prefix"]) == (
            "HM.API",
            "_INBOX_observer",
        )
        assert find_mesh(home) == mesh.info == from_json(file.read_text())
    assert find_mesh(home) is None
    assert not file.exists()


async def test_everything_in_a_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    async with mesh_of_fakes(home):
        modes = {path: path.stat().st_mode & 0o777 for path in [home, *home.rglob("*")]}

    assert {path for path, mode in modes.items() if mode & 0o077} == set()


async def test_no_process_is_left_when_the_mesh_is_left(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        members = group_of(mesh.pid("composer"))
        began = time.monotonic()

    # What fakes take is nothing; a sum of graces over 20 s fails in test_the_longest_stop_is_under_20_s….
    assert time.monotonic() - began < LONG_S
    assert len(members) == 7  # five services, nats-server, the guard
    await all_gone(members)


async def test_a_service_that_dies_comes_back_on_its_ports_and_mesh_json_follows(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        before = mesh.info.service("composer")
        await mesh.kill("composer")
        await mesh.ready("composer")
        after = from_json(Home(tmp_path).mesh_json.read_text()).service("composer")

        assert after.pid == mesh.pid("composer") != before.pid
        assert (after.grpc, after.health, after.metrics) == (before.grpc, before.health, before.metrics)


async def test_nats_server_comes_back_on_its_port_with_its_streams(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        client = await connect(mesh.info, "gateway")
        await client.jetstream().add_stream(StreamConfig("HM_JOBS", subjects=["hm.v1.job.>"]))
        await client.jetstream().publish("hm.v1.job.t.j.queued.write", b"kept")
        await client.close()
        await mesh.kill("nats")
        await mesh.ready("nats")
        client = await connect(mesh.info, "gateway")

        assert (await client.jetstream().get_msg("HM_JOBS", 1)).data == b"kept"
        await client.close()


async def test_songs_of_a_home_outlive_its_mesh(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        client = await connect(mesh.info, "gateway")
        await client.jetstream().add_stream(StreamConfig("HM_JOBS", subjects=["hm.v1.job.>"]))
        await client.close()
        token = content(mesh.info.token_file)
    async with mesh_of_fakes(tmp_path) as mesh:
        client = await connect(mesh.info, "gateway")

        assert (await client.jetstream().stream_info("HM_JOBS")).config.name == "HM_JOBS"
        assert content(mesh.info.token_file) == token
        await client.close()


async def test_the_observer_reads_and_does_not_write(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        gateway = await connect(mesh.info, "gateway")
        await gateway.jetstream().add_stream(StreamConfig("HM_JOBS", subjects=["hm.v1.job.>"]))
        await gateway.jetstream().publish("hm.v1.job.t.j.queued.write", b"record")
        errors: list[Exception] = []
        observer = await connect(mesh.info, "observer", errors)

        stored = await observer.jetstream(prefix=mesh.info.nats.observer.api_prefix).get_msg("HM_JOBS", 1)
        await observer.publish("hm.v1.job.t.j.succeeded.write", b"forged")
        await until(lambda: bool(errors))

        assert stored.data == b"record"
        assert "permissions violation" in str(errors[0]).lower()
        assert (await gateway.jetstream().stream_info("HM_JOBS")).state.messages == 1
        await observer.close()
        await gateway.close()


@pytest.mark.parametrize("origin", ["not in the table", "another CA", "no certificate"])
async def test_a_stranger_does_not_get_into_nats(tmp_path: Path, origin: str) -> None:
    home, foreign, now = tmp_path / "home", tmp_path / "foreign", datetime.now(UTC)
    async with mesh_of_fakes(home) as mesh:
        certificate = home / "pki" / "nats.pem"  # nats is one of the mesh and a user of none of its accounts
        if origin == "another CA":
            Home(foreign).make()
            make_keys(Home(foreign), now=now, keep_keys=False)
            certificate = foreign / "pki" / "gateway.pem"
        context = ssl.create_default_context(cafile=mesh.info.ca)
        if origin != "no certificate":
            context.load_cert_chain(certificate, certificate.with_suffix(".key.pem"))

        with pytest.raises((nats.errors.Error, ssl.SSLError, ConnectionError)):
            await asyncio.wait_for(
                nats.connect(mesh.info.nats.url, tls=context, allow_reconnect=False, max_reconnect_attempts=1), LONG_S
            )


async def test_nats_server_takes_a_reissued_certificate_while_it_runs(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        later = datetime.now(UTC) + timedelta(hours=13)
        issued = make_keys(Home(tmp_path), now=later, keep_keys=True)
        mesh.reload_nats()
        host, port = mesh.info.nats.url.removeprefix("tls://").split(":")
        expected = ssl.PEM_cert_to_DER_cert((tmp_path / "pki" / "nats.pem").read_text())
        assert "nats" in issued

        async with asyncio.timeout(LONG_S):
            while await certificate_of(host, int(port)) != expected:
                await asyncio.sleep(0.05)


async def certificate_of(host: str, port: int) -> bytes:
    """NATS says INFO in the open and starts TLS then."""
    reader, writer = await asyncio.open_connection(host, port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    await reader.readline()
    await writer.start_tls(context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def test_two_homes_are_two_meshes(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path / "one") as one, mesh_of_fakes(tmp_path / "two") as two:
        ports = [
            {info.grpc, info.nats.url, info.nats.monitor, *(service.grpc for service in info.services)}
            for info in (one.info, two.info)
        ]

        assert not ports[0] & ports[1]
        assert content(one.info.ca) != content(two.info.ca)
        assert content(one.info.token_file) != content(two.info.token_file)


async def test_a_second_mesh_in_a_home_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    async with mesh_of_fakes(tmp_path) as mesh:
        with pytest.raises(FailedPrecondition, match=rf"process {os.getpid()} already runs a mesh in {tmp_path}"):
            await mesh_of_fakes(tmp_path).__aenter__()

        assert find_mesh(tmp_path) == mesh.info


async def test_services_get_the_settings_of_the_mesh_and_none_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARMONIA_HOME", "/elsewhere")
    async with mesh_of_fakes(tmp_path, {"HARMONIA_LOG_LEVEL": "debug"}) as mesh:
        got = json.loads(Home(tmp_path).ready_file("composer").read_text())

        assert "HARMONIA_HOME" not in got
        assert got["HARMONIA_LOG_LEVEL"] == "debug"
        assert got["HARMONIA_LISTEN"] == mesh.info.service("composer").grpc
        assert got["HARMONIA_NATS_URL"] == mesh.info.nats.url


async def test_a_mesh_json_whose_process_is_gone_is_ignored_and_the_home_can_be_used(tmp_path: Path) -> None:
    script = tmp_path / "up.py"
    script.write_text(
        textwrap.dedent(f"""
        import asyncio, pathlib
        from harmonia_local.mesh import running_mesh

        async def main():
            async with running_mesh(pathlib.Path({str(tmp_path / "home")!r}), commands={FAKES!r}):
                await asyncio.Event().wait()

        asyncio.run(main())
        """)
    )
    first = await asyncio.create_subprocess_exec(sys.executable, str(script))
    mesh_json = tmp_path / "home" / "run" / "mesh.json"
    await until(mesh_json.exists)
    members = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    await first.wait()

    assert mesh_json.exists()
    assert find_mesh(tmp_path / "home") is None
    async with mesh_of_fakes(tmp_path / "home"):
        assert len(members) == 7
        await all_gone(members)


def test_a_mesh_json_whose_pid_is_somebody_elses_is_ignored(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.mesh_json.write_text(
        json.dumps(
            {
                **dict.fromkeys(("version", "grpc", "ca", "token_file", "operator_token_file"), ""),
                **dict.fromkeys(("rest", "link")),
                "pid": os.getpid(),
                "ready_ms": 1,
                "nats": {
                    "pid": 1,
                    "url": "",
                    "monitor": "",
                    "observer": dict.fromkeys(("cert", "key", "api_prefix", "inbox_prefix"), ""),
                },
                "services": [],
            }
        )
    )

    assert find_mesh(tmp_path) is None


def test_a_mesh_json_of_another_version_is_ignored(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.mesh_json.write_text('{"pid": 1}')

    assert find_mesh(tmp_path) is None


async def test_a_mesh_whose_service_does_not_start_says_which_and_leaves_nothing(tmp_path: Path) -> None:
    commands = {**FAKES, "mastering": (sys.executable, "-c", "raise SystemExit(2)")}
    said: list[str] = []
    before = children()
    with pytest.raises(FailedPrecondition, match=rf"mastering died 5 times in a row .* {tmp_path}/logs/mastering\.log"):
        await running_mesh(tmp_path, commands=commands, say=said.append).__aenter__()

    assert alive([child for child in children() if child not in before]) == []
    assert said[0] == "mastering ended with status 2; starting it again in 0.2 s"
    assert find_mesh(tmp_path) is None


async def test_an_error_of_whoever_uses_the_mesh_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with mesh_of_fakes(tmp_path):
            _ = 1 // 0


async def test_a_command_for_no_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="commands for compser; the services are gateway"):
        await running_mesh(tmp_path, commands={"compser": ["true"]}).__aenter__()


def test_the_longest_stop_is_under_20_s_and_every_drain_fits_in() -> None:
    graces = {name: grace_s for names, grace_s in STOP_ORDER for name in names}

    assert sum(grace_s for _, grace_s in STOP_ORDER) < 20
    assert set(graces) == {*SERVICES, "nats", "rest"}
    assert all(DRAIN_GRACE_S[service] < graces[service] for service in SERVICES)

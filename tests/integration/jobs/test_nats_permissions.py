"""Who may say what to NATS, tried on a real server with every service's own certificate.

The cells come from the table of lanes.py turned around: each service tries every other one's lines.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from itertools import product

import nats.errors
import pytest
from nats import connect as connect_to_nats

from harmonia.job.v1 import job_pb2
from harmonia_chassis import lanes
from harmonia_chassis.job_stream import JobStream
from tests.real_nats import RealNats

Connect = Callable[[str], Awaitable[JobStream]]
NewJob = Callable[..., job_pb2.Job]
WORKERS = tuple(lanes.SERVES)
OUTSIDERS = (*WORKERS, "artifacts", "observer")
TOKENS = {"*": "x", ">": "x"}


def concrete(subject: str) -> str:
    """The subject with an example in place of each wildcard."""
    return ".".join(TOKENS.get(token, token) for token in subject.split("."))


def said_by(service: str) -> set[str]:
    return {concrete(name).replace("$JS.API", lanes.IMPORTED_API) for name in lanes.permissions(service).publish}


FORBIDDEN = {
    "forge an end": "hm.v1.job.t.j.succeeded.compose-arranger",
    "cancel": "hm.v1.job.t.j.cancelling.master",
    "delete": "hm.v1.job.t.j.deleted.master",
    "purge a record": "hm.v1.job.t.j.purged.master",
    "write an entity": "hm.v1.entity.mesh.key.x",
    "delete the stream": "$JS.API.STREAM.DELETE.HM_JOBS",
    "purge the stream": "$JS.API.STREAM.PURGE.HM_JOBS",
    "delete the stream by its imported name": "HM.API.STREAM.DELETE.HM_JOBS",
    "create a consumer": "HM.API.CONSUMER.CREATE.HM_JOBS.mine",
    "delete a message": "HM.API.STREAM.MSG.DELETE.HM_JOBS",
    "another's inbox": "_INBOX_gateway.x.y",
    "flow control": "$JS.FC.HM_JOBS.x",
}


async def refused(jobs: JobStream, say: Callable[..., Awaitable[object]], subject: str) -> bool:
    """True when the server says that it refuses; the error callback of the connection hears of it."""
    jobs.connection.refused = None
    await say(subject)
    # Twice: the first ping may overtake what waits in the client's buffer.
    await jobs.connection.nc.flush()
    await jobs.connection.nc.flush()
    return jobs.connection.refused is not None


async def let_through(jobs: JobStream, subjects: Iterable[str]) -> list[str]:
    return [subject for subject in subjects if not await refused(jobs, jobs.connection.nc.publish, subject)]


@pytest.mark.parametrize("service", [*WORKERS, "artifacts"])
async def test_a_service_is_refused_what_others_may_say(service: str, connect: Connect, gateway: JobStream) -> None:
    jobs = await connect(service)
    own = said_by(service)
    others = set().union(*(said_by(other) for other in OUTSIDERS if other != service)) - own
    tries = others | {subject for subject in FORBIDDEN.values() if subject not in own}
    # The last stage alone may write succeeded.
    allowed = await let_through(jobs, tries)

    print(f"{service}: {len(tries)} subjects tried, {len(allowed)} let through")
    assert allowed == []


async def test_the_observer_says_nothing_but_reads(connect: Connect, gateway: JobStream, new_job: NewJob) -> None:
    stored = await gateway.create(new_job())
    jobs = await connect("observer")
    said = set().union(*(said_by(worker) for worker in WORKERS)) | set(FORBIDDEN.values())
    tries = {subject for subject in said if not subject.startswith(f"{lanes.IMPORTED_API}.STREAM.MSG.GET.")}

    assert await let_through(jobs, tries) == []
    assert await jobs.read(stored.job.tenant, stored.job.id) == stored


@pytest.mark.parametrize("service", OUTSIDERS)
async def test_no_service_hears_what_is_not_for_it(service: str, connect: Connect, gateway: JobStream) -> None:
    jobs = await connect(service)
    own = lanes.permissions(service).subscribe
    tries = [
        "hm.v1.job.>",
        "hm.v1.entity.>",
        "$JS.ACK.>",
        "$KV.HM_WORKERS.>",
        "_INBOX_gateway.>",
        *(lanes.cancelling_subject(lane) for lane in lanes.all_lanes() if lanes.cancelling_subject(lane) not in own),
    ]
    for subject in tries:
        assert await refused(jobs, jobs.connection.nc.subscribe, subject), subject


@pytest.mark.parametrize(
    ("service", "reply"),
    list(
        product(
            (*WORKERS, "artifacts"),
            [
                "$JS.API.STREAM.DELETE.HM_JOBS",
                "$JS.API.STREAM.PURGE.HM_JOBS",
                "$JS.API.CONSUMER.DELETE.HM_JOBS.write",
                "hm.v1.job.t.j.succeeded.master",
                "hm.v1.entity.mesh.key.x",
                "_INBOX_gateway.forged",
            ],
        )
    ),
)
async def test_a_reply_subject_is_no_way_around(
    service: str, reply: str, connect: Connect, gateway: JobStream, new_job: NewJob
) -> None:
    """The server answers to whatever reply a client names: from another account that leads nowhere."""
    stored = await gateway.create(new_job())
    heard: list[object] = []

    async def hear(message: object) -> None:
        heard.append(message)

    if reply.startswith("_INBOX"):
        await gateway.connection.nc.subscribe(reply, cb=hear)
    jobs = await connect(service)
    for subject in sorted(name for name in said_by(service) if name.startswith(lanes.IMPORTED_API)):
        await jobs.connection.nc.publish(subject, b"", reply=reply)
        await jobs.connection.nc.publish(subject, b'{"last_by_subj": "hm.v1.job.>"}', reply=reply)
    await jobs.connection.nc.flush()

    info = await gateway.js.stream_info(lanes.JOBS)
    assert info.state.messages == 1
    assert info.state.consumer_count == len(lanes.all_lanes())
    assert (await gateway.js.stream_info(lanes.ENTITIES)).state.messages == 0
    assert await gateway.read(stored.job.tenant, stored.job.id) == stored
    assert heard == []


async def test_nobody_comes_in_without_a_certificate_of_the_table(real_nats: RealNats) -> None:
    context = ssl.create_default_context(cafile=str(real_nats.folder / "pki" / "ca.pem"))
    for certificate in (None, "public"):
        if certificate:
            pki = real_nats.folder / "pki"
            context.load_cert_chain(pki / f"{certificate}.pem", pki / f"{certificate}.key.pem")
        with pytest.raises((nats.errors.Error, OSError, asyncio.TimeoutError)):
            await asyncio.wait_for(
                connect_to_nats(real_nats.server.url, tls=context, allow_reconnect=False, max_reconnect_attempts=0), 60
            )

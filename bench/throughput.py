"""Songs a second from CreateSong to SUCCEEDED when the stages do nothing, beside a raw JetStream publish loop."""

import asyncio
import time

from bench.meshes import Measured, noop_mesh
from bench.table import Row
from harmonia.song.v1 import spec_pb2
from harmonia_chassis.nats_connection import Connection, Credentials

SONGS = 2000
CALLERS = 32
PUBLISHES = 3000


async def rows() -> list[Row]:
    async with noop_mesh() as measured:
        raw = await _raw_publishes_a_second(measured)
        began = time.monotonic()
        names = await _create_all(measured)
        created = time.monotonic()
        await _until_all_ended(measured, len(names))
        ended = time.monotonic()
    return [
        Row("no-op songs, accepted to SUCCEEDED", f"{SONGS / (ended - began):.0f} songs/s", "≥ 150 songs/s"),
        Row("of these CreateSong alone, 32 callers", f"{SONGS / (created - began):.0f} songs/s"),
        Row("raw JetStream publish, one at a time, same server", f"{raw:.0f} messages/s"),
    ]


async def _create_all(measured: Measured) -> list[str]:
    places = asyncio.Semaphore(CALLERS)

    async def one() -> str:
        async with places:
            return str((await measured.client.create(spec_pb2.SongSpec(prompt="techno"))).name)

    return await asyncio.gather(*(one() for _ in range(SONGS)))


async def _until_all_ended(measured: Measured, songs: int) -> None:
    while (await measured.client.list(filter="state = SUCCEEDED", limit=1)).total_size < songs:
        await asyncio.sleep(0.05)


async def _raw_publishes_a_second(measured: Measured) -> float:
    pki = measured.home / "pki"
    connection = Connection("gateway", Credentials(pki / "gateway.pem", pki / "gateway.key.pem", pki / "ca.pem"))
    await connection.open(measured.mesh.info.nats.url)
    js = connection.nc.jetstream()
    began = time.monotonic()
    for _ in range(PUBLISHES):
        await js.publish("hm.v1.entity.bench.raw.x", b"x" * 1500)
    took = time.monotonic() - began
    await connection.close()
    return PUBLISHES / took

"""From CancelSong to CANCELLED, with a worker that lives and with one that was killed and does not come back."""

import asyncio
import signal
import time

from bench.meshes import Measured, real_mesh
from bench.table import Row, ms, p50
from harmonia.song.v1 import song_pb2, spec_pb2

LIVE, DEAD = 20, 2
LEASE_S = 10.0


async def rows() -> list[Row]:
    async with real_mesh() as measured:
        live = [await _cancel_s(measured, kill=False) for _ in range(LIVE)]
        dead = [await _cancel_s(measured, kill=True) for _ in range(DEAD)]
    bound = 3 * LEASE_S + 10
    return [
        Row("cancel, live worker, p50", ms(p50(live)), "≤ 1 step + 0.5 s"),
        Row("cancel, live worker, max", ms(max(live)), "≤ 1 step + 0.5 s"),
        Row(f"cancel, stopped worker, max of {DEAD}, lease {LEASE_S:.0f} s", f"{max(dead):.1f} s", f"≤ {bound:.0f} s"),
    ]


async def _cancel_s(measured: Measured, *, kill: bool) -> float:
    """A dead worker is one that is stopped: the supervisor would start a killed one again."""
    client = measured.client
    song = await client.create(spec_pb2.SongSpec(prompt="techno", duration_seconds=300))
    while not any(
        s.name == "compose" and s.state == song_pb2.Song.RUNNING for s in (await client.get(song.name)).stages
    ):
        await asyncio.sleep(0.01)
    if kill:
        await measured.mesh.kill("composer", signal.SIGSTOP)
    began = time.monotonic()
    await client.cancel(song.name)
    while (await client.get(song.name)).state != song_pb2.Song.CANCELLED:
        await asyncio.sleep(0.005)
    took = time.monotonic() - began
    if kill:
        await measured.mesh.kill("composer", signal.SIGCONT)
    return took


def _composes(song: song_pb2.Song) -> bool:
    return any(stage.name == "compose" and stage.state == song_pb2.Song.RUNNING for stage in song.stages)

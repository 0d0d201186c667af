"""CreateSong beside a bare grpc.aio echo behind mutual TLS, in the same run, call by call in turn."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from bench.echo_service import METHOD
from bench.meshes import ROOT, noop_mesh
from bench.table import Row, ms, p50
from harmonia.song.v1 import spec_pb2

CALLS = 300


async def rows() -> list[Row]:
    creates, echoes = [], []
    async with noop_mesh() as measured, _echo(measured.home / "pki") as echo:
        spec = spec_pb2.SongSpec(prompt="techno")
        body = spec.SerializeToString()
        for _ in range(CALLS):
            began = time.perf_counter()
            await measured.client.create(spec)
            creates.append(time.perf_counter() - began)
            began = time.perf_counter()
            await echo(body)
            echoes.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)  # the song it started is worked off meanwhile
    return [
        Row("CreateSong p50", ms(p50(creates))),
        Row("bare grpc.aio mutual TLS echo p50, same run", ms(p50(echoes))),
        Row("CreateSong minus echo, p50", ms(p50(creates) - p50(echoes)), "≤ 3 ms"),
    ]


@asynccontextmanager
async def _echo(pki: Path) -> AsyncIterator["grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.echo_service", str(pki), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        assert process.stdout
        port = int(await process.stdout.readline())
        key, chain, ca = ((pki / name).read_bytes() for name in ("gateway.key.pem", "gateway.pem", "ca.pem"))
        credentials = grpc.ssl_channel_credentials(ca, key, chain)
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            yield channel.unary_unary(METHOD)
    finally:
        process.kill()
        await process.wait()

"""The line to a mesh's public door: server TLS, the user's token and a trace on every call, retries by the service
config below."""

import json
from collections.abc import Callable
from typing import Any

import grpc

from harmonia_sdk.endpoint import Endpoint
from harmonia_sdk.trace import TRACEPARENT, traceparent

SERVICES = (
    "harmonia.song.v1.SongService",
    "harmonia.lyrics.v1.LyricsService",
    "harmonia.audio.v1.AudioService",
    "harmonia.artifact.v1.ArtifactService",
    "harmonia.capability.v1.CapabilityService",
)
# What docs and other clients are to use too. Everything may be sent again: what creates carries a request_id.
# The waits are 0.2, 0.4, 0.8, 1.6 s, each give or take a fifth.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": service} for service in SERVICES],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # A gateway that was started again should be found again at once, not after gRPC's 1 to 120 s.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # also what one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Tells a watcher within 30 s that the other end is gone without a word.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Two channels of one process would share a connection.
    ("grpc.use_local_subchannel_pool", 1),
)
STREAMS = 80  # on a connection; the rest is for calls


def open_channel(endpoint: Endpoint) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(endpoint.ca)
    if endpoint.token:
        user = grpc.access_token_call_credentials(endpoint.token)
        credentials = grpc.composite_channel_credentials(credentials, user)
    return ManyStreams(lambda: grpc.aio.secure_channel(endpoint.address, credentials, options=OPTIONS))


class ManyStreams(grpc.aio.Channel):
    """The mesh carries 100 calls on a connection; watchers beyond STREAMS get a further one, so that a call never
    waits behind them. Each call takes a traceparent along: grpc.aio's interceptors would make other call objects."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._connections = [connect()]
        self._open = [0]  # streams, on each

    async def __aenter__(self) -> "ManyStreams":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        for connection in self._connections:
            await connection.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._connections[0].get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._connections[0].wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._connections[0].channel_ready()

    # Any: what a stub makes of them is typed in the stub.
    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._connections[0].unary_unary(*args, **kwargs))

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._where_there_is_room("unary_stream", args, kwargs))

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._where_there_is_room("stream_unary", args, kwargs))

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return _traced(self._where_there_is_room("stream_stream", args, kwargs))

    def _where_there_is_room(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        def begin(*call_args: Any, **call_kwargs: Any) -> Any:
            number = next((n for n, count in enumerate(self._open) if count < STREAMS), len(self._open))
            if number == len(self._open):
                self._connections.append(self._connect())
                self._open.append(0)
            call = getattr(self._connections[number], kind)(*args, **kwargs)(*call_args, **call_kwargs)
            self._open[number] += 1
            call.add_done_callback(lambda _call: self._ended(number))
            return call

        return begin

    def _ended(self, number: int) -> None:
        self._open[number] -= 1


def _traced(call: Callable[..., Any]) -> Callable[..., Any]:
    def begin(*args: Any, metadata: tuple[tuple[str, str], ...] = (), **kwargs: Any) -> Any:
        return call(*args, metadata=(*metadata, (TRACEPARENT, traceparent())), **kwargs)

    return begin

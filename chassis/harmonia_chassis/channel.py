"""Channels from a service to the others: mutual TLS, round robin over all addresses, keepalive, and the
retry policy. gRPC retries here only what failed UNAVAILABLE before the first byte of the answer; the store's
calls are retried by `StoreClient` and not here, so that one place owns each retry.

gRPC cannot read a client certificate again, so a channel is rebuilt when the files change; stubs keep
theirs, and calls under way end on the old one.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import grpc
import structlog

from harmonia_chassis.identity import Certificate, CertificateFiles, TokenSource
from harmonia_chassis.interceptors import client_chain
from harmonia_chassis.server import LARGEST_MESSAGE, LARGEST_METADATA
from harmonia_chassis.telemetry import Metrics

# What calls under way have to end on a channel with the old certificate.
OLD_CHANNEL_GRACE = timedelta(minutes=10)

_RETRY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [{"name": [{}], "retryPolicy": _RETRY}, {"name": [{"service": "harmonia.store.v1.StoreService"}]}],
    # Half of the calls failing stops the retries: they would make an outage worse.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}

_log = structlog.get_logger()


class MeshChannel(grpc.aio.Channel):
    """A channel whose inside can be exchanged; stubs made from it follow."""

    def __init__(self, build: Callable[[], grpc.aio.Channel]) -> None:
        self._build = build
        self._inner = build()
        self._generation = 0

    def rebuild(self) -> grpc.aio.Channel:
        """Calls from now on take a new connection; returns the old channel, to be closed."""
        old, self._inner = self._inner, self._build()
        self._generation += 1
        return old

    async def __aenter__(self) -> "MeshChannel":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._following("unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._following("unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._following("stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._following("stream_stream", args, kwargs)

    def _following(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        generation, callable_now = self._generation, getattr(self._inner, kind)(*args, **kwargs)

        def call(*call_args: Any, **call_kwargs: Any) -> Any:
            nonlocal generation, callable_now
            if generation != self._generation:
                generation, callable_now = self._generation, getattr(self._inner, kind)(*args, **kwargs)
            return callable_now(*call_args, **call_kwargs)

        return call


class Channels:
    """The channels of a process, one to each service it calls."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        certificates: CertificateFiles,
        tokens: TokenSource,
        metrics: Metrics,
    ) -> None:
        self._addresses = addresses
        self._certificates = certificates
        self._tokens = tokens
        self._metrics = metrics
        self._channels: dict[str, MeshChannel] = {}

    def to(self, service: str) -> grpc.aio.Channel:
        """The channel to a service; raises KeyError when there is no such service."""
        if service not in self._channels:
            address = self._addresses[service]
            self._channels[service] = MeshChannel(lambda: self._open(service, address))
        return self._channels[service]

    async def follow_certificate(self, every: timedelta) -> None:
        """Runs until cancelled: looks at the files and rebuilds the channels when they have changed."""
        used = self._certificates.current
        async with asyncio.TaskGroup() as closing:
            while True:
                self._metrics.certificate_expiry.set(used.expires.timestamp())
                await asyncio.sleep(every.total_seconds())
                self._certificates.changed()
                if self._certificates.current != used:
                    used = self._certificates.current
                    for old in self.rebuild():
                        closing.create_task(old.close(OLD_CHANNEL_GRACE.total_seconds()))

    def rebuild(self) -> list[grpc.aio.Channel]:
        """Every channel anew, with the newest certificate; returns the old ones, to be closed."""
        self._tokens.forget()
        _log.info("certificate renewed", expires=self._certificates.current.expires.isoformat())
        return [channel.rebuild() for channel in self._channels.values()]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    def _open(self, service: str, address: str) -> grpc.aio.Channel:
        chain = client_chain(service, self._tokens, self._metrics)
        return open_channel(address, f"{service}.harmonia", self._certificates.current, interceptors=chain)


def open_channel(
    address: str, server_name: str, certificate: Certificate, *, interceptors: list[grpc.aio.ClientInterceptor]
) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(certificate.authority, certificate.key, certificate.chain)
    return grpc.aio.secure_channel(f"dns:///{address}", credentials, _options(server_name), interceptors=interceptors)


def _options(server_name: str) -> list[tuple[str, Any]]:
    return [
        # gRPC clients cannot check a SPIFFE id, so leaves carry this name too.
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ("grpc.max_metadata_size", LARGEST_METADATA),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Also what one attempt to connect may take: a handshake on busy cores needs more than the backoff.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]

"""The line to a mesh's public door: server TLS, the user's token on every call, retries by the service config below."""

import json

import grpc

from harmonia_sdk.endpoint import Endpoint

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
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Tells a watcher within 30 s that the other end is gone without a word.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


def open_channel(endpoint: Endpoint) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(endpoint.ca)
    if endpoint.token:
        user = grpc.access_token_call_credentials(endpoint.token)
        credentials = grpc.composite_channel_credentials(credentials, user)
    return grpc.aio.secure_channel(endpoint.address, credentials, options=OPTIONS)

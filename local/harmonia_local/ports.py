"""Ports of 127.0.0.1 that stay with one mesh while its processes come and go.

On Linux a port is held by a bound socket that never listens: the kernel then gives it to nobody who asks for any port
or opens a connection, and still lets a server with SO_REUSEADDR (gRPC, asyncio and nats-server are such) listen on it.
Elsewhere that second bind would be refused, so the port is only found, not held.
"""

import errno
import socket
import sys
from contextlib import ExitStack
from typing import Self

LOOPBACK = "127.0.0.1"


class Ports:
    """Released when the context ends."""

    def __init__(self) -> None:
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def take(self) -> int:
        """A port that nobody else uses."""
        return self._bind(0)

    def take_preferring(self, preferred: int) -> int:
        """The preferred port unless a server or another mesh has it.

        Two meshes that start at once could both bind it before either listens, so the one that also holds the UDP
        port of that number has it: UDP knows no TIME_WAIT, needs no file and ends with the process.
        """
        claim = self._held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            claim.bind((LOOPBACK, preferred))
            return self._bind(preferred)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        return self._bind(0)

    def _bind(self, port: int) -> int:
        holder = self._held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        taken: int = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        return taken

"""Links by which anybody may hear one song for a while."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from harmonia.share.v1 import share_pb2 as pb
from harmonia.share.v1 import share_pb2_grpc as rpc
from harmonia_chassis.status import rpc_errors
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia_sdk.client import Client

T = TypeVar("T")

_CALL_S = 20.0
WHATS = ("PAGE", "AUDIO", "FORMATS")


class AsyncShares:
    """`client.shares`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._calls: rpc.ShareServiceAsyncStub = rpc.ShareServiceStub(channel)

    async def create(
        self, song: str, *, what: str = "PAGE", formats: Sequence[str] = (), valid_for: timedelta | None = None
    ) -> pb.CreateShareResponse:
        """The link is in the answer and nowhere else: `url`, or `path` behind the address of the HTTP door.

        what: "PAGE", "AUDIO" or "FORMATS". valid_for: 60 s to 7 days, which is also the default.
        """
        request = pb.CreateShareRequest(song=_song(song), what=_what(what), formats=formats)
        if valid_for is not None:
            duration = Duration()
            duration.FromTimedelta(valid_for)
            request.valid_for.CopyFrom(duration)
        with rpc_errors():
            return await self._calls.CreateShare(request, timeout=_CALL_S)

    async def list(self, *, song: str = "", show_ended: bool = False) -> Sequence[pb.Share]:
        """The newest first; of one song, or of all."""
        request = pb.ListSharesRequest(song=_song(song) if song else "", show_ended=show_ended)
        with rpc_errors():
            return (await self._calls.ListShares(request, timeout=_CALL_S)).shares

    async def revoke(self, name: str) -> pb.Share:
        """From then on the link opens nothing. name: "shares/…"."""
        request = pb.RevokeShareRequest(name=name if name.startswith("shares/") else f"shares/{name}")
        with rpc_errors():
            return await self._calls.RevokeShare(request, timeout=_CALL_S)


class Shares:
    """`client.shares` of a program without an event loop."""

    def __init__(self, client: "Client", opened: Callable[[], AsyncShares]) -> None:
        self._client = client
        self._opened = opened

    def _ask(self, question: Callable[[AsyncShares], Coroutine[Any, Any, T]]) -> T:
        """In the client's own event loop, where the channel is opened too. Any: what a coroutine is sent and yields."""

        async def ask() -> T:
            return await question(self._opened())

        return self._client.run(ask())

    def create(
        self, song: str, *, what: str = "PAGE", formats: Sequence[str] = (), valid_for: timedelta | None = None
    ) -> pb.CreateShareResponse:
        """The link is in the answer and nowhere else: `url`, or `path` behind the address of the HTTP door."""
        return self._ask(lambda their: their.create(song, what=what, formats=formats, valid_for=valid_for))

    def list(self, *, song: str = "", show_ended: bool = False) -> Sequence[pb.Share]:
        """The newest first; of one song, or of all."""
        return self._ask(lambda their: their.list(song=song, show_ended=show_ended))

    def revoke(self, name: str) -> pb.Share:
        """From then on the link opens nothing."""
        return self._ask(lambda their: their.revoke(name))


def _what(text: str) -> "pb.Share.What.ValueType":
    if text.upper() not in WHATS:
        message = f"what is one of {', '.join(WHATS)}, not {text!r}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="what")
    return pb.Share.What.Value(text.upper())


def _song(name: str) -> str:
    return name if name.startswith("songs/") else f"songs/{name}"

"""LyricistService at the internal door: for the gateway's forms and editors."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from harmonia.lyricist.v1 import lyricist_pb2 as pb
from harmonia.lyricist.v1 import lyricist_pb2_grpc as rpc
from harmonia_chassis.access import GRANT
from harmonia_chassis.slots import Slots
from harmonia_lyricist import wire
from harmonia_lyricist.write import Lyricist

LANGUAGES = ("en",)


class LyricistServicer(rpc.LyricistServiceServicer):
    def __init__(self, lyricist: Lyricist, slots: Slots) -> None:
        self._lyricist = lyricist
        self._slots = slots

    async def ReadPrompt(
        self, request: pb.ReadPromptRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ReadPromptResponse:
        return pb.ReadPromptResponse(result=self._lyricist.read(request.request))

    async def Write(
        self, request: pb.WriteRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WriteEvent]:
        grant = grant_of(context)
        async with self._slots:
            written = await self._lyricist.write(request, grant)
        for section in wire.lyrics_to_proto(written.brief.lyrics).sections:
            for line in section.lines:
                yield pb.WriteEvent(line=pb.WriteEvent.Line(section=section.name, line=line))
        yield pb.WriteEvent(result=await self._lyricist.result(written, grant))

    async def Rewrite(
        self, request: pb.RewriteRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.RewriteResponse:
        async with self._slots:
            return pb.RewriteResponse(response=await self._lyricist.rewrite(request.request))

    async def Scan(self, request: pb.ScanRequest, _context: grpc.aio.ServicerContext[Any, Any]) -> pb.ScanResponse:
        return pb.ScanResponse(response=self._lyricist.scan(request.request))

    async def ListRhymes(
        self, request: pb.ListRhymesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListRhymesResponse:
        return pb.ListRhymesResponse(response=await self._lyricist.rhymes(request.request))

    async def GetCapabilities(
        self, _request: pb.GetCapabilitiesRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetCapabilitiesResponse:
        return pb.GetCapabilitiesResponse(languages=LANGUAGES)


def grant_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """As it came, to be passed on to the store; the interceptor has checked it."""
    return str(dict(context.invocation_metadata() or ())[GRANT])

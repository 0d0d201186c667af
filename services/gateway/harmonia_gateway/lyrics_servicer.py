"""LyricsService at the public door, through the call door of the lyricist."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc

from harmonia.lyricist.v1 import lyricist_pb2, lyricist_pb2_grpc
from harmonia.lyrics.v1 import lyrics_pb2 as pb
from harmonia.lyrics.v1 import lyrics_pb2_grpc as rpc
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia_chassis.access import GRANT, current_principal
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.identity import TokenSigner
from harmonia_chassis.store import StoreClient
from harmonia_gateway import editing, rules, songs
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.grants import call_grant
from harmonia_gateway.offer import offer_for
from harmonia_gateway.quotas import Quotas

Spec = spec_pb2.SongSpec


class LyricsServicer(rpc.LyricsServiceServicer):
    def __init__(
        self,
        *,
        lyricist: grpc.aio.Channel,
        store: StoreClient,
        capabilities: Capabilities,
        signer: TokenSigner,
        quotas: Quotas,
    ) -> None:
        self._lyricist = lyricist_pb2_grpc.LyricistServiceStub(lyricist)
        self._store = store
        self._capabilities = capabilities
        self._signer = signer
        self._quotas = quotas

    async def ReadPrompt(self, request: pb.ReadPromptRequest, _context: object) -> pb.ReadPromptResponse:
        rules.refuse_unknown_fields(request)
        self._quotas.reads.take(current_principal().tenant)
        write, warnings = await self._write_request(_with_prompt(request))
        answer = await self._lyricist.ReadPrompt(
            lyricist_pb2.ReadPromptRequest(request=write), metadata=self._granted()
        )
        read = answer.result
        return pb.ReadPromptResponse(brief=read.brief, understood=read.understood, warnings=[*warnings, *read.warnings])

    async def WriteLyrics(
        self, request: pb.WriteLyricsRequest, _context: object
    ) -> AsyncIterator[pb.WriteLyricsResponse]:
        rules.refuse_unknown_fields(request)
        self._quotas.reads.take(current_principal().tenant)
        words = spec_pb2.LyricsSpec(mode=spec_pb2.LyricsSpec.WRITE)
        spec = Spec(prompt=request.prompt, seed=request.seed, language=request.language, lyrics=words)
        write, warnings = await self._write_request(spec, shown="")
        grant = call_grant(self._signer)
        call = self._lyricist.Write(write, metadata=((GRANT, grant),))
        try:
            async for event in call:
                if event.HasField("line"):
                    line = pb.WriteLyricsResponse.Line(section=event.line.section, line=event.line.line)
                    yield pb.WriteLyricsResponse(line=line)
                else:
                    yield pb.WriteLyricsResponse(result=await self._result(event.result, warnings, grant))
        finally:
            call.cancel()

    async def RewriteLyrics(self, request: pb.RewriteLyricsRequest, _context: object) -> pb.RewriteLyricsResponse:
        rules.refuse_unknown_fields(request)
        editing.check_rewrite(request)
        self._quotas.reads.take(current_principal().tenant)
        answer = await self._lyricist.Rewrite(lyricist_pb2.RewriteRequest(request=request), metadata=self._granted())
        return answer.response

    async def ScanLyrics(self, request: pb.ScanLyricsRequest, _context: object) -> pb.ScanLyricsResponse:
        rules.refuse_unknown_fields(request)
        editing.check_text(request.text)
        self._quotas.reads.take(current_principal().tenant)
        answer = await self._lyricist.Scan(lyricist_pb2.ScanRequest(request=request), metadata=self._granted())
        return answer.response

    async def ListRhymes(self, request: pb.ListRhymesRequest, _context: object) -> pb.ListRhymesResponse:
        rules.refuse_unknown_fields(request)
        editing.check_rhymes(request)
        self._quotas.reads.take(current_principal().tenant)
        asked = lyricist_pb2.ListRhymesRequest(request=request)
        answer = await self._lyricist.ListRhymes(asked, metadata=self._granted())
        return answer.response

    def _granted(self) -> tuple[tuple[str, str], ...]:
        return ((GRANT, call_grant(self._signer)),)

    async def _result(
        self, written: lyricist_pb2.WriteResult, warnings: tuple[str, ...], grant: str
    ) -> pb.WriteLyricsResponse.Result:
        lyrics = written.brief.lyrics
        if written.HasField("lyrics"):
            lyrics = brief_pb2.Lyrics.FromString(await self._store.get(written.lyrics, grant))
        return pb.WriteLyricsResponse.Result(
            title=written.brief.title, lyrics=lyrics, warnings=[*warnings, *written.warnings]
        )

    async def _write_request(
        self, spec: Spec, *, shown: str = "spec"
    ) -> tuple[lyricist_pb2.WriteRequest, tuple[str, ...]]:
        """As a song's first stage would get it. Raises InvalidInput."""
        capabilities = await self._capabilities.current()
        warnings = songs.validate(spec, capabilities, datetime.now(UTC), shown=shown)
        resolved = songs.resolve(spec, capabilities, draw_seed=lambda: 0)
        resolved.prompt, resolved.negative_prompt = spec.prompt, spec.negative_prompt
        # What was only chosen for want of a word the prompt may still say.
        resolved.kind = spec.kind
        for length in ("duration_seconds", "bars"):
            if not spec.HasField(length):
                resolved.ClearField(length)
        palette = songs.palette(offer_for(resolved.engine, capabilities))
        request = lyricist_pb2.WriteRequest(
            spec=resolved,
            genres=palette.genres,
            moods=palette.moods,
            instruments=palette.instruments,
            time_signatures=palette.time_signatures,
            kinds=palette.kinds,
        )
        return request, warnings


def _with_prompt(request: pb.ReadPromptRequest) -> Spec:
    """Raises InvalidInput when both places hold another prompt."""
    spec = Spec()
    spec.CopyFrom(request.spec)
    if request.prompt and spec.prompt not in ("", request.prompt):
        message = "prompt and spec.prompt differ: keep one"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="prompt")
    spec.prompt = request.prompt or spec.prompt
    return spec

"""ShareService at the public door: links made by people, and what whoever has one gets."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import grpc

from harmonia.job.v1 import job_pb2
from harmonia.share.v1 import share_pb2 as pb
from harmonia.share.v1 import share_pb2_grpc as rpc
from harmonia.song.v1 import song_pb2
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT, current_principal
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_chassis.file_names import slug
from harmonia_chassis.identity import Principal, TokenSigner
from harmonia_chassis.job_stream import Stored
from harmonia_gateway import rules, shares, wire
from harmonia_gateway.audit import Audit
from harmonia_gateway.grants import call_grant
from harmonia_gateway.names import no_song, song_id
from harmonia_gateway.own_songs import OwnSongs
from harmonia_gateway.patience import patience
from harmonia_gateway.quotas import Quotas, Rate
from harmonia_gateway.shares import Share, Shares

# In the order in which a browser should try them.
FORMATS = {
    "master.mp3": "mp3",
    "master.flac": "flac",
    "master.wav": "wav",
    "master.ogg": "ogg",
    "master.opus": "opus",
    "master-16bit.wav": "wav16",
    "master-32float.wav": "wav32f",
}
_LONGEST_S = 600.0
What = pb.Share.What

Request = (
    pb.CreateShareRequest
    | pb.ListSharesRequest
    | pb.RevokeShareRequest
    | pb.OpenShareRequest
    | pb.DownloadSharedRequest
)


class ShareServicer(rpc.ShareServiceServicer):
    """`opening`: how often links of a tenant may be opened, so that they do not use up its own calls."""

    def __init__(
        self,
        *,
        kept: Shares,
        own: OwnSongs,
        artifacts: grpc.aio.Channel,
        signer: TokenSigner,
        audit: Audit,
        quotas: Quotas,
        opening: Rate,
        base: str,
    ) -> None:
        self._shares = kept
        self._own = own
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)
        self._signer = signer
        self._audit = audit
        self._quotas = quotas
        self._opening = opening
        self._base = base

    async def CreateShare(self, request: pb.CreateShareRequest, _context: object) -> pb.CreateShareResponse:
        caller = self._admitted(request, self._quotas.reads)
        async with patience():
            stored = await self._song(caller, request.song)
            song = wire.song(stored.job, stored.seq, now=_now())
            if song.state != song.SUCCEEDED or song.HasField("delete_time"):
                message = f"{song.name} cannot be shared: only a song that has succeeded, and is not deleted, can"
                raise FailedPrecondition(message, reason=Reason.WRONG_STATE, field="song")
            what = request.what or What.PAGE
            if what not in What.values():
                message = f"what is {what}: it must be one of PAGE, AUDIO, FORMATS"
                raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="what")
            formats = _formats(request.formats, list(_masters(song)), what)
            share = await self._shares.create(
                caller, song=song.name, what=What.Name(what), formats=formats, valid_for=_valid_for(request)
            )
        await self._audit.record("share.created", caller, target=share.name)
        path = f"/s/{share.token}"
        return pb.CreateShareResponse(share=_told(share), path=path, url=f"{self._base}{path}" if self._base else "")

    async def ListShares(self, request: pb.ListSharesRequest, _context: object) -> pb.ListSharesResponse:
        caller = self._admitted(request, self._quotas.reads)
        async with patience():
            if request.song:
                await self._song(caller, request.song)
            found = await self._shares.of(caller)
        now = self._shares.now()
        shown = [
            one
            for one in found
            if (not request.song or one.song == request.song) and (request.show_ended or not one.has_ended(now))
        ]
        return pb.ListSharesResponse(shares=[_told(one) for one in shown])

    async def RevokeShare(self, request: pb.RevokeShareRequest, _context: object) -> pb.Share:
        caller = self._admitted(request, self._quotas.reads)
        async with patience():
            share, new = await self._shares.revoke(caller, request.name)
        if new:
            await self._audit.record("share.revoked", caller, target=share.name)
        return _told(share)

    async def OpenShare(self, request: pb.OpenShareRequest, _context: object) -> pb.SharedSong:
        share, song = await self._open(request)
        if not request.again:
            self._shares.count(share)
        told = pb.SharedSong(
            title=song.resolved.title or song.spec.title,
            what=What.Value(share.what),
            seconds=max((output.seconds for output in song.outputs), default=0.0),
            files=_files(share, song),
        )
        told.expire_time.FromSeconds(share.expire_time)
        return told

    async def DownloadShared(
        self, request: pb.DownloadSharedRequest, _context: object
    ) -> AsyncIterator[pb.DownloadSharedResponse]:
        share, song = await self._open(request)
        files = _files(share, song)
        file = next((one for one in files if request.format in ("", one.format)), None)
        if file is None:
            allowed = ", ".join(one.format for one in files)
            message = f"format is {request.format[:20]!r}: this link opens {allowed}"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="format")
        if not 0 <= request.offset <= file.size_bytes:
            message = f"offset is {request.offset}: it must be from 0 to {file.size_bytes}"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="offset")
        yield pb.DownloadSharedResponse(file=file)
        get = store_pb2.GetRequest(sha256=file.sha256, offset=request.offset)
        call = self._store.Get(get, metadata=((GRANT, call_grant(self._signer)),), timeout=_LONGEST_S)
        try:
            async for part in call:
                if part.chunk:
                    yield pb.DownloadSharedResponse(chunk=part.chunk)
        finally:
            call.cancel()

    async def _open(self, request: pb.OpenShareRequest | pb.DownloadSharedRequest) -> tuple[Share, song_pb2.Song]:
        """Raises Unauthenticated, as for a link that never was, when the song is gone."""
        caller = self._admitted(request, self._opening)
        async with patience():
            share = await self._shares.opened_by(caller)
            found = await self._own.read(caller, [song_id(share.song)])
        stored = next(iter(found.values()), None)
        if stored is None or stored.job.state != job_pb2.Job.SUCCEEDED:
            raise shares.refused()
        song = wire.song(stored.job, stored.seq, now=_now())
        if not _files(share, song):
            raise shares.refused()
        return share, song

    async def _song(self, caller: Principal, name: str) -> Stored:
        """Raises NotFound."""
        found = await self._own.read(caller, [song_id(name, field="song")])
        for stored in found.values():
            return stored
        raise no_song(name, field="song")

    def _admitted(self, request: Request, rate: Rate) -> Principal:
        """Raises QuotaExceeded, InvalidInput."""
        rules.refuse_unknown_fields(request)
        caller = current_principal()
        rate.take(caller.tenant)
        return caller


def _masters(song: song_pb2.Song) -> dict[str, song_pb2.Output]:
    """Of the first take, by format."""
    outputs = {output.file: output for output in song.outputs if output.role == "master" and output.take <= 1}
    return {kind: outputs[file] for file, kind in FORMATS.items() if file in outputs}


def _formats(asked: Sequence[str], there: Sequence[str], what: "What.ValueType") -> list[str]:
    """Of those that are there, in the order of browsers."""
    for index, kind in enumerate(asked):
        if kind not in there:
            message = f"formats[{index}] is {kind[:20]!r}: the song has {', '.join(there)}"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field=f"formats[{index}]")
    if len(set(asked)) > 1 and what == What.AUDIO:
        message = "formats has more than one, and AUDIO is one file: name one, or say FORMATS"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="formats")
    wanted = asked or (there if what == What.FORMATS else there[:1])
    return [kind for kind in there if kind in wanted]


def _valid_for(request: pb.CreateShareRequest) -> timedelta:
    if not request.HasField("valid_for"):
        return shares.LONGEST
    seconds = request.valid_for.seconds
    shortest, longest = int(shares.SHORTEST.total_seconds()), int(shares.LONGEST.total_seconds())
    if not shortest <= seconds <= longest:
        message = f"valid_for is {seconds} s: it must be from {shortest} to {longest} s, which are 7 days"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="valid_for")
    return timedelta(seconds=seconds)


def _files(share: Share, song: song_pb2.Song) -> list[pb.SharedFile]:
    masters = _masters(song)
    title = slug(song.resolved.title or song.spec.title)
    return [
        pb.SharedFile(
            format=kind,
            file=f"{title}{_ENDINGS.get(kind, '.' + kind)}",
            media_type=masters[kind].media_type,
            size_bytes=masters[kind].bytes,
            sha256=masters[kind].sha256,
        )
        for kind in share.formats
        if kind in masters
    ]


_ENDINGS = {"wav16": "-16bit.wav", "wav32f": "-32float.wav"}


def _told(share: Share) -> pb.Share:
    told = pb.Share(
        name=share.name, song=share.song, what=What.Value(share.what), formats=share.formats, opens=share.opens
    )
    for field, at in (
        (told.create_time, share.create_time),
        (told.expire_time, share.expire_time),
        (told.last_open_time, share.last_open_time),
        (told.revoke_time, share.revoke_time),
    ):
        if at is not None:
            field.FromMicroseconds(int(at * 1e6))
    return told


def _now() -> datetime:
    return datetime.now(UTC)

"""SongService at the public door. Thin: what a song may be is decided in songs.py, what becomes of it in jobs.py."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime, timedelta

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1 import song_pb2_grpc as rpc
from harmonia_chassis import jobs as story
from harmonia_chassis.access import current_principal
from harmonia_chassis.errors import (
    Conflict,
    FailedPrecondition,
    HarmoniaError,
    InvalidInput,
    NotFound,
    QuotaExceeded,
    Reason,
    Unavailable,
)
from harmonia_chassis.identity import TokenSigner
from harmonia_chassis.interceptors import time_remaining_s
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.status import to_problem
from harmonia_gateway import filters, limits, listening, rules, songs, texts, wire
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.finder import Asked, Finder, Match
from harmonia_gateway.grants import call_grant
from harmonia_gateway.hub import Hub, Token, WatchEvent
from harmonia_gateway.intake import Intake
from harmonia_gateway.listening import Listening
from harmonia_gateway.names import no_song, song_id
from harmonia_gateway.patience import patience
from harmonia_gateway.projection import Projection
from harmonia_gateway.quotas import Quotas
from harmonia_gateway.recordings import Recordings
from harmonia_gateway.states import has_ended

Decide = Callable[[job_pb2.Job], story.Outcome | None]

# What a waiting create leaves of its deadline for the answer itself.
_ANSWER_S = 0.2
_MIN_ETAG_S = 1.0
# Two hundred songs fit into one message of 4 MiB, whatever they hold.
_AT_ONCE = 200
_RETRYABLE = "state IN ('FAILED', 'CANCELLED', 'EXPIRED') AND NOT deleted"


class SongServicer(rpc.SongServiceServicer):
    def __init__(
        self,
        *,
        jobs: JobStream,
        intake: Intake,
        projection: Projection,
        finder: Finder,
        hub: Hub,
        capabilities: Capabilities,
        quotas: Quotas,
        recordings: Recordings,
        signer: TokenSigner,
    ) -> None:
        self._jobs = jobs
        self._intake = intake
        self._projection = projection
        self._finder = finder
        self._hub = hub
        self._capabilities = capabilities
        self._quotas = quotas
        self._recordings = recordings
        self._signer = signer

    async def CreateSong(self, request: pb.CreateSongRequest, _context: object) -> pb.Song:
        return await self._create(request, batch=False)

    async def BatchCreateSongs(
        self, request: pb.BatchCreateSongsRequest, _context: object
    ) -> pb.BatchCreateSongsResponse:
        count = len(request.requests)
        if not 1 <= count <= limits.BATCH_SIZE:
            message = f"requests has {count} entries: it must have from 1 to {limits.BATCH_SIZE}"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="requests")
        return pb.BatchCreateSongsResponse(results=[await self._result(one) for one in request.requests])

    async def _result(self, request: pb.CreateSongRequest) -> pb.BatchCreateSongsResponse.Result:
        try:
            if request.HasField("wait"):
                message = "wait is not for a batch: watch its songs"
                raise InvalidInput(message, reason=Reason.NOT_SUPPORTED, field="wait")
            return pb.BatchCreateSongsResponse.Result(song=await self._create(request, batch=True))
        except HarmoniaError as error:
            return pb.BatchCreateSongsResponse.Result(error=to_problem(error))

    async def _create(self, request: pb.CreateSongRequest, *, batch: bool) -> pb.Song:
        principal = current_principal()
        if request.validate_only:
            return _unmade(await self._intake.rehearse(request, principal, batch=batch))
        async with patience():
            stored = await self._intake.accept(request, principal, batch=batch)
        return await self._answer(stored, request)

    async def _answer(self, stored: Stored, request: pb.CreateSongRequest | pb.ReviseSongRequest) -> pb.Song:
        if request.wait.seconds or request.wait.nanos:
            stored = await self._ended(stored, request.wait.seconds + request.wait.nanos / 1e9)
        return self._song(stored)

    async def ReviseSong(self, request: pb.ReviseSongRequest, _context: object) -> pb.Song:
        # First of all: whoever asks about somebody else's song learns nothing, however wrong the rest is.
        source, principal = (await self._own(request.name)).job, current_principal()
        if request.validate_only:
            return _unmade(await self._intake.rehearse_revision(request, principal, source))
        async with patience():
            stored = await self._intake.revise(request, principal, source)
        return await self._answer(stored, request)

    async def _ended(self, stored: Stored, wait_s: float) -> Stored:
        """As it stands when it has ended, or when the time is over."""
        remaining_s = time_remaining_s()
        if remaining_s is not None:
            wait_s = min(wait_s, max(remaining_s - _ANSWER_S, 0))
        try:
            watching = self._hub.watch(stored.job.tenant, stored.job.id, str(Token(stored.seq - 1)))
            async with asyncio.timeout(wait_s), aclosing(watching) as events:
                async for event in events:
                    stored = event.what if isinstance(event.what, Stored) else stored
        except TimeoutError:
            pass
        return stored

    async def EstimateSong(self, request: pb.EstimateSongRequest, _context: object) -> pb.Estimate:
        rules.refuse_unknown_fields(request)
        self._quotas.reads.take(current_principal().tenant)
        capabilities = await self._capabilities.current()
        songs.validate(request.spec, capabilities, _now())
        resolved = songs.resolve(request.spec, capabilities, draw_seed=lambda: 0)
        lane = songs.lanes_of(resolved)[1]
        return songs.estimate(resolved, capabilities, ahead=self._projection.waiting(lane))

    async def GetSong(self, request: pb.GetSongRequest, _context: object) -> pb.Song:
        self._quotas.reads.take(current_principal().tenant)
        return self._song(await self._own(request.name))

    async def ListSongs(self, request: pb.ListSongsRequest, _context: object) -> pb.ListSongsResponse:
        principal = current_principal()
        self._quotas.reads.take(principal.tenant)
        size = limits.page_size(request.page_size)
        bound_to = (principal.tenant, principal.owner, request.filter, request.order_by, request.show_deleted)
        offset = filters.parse_page_token(request.page_token, *bound_to)
        condition = filters.parse_filter(request.filter)
        order_by = filters.parse_order(request.order_by)
        await self._wait_for(request.min_etag)
        page, total = self._projection.songs(
            tenant=principal.tenant,
            owner=principal.owner,
            where=condition.where,
            params=condition.params,
            order_by=order_by,
            limit=size,
            offset=offset,
            deleted=request.show_deleted,
        )
        following = offset + len(page)
        return pb.ListSongsResponse(
            songs=[self._song(stored) for stored in page],
            next_page_token=filters.page_token(following, *bound_to) if following < total and page else "",
            total_size=total,
        )

    async def SearchSongs(self, request: pb.SearchSongsRequest, _context: object) -> pb.SearchSongsResponse:
        rules.refuse_unknown_fields(request)
        principal = current_principal()
        self._quotas.reads.take(principal.tenant)
        if bool(request.query) == bool(request.like):
            message = "say what to look for: either a query or like, the name of a song"
            raise InvalidInput(message, reason=Reason.CONTRADICTORY if request.like else Reason.MISSING, field="query")
        like = (await self._own(request.like, field="like")).job.id if request.like else ""
        question = "" if like else texts.question(request.query)
        bound_to = (principal.tenant, principal.owner, request.query, like, request.filter)
        asked = Asked(
            tenant=principal.tenant,
            owner=principal.owner,
            condition=filters.parse_filter(request.filter),
            size=limits.page_size(request.page_size),
            after=filters.parse_place(request.page_token, (float, float, str), *bound_to),
        )
        await self._wait_for(request.min_etag)
        page = await (self._finder.by_sound(like, asked) if like else self._finder.by_words(question, asked))
        if page is None:
            message = f"{request.like} has not been measured: only a song that has succeeded can be compared"
            raise FailedPrecondition(message, reason=Reason.WRONG_STATE, field="like")
        return pb.SearchSongsResponse(
            matches=[_match(match, self._song(match.song)) for match in page.matches],
            next_page_token=filters.place_token(page.last, *bound_to) if page.last else "",
            total_size=page.total,
        )

    async def _wait_for(self, min_etag: str) -> None:
        if not min_etag:
            return
        if not (min_etag.isascii() and min_etag.isdecimal() and len(min_etag) < 20):
            message = f"min_etag is {min_etag[:40]!r}: it must be the etag of a song"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="min_etag")
        if not await self._projection.wait_for(int(min_etag), _MIN_ETAG_S):
            message = "this gateway has not seen that etag yet: ask again"
            raise Unavailable(message, reason=Reason.NOT_READY, retry_after=timedelta(seconds=_MIN_ETAG_S))

    async def WatchSong(self, request: pb.WatchSongRequest, _context: object) -> AsyncIterator[pb.SongEvent]:
        principal = current_principal()
        self._quotas.reads.take(principal.tenant)
        newest = await self._own(request.name)
        async with aclosing(self._hub.watch(principal.tenant, newest.job.id, request.resume_token)) as events:
            async for event in events:
                if isinstance(event.what, Stored):
                    newest = event.what
                if newest.job.state == job_pb2.Job.PURGED:
                    return
                yield self._event(event, newest)

    def _event(self, event: WatchEvent, newest: Stored) -> pb.SongEvent:
        shown = pb.SongEvent(resume_token=str(event.token), resync=event.resync)
        if isinstance(event.what, Stored):
            # As it was then: an ETA counted to now would say nothing about a record of an hour ago.
            shown.song.CopyFrom(self._song(event.what, at=event.what.job.update_time.ToDatetime(UTC)))
        elif event.what is not None:
            shown.progress.CopyFrom(wire.progress_event(newest.job, event.what, _now()))
        else:
            shown.heartbeat.SetInParent()
        return shown

    async def ListenSong(self, request: pb.ListenSongRequest, _context: object) -> AsyncIterator[pb.AudioChunk]:
        self._quotas.reads.take(current_principal().tenant)
        newest = await self._own(request.name)
        listening.check_request(request, newest.job)
        heard = Listening(self._hub, self._recordings, grant=lambda: call_grant(self._signer))
        async with aclosing(heard.listen(newest, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def CancelSong(self, request: pb.CancelSongRequest, _context: object) -> pb.Song:
        return self._song(await self._change(request.name, request.etag, _cancel))

    async def RetrySong(self, request: pb.RetrySongRequest, _context: object) -> pb.Song:
        self._quotas.creates.take(current_principal().tenant)
        song = await self._own(request.name)
        return self._song(await self._retry(song.job, request.etag))

    async def _retry(self, job: job_pb2.Job, etag: str) -> Stored:
        await self._quotas.fullness.check()
        deadline = songs.new_deadline(job, _now())
        grant = self._intake.grant(job.tenant, job.owner, job.id, deadline)

        def decide(current: job_pb2.Job) -> story.Outcome:
            if current.state not in story.TERMINAL - {job_pb2.Job.SUCCEEDED}:
                raise wrong_state(current, "only a failed, cancelled or expired song can be retried")
            return story.Retry(deadline, grant)

        with self._quotas.places.place(job.tenant, batch=job.batch) as place:
            stored = await self._change(f"songs/{job.id}", etag, decide)
            place.seq = stored.seq
        return stored

    async def BatchRetrySongs(self, request: pb.BatchRetrySongsRequest, _context: object) -> pb.BatchRetrySongsResponse:
        principal = current_principal()
        self._quotas.creates.take(principal.tenant)
        condition = filters.parse_filter(request.filter)
        found, _ = self._projection.songs(
            tenant=principal.tenant,
            owner=principal.owner,
            where=f"{_RETRYABLE} AND {condition.where}",
            params=condition.params,
            order_by="create_time ASC",
            limit=_AT_ONCE,
            offset=0,
            deleted=False,
        )
        retried = found if request.validate_only else await self._retry_all(found)
        return pb.BatchRetrySongsResponse(songs=[self._song(stored) for stored in retried])

    async def _retry_all(self, found: list[Stored]) -> list[Stored]:
        """Those that could be: a song that has moved on meanwhile is left alone, a quota ends it."""
        retried: list[Stored] = []
        for stored in found:
            try:
                retried.append(await self._retry(stored.job, ""))
            except FailedPrecondition:
                continue
            except QuotaExceeded:
                if not retried:
                    raise
                break
        return retried

    async def DeleteSong(self, request: pb.DeleteSongRequest, _context: object) -> pb.Song:
        return self._song(await self._change(request.name, request.etag, _delete))

    async def BatchDeleteSongs(
        self, request: pb.BatchDeleteSongsRequest, _context: object
    ) -> pb.BatchDeleteSongsResponse:
        rules.refuse_unknown_fields(request)
        principal = current_principal()
        self._quotas.reads.take(principal.tenant)
        if not request.filter.strip():
            message = "filter is empty, which is every song: say which, as in state = FAILED"
            raise InvalidInput(message, reason=Reason.MISSING, field="filter")
        condition = filters.parse_filter(request.filter)
        found, total = self._projection.songs(
            tenant=principal.tenant,
            owner=principal.owner,
            where=f"NOT leaving AND {condition.where}",
            params=condition.params,
            order_by="create_time ASC",
            limit=_AT_ONCE,
            offset=0,
            deleted=False,
        )
        songs_gone = found if request.validate_only else await self._delete_all(found)
        return pb.BatchDeleteSongsResponse(songs=[self._song(stored) for stored in songs_gone], total_size=total)

    async def _delete_all(self, found: list[Stored]) -> list[Stored]:
        """Those that were still there. Whoever asks again meets none of them twice."""
        gone: list[Stored] = []
        for stored in found:
            with suppress(NotFound):
                gone.append(await self._change(f"songs/{stored.job.id}", "", _delete))
        if gone:
            await self._projection.wait_for(max(stored.seq for stored in gone), _MIN_ETAG_S)
        return gone

    async def UndeleteSong(self, request: pb.UndeleteSongRequest, _context: object) -> pb.Song:
        return self._song(await self._change(request.name, "", _undelete))

    async def _own(self, name: str, *, field: str = "name") -> Stored:
        """From the leader. Raises NotFound for what is not there, purged, or somebody else's."""
        principal = current_principal()
        async with patience():
            stored = await self._jobs.read(principal.tenant, song_id(name, field=field))
        if stored is None or not _is_of(stored.job, principal.owner):
            raise no_song(name, field=field)
        return stored

    async def _change(self, name: str, etag: str, decide: Decide) -> Stored:
        """The song after the outcome; as it is when there is nothing to do. Raises NotFound, Conflict."""
        principal = current_principal()
        seen: list[Stored] = []

        def decided(current: Stored) -> story.Outcome | None:
            if not _is_of(current.job, principal.owner):
                raise no_song(name)
            if etag and etag != str(current.seq):
                message = f"{name} has changed since etag {etag}: it is {current.seq} now, so read it again"
                raise Conflict(message, reason=Reason.ETAG_MISMATCH, field="etag")
            seen.append(current)
            return decide(current.job)

        async with patience():
            changed = await self._jobs.change(principal.tenant, song_id(name), decided, now=_now)
        if changed is None and not seen:
            raise no_song(name)
        return changed or seen[-1]

    def _song(self, stored: Stored, *, at: datetime | None = None) -> pb.Song:
        ended = has_ended(stored.job)
        return wire.song(
            stored.job,
            stored.seq,
            now=at or _now(),
            progress=None if ended else self._hub.progress(stored.job.id),
            queue_position=0 if ended else self._projection.queue_position(stored.job),
        )


def _unmade(job: job_pb2.Job) -> pb.Song:
    song = wire.song(job, 0, now=_now())
    for unmade in ("name", "etag"):
        song.ClearField(unmade)
    return song


def _match(match: Match, song: pb.Song) -> pb.SongMatch:
    told = pb.SongMatch(song=song, score=match.score)
    for passage in match.passages:
        parts = [pb.SongMatch.Part(text=part.text, found=part.found) for part in passage.parts]
        told.passages.add(field=passage.field, parts=parts)
    for alike in match.likenesses:
        told.likenesses.add(feature=alike.feature, here=alike.here, there=alike.there, nearness=alike.nearness)
    return told


def _cancel(job: job_pb2.Job) -> story.Outcome | None:
    if job.state in {job_pb2.Job.CANCELLING, job_pb2.Job.CANCELLED}:
        return None  # as asked
    if job.state not in story.UNFINISHED:
        raise wrong_state(job, "only a song that has not ended can be cancelled")
    return story.Cancel()


def _delete(job: job_pb2.Job) -> story.Outcome | None:
    if job.state == job_pb2.Job.DELETED or job.delete_requested:
        return None
    return story.Delete()


def _undelete(job: job_pb2.Job) -> story.Outcome:
    if job.state != job_pb2.Job.DELETED:
        raise wrong_state(job, "only a deleted song can be undeleted")
    return story.Undelete()


def wrong_state(job: job_pb2.Job, why: str) -> FailedPrecondition:
    state = job_pb2.Job.State.Name(job.state)
    message = f"songs/{job.id} is {state}: {why}"
    return FailedPrecondition(message, reason=Reason.WRONG_STATE, retry_after=None, state=state)


def _is_of(job: job_pb2.Job, owner: str) -> bool:
    return job.owner == owner and job.state != job_pb2.Job.PURGED


def _now() -> datetime:
    return datetime.now(UTC)

"""How a request becomes a song that is kept: checked, resolved, within the quotas, written once."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis import telemetry
from harmonia_chassis.errors import Conflict, HarmoniaError, InvalidInput, NotFound, Reason
from harmonia_chassis.identity import Principal, TokenSigner
from harmonia_chassis.job_stream import JobStream, Refused, Stored
from harmonia_chassis.testing import Failpoint, reach
from harmonia_gateway import limits, revising, rules, songs
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.chance import Chance
from harmonia_gateway.continuing import Continuing
from harmonia_gateway.projects import Projects
from harmonia_gateway.quotas import Quotas
from harmonia_gateway.songs import Requester
from harmonia_gateway.webhooks import Webhooks
from harmonia_gateway.words import Words

Request = song_pb2.CreateSongRequest
Revise = song_pb2.ReviseSongRequest
Plan = Callable[[str], Awaitable[job_pb2.Job]]


class Intake:
    """The only writer of new songs, and of the grants that retried ones need."""

    def __init__(
        self,
        *,
        jobs: JobStream,
        words: Words,
        continuing: Continuing,
        capabilities: Capabilities,
        signer: TokenSigner,
        quotas: Quotas,
        chance: Chance,
        failpoint: Failpoint,
        projects: Projects,
        webhooks: Webhooks,
        commercial_tenants: Collection[str] = (),
    ) -> None:
        self._jobs = jobs
        self._words = words
        self._continuing = continuing
        self._capabilities = capabilities
        self._signer = signer
        self._quotas = quotas
        self._chance = chance
        self._failpoint = failpoint
        self._projects = projects
        self._webhooks = webhooks
        self._commercial_tenants = commercial_tenants

    async def accept(self, request: Request, principal: Principal, *, batch: bool = False) -> Stored:
        """The song in the stream, or the one that the same request made before."""
        check_request(request)
        requester = _requester(request, principal)

        async def planned(identity: str) -> job_pb2.Job:
            return await self._planned(request.spec, requester, identity, batch=batch)

        return await self._made_once(requester, songs.digest(request.spec), planned)

    async def revise(self, request: Revise, principal: Principal, source: job_pb2.Job) -> Stored:
        """As `accept`: the song in the stream, or the one that the same request made before."""
        check_revise_request(request)
        requester = _requester(request, principal)

        async def planned(identity: str) -> job_pb2.Job:
            return await self._revised(request, requester, identity, source)

        return await self._made_once(requester, revising.digest(request), planned)

    async def _made_once(self, requester: Requester, digest: str, planned: Plan) -> Stored:
        self._quotas.creates.take(requester.tenant)
        identity = songs.song_id(requester, new_id=self._chance.new_id)
        try:
            return await self._made(await self._admitted(planned, requester, identity))
        except (Refused, HarmoniaError):
            # The same request again has its song, whatever is in the way of a new one by now.
            earlier = await self._jobs.read(requester.tenant, identity) if requester.request_id else None
            if earlier is None:
                raise
            return same_or_conflict(earlier, digest)

    async def _admitted(self, planned: Plan, requester: Requester, identity: str) -> job_pb2.Job:
        await self._quotas.fullness.check()
        await self._quotas.storage.check(requester.tenant, requester.owner)
        return await planned(identity)

    async def _made(self, job: job_pb2.Job) -> Stored:
        """Raises Refused when there is a song of that identity."""
        with self._quotas.places.place(job.tenant, batch=job.batch) as place:
            await self._words.settle(job.spec.lyrics, job.resolved.lyrics, grant=job.grant)
            await self._expect(job)
            try:
                await reach(self._failpoint, "before_create", "")
                stored = await self._jobs.create(job)
            except HarmoniaError:
                await self._projects.give_up(job)
                raise
            place.seq = stored.seq
            await reach(self._failpoint, "after_create", "")
        return stored

    async def _expect(self, job: job_pb2.Job) -> None:
        """Names the song in its project, unless it was made before: since then it may have been taken out."""
        if job.spec.project and not (job.request_id and await self._jobs.read(job.tenant, job.id)):
            await self._projects.expect(job)

    async def rehearse(self, request: Request, principal: Principal, *, batch: bool = False) -> job_pb2.Job:
        """The job that `accept` would write; nothing is kept."""
        check_request(request)
        self._quotas.creates.take(principal.tenant)
        return await self._planned(request.spec, _requester(request, principal), "", batch=batch)

    async def rehearse_revision(self, request: Revise, principal: Principal, source: job_pb2.Job) -> job_pb2.Job:
        """The job that `revise` would write; nothing is kept."""
        check_revise_request(request)
        self._quotas.creates.take(principal.tenant)
        return await self._revised(request, _requester(request, principal), "", source)

    def grant(self, tenant: str, owner: str, identity: str, expires: datetime) -> str:
        """For the workers of one song."""
        return self._signer.grant(tenant=tenant, owner=owner, subject=f"songs/{identity}", expires=expires)

    async def _planned(
        self, sent: spec_pb2.SongSpec, requester: Requester, identity: str, *, batch: bool
    ) -> job_pb2.Job:
        spec = spec_pb2.SongSpec()
        spec.CopyFrom(sent)
        spec.batch = sent.batch or batch
        job = await self._plan(spec, requester, identity, spec_digest=songs.digest(sent))
        await self._continuing.settle(job)
        return job

    async def _revised(self, request: Revise, requester: Requester, identity: str, source: job_pb2.Job) -> job_pb2.Job:
        revised = revising.revision(request, source)
        warnings = await self._left_behind(revised, requester)
        job = await self._plan(revised.spec, requester, identity, spec_digest=revising.digest(request))
        revising.carry_over(job, revised, source)
        await self._continuing.settle(job)
        job.warnings.extend(warnings)
        return job

    async def _left_behind(self, revised: revising.Revision, requester: Requester) -> list[str]:
        """What the old song was in and the new one need not be: unlike what was asked for, that is no fault."""
        spec, warnings = revised.spec, list[str]()
        changed = {change.path for change in revised.changes}
        if spec.project and "project" not in changed:
            try:
                await self._projects.check(spec.project, requester)
            except NotFound:
                warnings.append(f"spec.project: {spec.project} is no longer there, so the new song is in no project")
                spec.ClearField("project")
        if spec.webhook and "webhook" not in changed:
            try:
                await self._webhooks.allow(spec.webhook, requester.tenant, requester.owner)
            except InvalidInput:
                warnings.append("spec.webhook: no webhook of yours covers it any more, so nobody is told")
                spec.ClearField("webhook")
        return warnings

    async def _plan(
        self, spec: spec_pb2.SongSpec, requester: Requester, identity: str, *, spec_digest: str
    ) -> job_pb2.Job:
        now = datetime.now(UTC)
        capabilities = await self._capabilities.current()
        commercial = requester.tenant in self._commercial_tenants
        warnings = songs.validate(spec, capabilities, now, commercial=commercial)
        if spec.project:
            await self._projects.check(spec.project, requester)
        if spec.webhook:
            await self._webhooks.allow(spec.webhook, requester.tenant, requester.owner)
        return songs.plan(
            spec,
            songs.resolve(spec, capabilities, draw_seed=self._chance.draw_seed),
            requester,
            id=identity,
            spec_digest=spec_digest,
            grant=self.grant(requester.tenant, requester.owner, identity, songs.deadline_of(spec, now)),
            capabilities=capabilities,
            warnings=warnings,
            now=now,
        )


def same_or_conflict(earlier: Stored, digest: str) -> Stored:
    """Raises Conflict when the id was used for another spec, or its song was purged."""
    if earlier.job.state == job_pb2.Job.PURGED:
        why = "was used for a song that has been purged: take a new one"
    elif earlier.job.spec_digest != digest:
        why = f"was used for songs/{earlier.job.id}, whose spec is another: take a new one"
    else:
        return earlier
    raise Conflict(f"request_id {why}", reason=Reason.REQUEST_ID_REUSED, field="request_id")


def check_request(request: Request) -> None:
    """What is wrong with a request whatever its song. Raises InvalidInput."""
    rules.refuse_unknown_fields(request)
    _check_how(request)


def check_revise_request(request: Revise) -> None:
    """What is wrong with a request whatever its song. Raises InvalidInput."""
    revising.check_request(request)
    _check_how(request)


def _check_how(request: Request | Revise) -> None:
    songs.check_request_id(request.request_id)
    wait_s = request.wait.seconds + request.wait.nanos / 1e9
    if not 0 <= wait_s <= limits.LONGEST_WAIT_S:
        message = f"wait is {wait_s:g} s: it must be from 0 to {limits.LONGEST_WAIT_S:g} s"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="wait")


def _requester(request: Request | Revise, principal: Principal) -> Requester:
    return Requester(
        tenant=principal.tenant,
        owner=principal.owner,
        request_id=request.request_id,
        traceparent=telemetry.traceparent(),
    )

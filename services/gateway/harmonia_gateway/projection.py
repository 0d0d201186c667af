"""The newest record of every job, in SQLite, for listing, finding, counting and queue positions.

A view that can be thrown away: it is folded from HM_JOBS and built anew when its schema changes, when it
has slept for longer than tombstones are kept, or when the stream is not the one it was folded from.
"""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from nats.aio.msg import Msg

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2
from harmonia_chassis import lanes
from harmonia_chassis.follow import follow
from harmonia_chassis.job_stream import JobStream, Stored, Unreadable, stored
from harmonia_chassis.jobs import UNFINISHED, stage_of
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway import likeness, texts
from harmonia_gateway.states import public_state

log = structlog.get_logger()

# What a webhook is told of.
ENDED = (job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.CANCELLED, job_pb2.Job.EXPIRED)

_SCHEMA_VERSION = 2
_OLDEST_S = 7 * 86400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS songs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, tenant TEXT, owner TEXT, seq INTEGER, state TEXT, job_state INTEGER,
    lane TEXT, queued_seq INTEGER, create_time REAL, update_time REAL, title TEXT, genre TEXT, engine TEXT,
    batch INTEGER, labels TEXT, deleted INTEGER, leaving INTEGER, told BLOB, record BLOB
);
CREATE INDEX IF NOT EXISTS by_owner ON songs (tenant, owner, create_time);
CREATE INDEX IF NOT EXISTS by_queue ON songs (lane, queued_seq) WHERE queued_seq IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_job_state ON songs (job_state);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (
    {words}, tokenize = "unicode61 remove_diacritics 2"
);
CREATE TABLE IF NOT EXISTS unread (number INTEGER PRIMARY KEY, sha256 TEXT, size_bytes INTEGER, plain INTEGER);
CREATE TABLE IF NOT EXISTS sounds (number INTEGER PRIMARY KEY, {sounds}, called TEXT);
""".format(
    words=", ".join(f"in_{field}" for field in texts.FIELDS),
    sounds=", ".join(f"{column} REAL" for column in likeness.COLUMNS),
)
_COLUMNS = (
    *("id", "tenant", "owner", "seq", "state", "job_state", "lane", "queued_seq", "create_time", "update_time"),
    *("title", "genre", "engine", "batch", "labels", "deleted", "leaving", "told", "record"),
)
_UPSERT = (
    f"INSERT INTO songs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608  our own columns
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _COLUMNS[1:])}"
)
_UNREAD_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept in memory of each job: enough to count."""

    seq: int
    state: "job_pb2.Job.State.ValueType"
    lane: str
    tenant: str
    batch: bool
    words: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """Lyrics that a song is to be found by and that lie in the store."""

    number: int
    id: str
    tenant: str
    owner: str
    sha256: str
    size_bytes: int
    plain: bool


class Projection:
    """Fed by one follower of HM_JOBS; `on_change` hears of every record once, in order."""

    def __init__(self, folder: Path, jobs: JobStream, *, on_change: Callable[[Stored], None], metrics: Metrics) -> None:
        self._jobs = jobs
        self._on_change = on_change
        self._metrics = metrics
        self.file = folder / f"projection-{_SCHEMA_VERSION}.sqlite"
        self._db = _open(self.file)
        self._known: dict[str, _Known] = {}
        self._unfinished: Counter[tuple[str, bool]] = Counter()
        self._seq = 0
        self._grown = asyncio.Condition()

    @property
    def seq(self) -> int:
        """Stream sequence up to which everything is in."""
        return self._seq

    async def run(self, ready: Callable[[], None]) -> None:
        await self._start_over_if_foreign()
        self._load()
        async for batch in follow(
            self._jobs, lanes.JOBS, f"{lanes.JOB_SUBJECTS}.>", after=self._seq, last_per_subject=True
        ):
            if not batch:
                ready()
                continue
            records = list(_readable(batch))
            self._fold(records)
            self._seq = batch[-1].metadata.sequence.stream
            self._metrics.projection_lag.set(max(time.time() - batch[-1].metadata.timestamp.timestamp(), 0))
            for record in records:
                self._on_change(record)
            async with self._grown:
                self._grown.notify_all()

    async def wait_for(self, seq: int, timeout_s: float) -> bool:
        """True once everything up to stream sequence `seq` is in; False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                await self._grown.wait_for(lambda: self._seq >= seq)
        except TimeoutError:
            return False
        return True

    def songs(
        self,
        *,
        tenant: str,
        owner: str,
        where: str,
        params: Sequence[object],
        order_by: str,
        limit: int,
        offset: int,
        deleted: bool,
    ) -> tuple[list[Stored], int]:
        """One page and the number of all that match. `where` and `order_by` are SQL made by filters.py."""
        shown = "" if deleted else " AND NOT deleted"
        condition = f"tenant = ? AND owner = ? AND job_state != ? {shown} AND ({where or '1'})"
        values = (tenant, owner, job_pb2.Job.PURGED, *params)
        total = self._db.execute(f"SELECT count(*) FROM songs WHERE {condition}", values).fetchone()[0]  # noqa: S608
        rows = self._db.execute(
            f"SELECT seq, record FROM songs WHERE {condition} ORDER BY {order_by}, id LIMIT ? OFFSET ?",  # noqa: S608
            (*values, limit, offset),
        )
        return [stored_of(*row) for row in rows], total

    def ended_since(self, tenant: str, owner: str, since: float) -> list[Stored]:
        """Songs of the owner that ended after `since` (Unix seconds) and are not deleted, in that order."""
        marks = ",".join("?" * len(ENDED))
        rows = self._db.execute(
            f"SELECT seq, record FROM songs WHERE tenant = ? AND owner = ? AND update_time > ?"  # noqa: S608
            f" AND job_state IN ({marks}) ORDER BY update_time",
            (tenant, owner, since, *ENDED),
        )
        return [stored_of(*row) for row in rows]

    def one(self, tenant: str, job_id: str) -> Stored | None:
        row = self._db.execute("SELECT seq, record FROM songs WHERE tenant = ? AND id = ?", (tenant, job_id)).fetchone()
        return None if row is None else stored_of(*row)

    def in_states(self, states: Sequence[int]) -> list[Stored]:
        """Every job in one of these states of the record."""
        marks = ",".join("?" * len(states))
        rows = self._db.execute(f"SELECT seq, record FROM songs WHERE job_state IN ({marks})", states)  # noqa: S608
        return [stored_of(*row) for row in rows]

    def unfinished(self, tenant: str, *, batch: bool) -> int:
        return self._unfinished[tenant, batch]

    def queue_position(self, job: job_pb2.Job) -> int:
        """Items ahead in the lane; 0 when it does not wait."""
        row = self._db.execute("SELECT lane, queued_seq FROM songs WHERE id = ?", (job.id,)).fetchone()
        if job.state != job_pb2.Job.QUEUED or row is None or row[1] is None:
            return 0
        ahead = self._db.execute("SELECT count(*) FROM songs WHERE lane = ? AND queued_seq < ?", row)
        return int(ahead.fetchone()[0]) + 1

    def waiting(self, lane: str) -> int:
        """Items in the lane that nobody holds."""
        row = self._db.execute(
            "SELECT count(*) FROM songs WHERE lane = ? AND queued_seq IS NOT NULL", (lane,)
        ).fetchone()
        return int(row[0])

    def forget(self, job_id: str) -> None:
        """After the last trace of a purged job has left the stream."""
        self._count(self._known.pop(job_id, None), -1)
        with self._db:
            self._db.execute("DELETE FROM songs WHERE id = ?", (job_id,))

    def unread(self) -> list[Unread]:
        """Some of those that are to be read."""
        rows = self._db.execute(
            "SELECT number, id, tenant, owner, sha256, size_bytes, plain FROM unread JOIN songs USING (number)"
            " ORDER BY number DESC LIMIT ?",
            (_UNREAD_AT_ONCE,),
        )
        return [Unread(*row) for row in rows]

    def read(self, unread: Unread, lyrics: str) -> None:
        """From now on the song is found by them."""
        with self._db:
            self._db.execute("UPDATE words SET in_lyrics = ? WHERE rowid = ?", (texts.indexed(lyrics), unread.number))
            self._db.execute("DELETE FROM unread WHERE number = ? AND sha256 = ?", (unread.number, unread.sha256))

    def close(self) -> None:
        self._db.close()

    def _load(self) -> None:
        for job_id, *known in self._db.execute("SELECT id, seq, job_state, lane, tenant, batch, told FROM songs"):
            self._remember(job_id, _Known(*known))
        self._seq = max((known.seq for known in self._known.values()), default=0)

    async def _start_over_if_foreign(self) -> None:
        newest = self._db.execute("SELECT max(seq) FROM songs").fetchone()[0] or 0
        info = await self._jobs.until_answered(lambda: self._jobs.js.stream_info(lanes.JOBS))
        if newest > info.state.last_seq:
            log.info("projection built anew", newest=newest, last=info.state.last_seq)
            with self._db:
                for table in ("songs", "words", "unread", "sounds"):
                    self._db.execute(f"DELETE FROM {table}")  # noqa: S608  our own names

    def _fold(self, records: list[Stored]) -> None:
        fresh = {record.job.id: record for record in records if record.seq > self._seq_of(record.job.id)}
        told = {name: texts.texts_of(record.job) for name, record in fresh.items()}
        with self._db:
            self._db.executemany(_UPSERT, [_row(record, told[name].digest) for name, record in fresh.items()])
            for name, record in fresh.items():
                self._describe(record.job, told[name])
        for name, record in fresh.items():
            job = record.job
            lane, words = stage_of(job).lane, told[name].digest
            self._remember(job.id, _Known(record.seq, job.state, lane, job.tenant, job.batch, words))

    def _describe(self, job: job_pb2.Job, told: texts.Texts) -> None:
        """What the song is found by, where that is new."""
        known = self._known.get(job.id)
        purged = job.state == job_pb2.Job.PURGED
        if not (purged or job.state == job_pb2.Job.SUCCEEDED) and known and known.words == told.digest:
            return
        (number,) = self._db.execute("SELECT number FROM songs WHERE id = ?", (job.id,)).fetchone()
        if purged:
            for table, key in (("words", "rowid"), ("sounds", "number"), ("unread", "number")):
                self._db.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))  # noqa: S608  our own names
            return
        if known is None or known.words != told.digest:
            self._describe_words(number, told)
        self._describe_sound(number, job)

    def _describe_words(self, number: int, told: texts.Texts) -> None:
        marks = ", ".join("?" * (1 + len(texts.FIELDS)))
        columns = ", ".join(("rowid", *(f"in_{field}" for field in texts.FIELDS)))
        self._db.execute(
            f"INSERT OR REPLACE INTO words ({columns}) VALUES ({marks})",  # noqa: S608  our own columns
            (number, *told.columns),
        )
        if told.elsewhere is not None:
            where = (number, told.elsewhere.sha256, told.elsewhere.size_bytes, told.plain)
            self._db.execute("INSERT OR REPLACE INTO unread VALUES (?, ?, ?, ?)", where)

    def _describe_sound(self, number: int, job: job_pb2.Job) -> None:
        mastered = (stage.result.master for stage in job.stages if stage.name == "master")
        analysis = next((take.analysis for master in mastered for take in master.takes), None)
        sound = likeness.sound_of(analysis) if analysis else None
        if analysis and sound is not None:
            values = (number, *sound, analysis.key.measured)
            marks = ", ".join("?" * len(values))
            self._db.execute(f"INSERT OR REPLACE INTO sounds VALUES ({marks})", values)  # noqa: S608  question marks

    def _seq_of(self, job_id: str) -> int:
        known = self._known.get(job_id)
        return known.seq if known else 0

    def _remember(self, job_id: str, known: _Known) -> None:
        self._count(self._known.get(job_id), -1)
        self._known[job_id] = known
        self._count(known, +1)

    def _count(self, known: _Known | None, by: int) -> None:
        if known is None:
            return
        self._metrics.jobs.labels(lanes.state_token(known.state), known.lane).inc(by)
        if known.state in UNFINISHED:
            self._unfinished[known.tenant, known.batch] += by


def _open(path: Path) -> sqlite3.Connection:
    if path.exists() and time.time() - path.stat().st_mtime > _OLDEST_S:
        path.unlink()
    db = sqlite3.connect(path, check_same_thread=False)
    # It can be built anew from the stream at any time, so it need not survive a power cut.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(_SCHEMA)
    return db


def _readable(batch: list[Msg]) -> Iterator[Stored]:
    for message in batch:
        try:
            yield stored(message)
        except Unreadable:
            log.error("record does not parse", subject=message.subject)


def stored_of(seq: int, record: bytes) -> Stored:
    return Stored(seq, job_pb2.Job.FromString(record))


def _row(record: Stored, words: bytes) -> tuple[object, ...]:
    job = record.job
    stage = stage_of(job)
    brief = job.stages[0].result.write.brief if job.state != job_pb2.Job.PURGED else None
    return (
        job.id,
        job.tenant,
        job.owner,
        record.seq,
        song_pb2.Song.State.Name(public_state(job)),
        job.state,
        stage.lane,
        record.seq if job.state == job_pb2.Job.QUEUED else None,
        job.create_time.ToMicroseconds() / 1e6,
        job.update_time.ToMicroseconds() / 1e6,
        (brief and brief.title) or job.spec.title,
        (brief and brief.genre) or job.spec.genre,
        job.resolved.engine,
        job.batch,
        json.dumps(dict(job.spec.labels)),
        job.state == job_pb2.Job.DELETED,
        job.delete_requested,
        words,
        job.SerializeToString(),
    )

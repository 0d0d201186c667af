"""The stage `write`, the same at both doors: prompt to brief, and words where words are wanted."""

import asyncio
import time
from dataclasses import dataclass, replace

from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2 as pb
from harmonia.lyrics.v1 import lyrics_pb2
from harmonia.song.v1 import brief_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.store import StoreClient
from harmonia_chassis.worker import Work
from harmonia_lyricist import editor, lexicon, songwriter, wire, writer
from harmonia_lyricist.brief import Asked, Brief, Palette, Reading, Words
from harmonia_lyricist.llm import LanguageModel
from harmonia_lyricist.prompt import read
from harmonia_lyricist.sheet import read_sheet

INLINE_LYRICS_BYTES = 2048
LYRICS_MEDIA_TYPE = "application/x-protobuf"
_TEXT_FIELD = "spec.lyrics.text_artifact"


@dataclass(frozen=True, slots=True)
class Tables:
    """All that is read at start: what words mean, and what to say."""

    lexicon: lexicon.Lexicon
    writing: writer.Writing


def load() -> Tables:
    return Tables(lexicon.load(), writer.load())


@dataclass(frozen=True, slots=True)
class Written:
    brief: Brief
    reading: Reading
    warnings: tuple[str, ...]
    cpu_seconds: float = 0.0


class Lyricist:
    def __init__(self, tables: Tables, store: StoreClient, model: LanguageModel | None = None) -> None:
        self._tables = tables
        self._store = store
        self._model = model

    async def perform(self, request: pb.WriteRequest, work: Work) -> job_pb2.StageResult:
        """The stage's result; long lyrics go to the store. Raises InvalidInput when the user's text is no text."""
        written = await self.write(request, work.grant)
        work.check()
        result = await self.result(written, work.grant)
        work.progress(1.0, "written")
        return job_pb2.StageResult(write=result, cpu_seconds=written.cpu_seconds)

    def read(self, request: pb.WriteRequest) -> pb.WriteResult:
        """The brief without its words; well under a millisecond."""
        spec = request.spec
        asked = wire.asked_from_proto(spec)
        reading = read(spec.prompt, asked, wire.palette_from_proto(request), lexicon=self._tables.lexicon)
        return wire.result_to_proto(reading.brief, reading.understood, reading.warnings)

    async def write(self, request: pb.WriteRequest, grant: str) -> Written:
        asked = wire.asked_from_proto(request.spec, text=await self._text(request, grant))
        palette = wire.palette_from_proto(request)
        if self._model is None:
            return await asyncio.to_thread(_timed, request.spec.prompt, asked, palette, tables=self._tables)
        return await write_with(self._model, request.spec.prompt, asked, palette, tables=self._tables)

    async def rewrite(self, request: lyrics_pb2.RewriteLyricsRequest) -> lyrics_pb2.RewriteLyricsResponse:
        """Raises InvalidInput for a place that is not in the text, and where nobody has another line."""
        writing = self._tables.writing
        lyrics, warnings = read_sheet(request.text, writing.metre)
        change = wire.change_from_proto(request, lyrics)
        try:
            lines, more = await songwriter.another(
                lyrics, change, language=request.language or "en", writing=writing, model=self._model
            )
        except editor.NoLine as none:
            message = f"{none}: ask for another length or rhyme"
            raise InvalidInput(message, reason=Reason.NOT_SUPPORTED, field="line") from none
        changed = editor.put(lyrics, change, lines)
        return lyrics_pb2.RewriteLyricsResponse(
            text=editor.sheet(changed), lines=map(wire.line_to_proto, lines), warnings=[*warnings, *more]
        )

    def scan(self, request: lyrics_pb2.ScanLyricsRequest) -> lyrics_pb2.ScanLyricsResponse:
        lyrics, warnings = read_sheet(request.text, self._tables.writing.metre)
        letters = [editor.letters(section, self._tables.writing) for section in lyrics.sections]
        return wire.scan_to_proto(lyrics, letters, warnings)

    async def rhymes(self, request: lyrics_pb2.ListRhymesRequest) -> lyrics_pb2.ListRhymesResponse:
        word = request.word.strip().lower()
        found = await asyncio.to_thread(editor.rhymes_of, word, self._tables.writing)
        return lyrics_pb2.ListRhymesResponse(
            rhymes=[
                lyrics_pb2.ListRhymesResponse.Rhyme(word=other, syllables=count)
                for other, count in found[: request.page_size or 50]
            ]
        )

    async def result(self, written: Written, grant: str) -> pb.WriteResult:
        result = wire.result_to_proto(written.brief, written.reading.understood, written.warnings)
        lyrics: brief_pb2.Lyrics = result.brief.lyrics
        if lyrics.ByteSize() > INLINE_LYRICS_BYTES:
            body = lyrics.SerializeToString(deterministic=True)
            result.lyrics.CopyFrom(await self._store.put(body, LYRICS_MEDIA_TYPE, grant))
            result.brief.ClearField("lyrics")
        return result

    async def _text(self, request: pb.WriteRequest, grant: str) -> str:
        ref = wire.text_artifact(request)
        if ref is None:
            return ""
        try:
            return (await self._store.get(ref, grant)).decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("the lyrics are no text in UTF-8", reason=Reason.MALFORMED, field=_TEXT_FIELD) from error


def _timed(prompt: str, asked: Asked, palette: Palette, *, tables: Tables) -> Written:
    started = time.thread_time()
    written = write(prompt, asked, palette, tables=tables)
    return replace(written, cpu_seconds=time.thread_time() - started)


def write(prompt: str, asked: Asked, palette: Palette, *, tables: Tables) -> Written:
    """PURE. Some 0.3 ms, and 5 ms a stanza."""
    reading = read(prompt, asked, palette, lexicon=tables.lexicon)
    if asked.words is Words.TEXT or reading.theme is None:
        return _without_writing(reading, asked, tables)
    return _with(reading, songwriter.alone(songwriter.plan(reading), seed=asked.seed, writing=tables.writing))


async def write_with(model: LanguageModel, prompt: str, asked: Asked, palette: Palette, *, tables: Tables) -> Written:
    """As `write`, with what a language model has to say. Takes as long as its Guarded allows, three questions long."""
    reading = await songwriter.understood(prompt, asked, palette, lexicon=tables.lexicon, model=model)
    if asked.words is Words.TEXT or reading.theme is None:
        return _without_writing(reading, asked, tables)
    plan = songwriter.plan(reading)
    return _with(reading, await songwriter.words(plan, seed=asked.seed, writing=tables.writing, model=model))


def _without_writing(reading: Reading, asked: Asked, tables: Tables) -> Written:
    if asked.words is not Words.TEXT:
        return Written(reading.brief, reading, reading.warnings)
    lyrics, warnings = read_sheet(asked.text, tables.writing.metre)
    return Written(replace(reading.brief, lyrics=lyrics), reading, (*reading.warnings, *warnings))


def _with(reading: Reading, sung: songwriter.Sung) -> Written:
    brief = replace(reading.brief, lyrics=sung.lyrics, language=reading.brief.language if sung.by else "en")
    told = replace(reading, understood=songwriter.credit(reading, sung))
    return Written(brief, told, (*reading.warnings, *sung.warnings))

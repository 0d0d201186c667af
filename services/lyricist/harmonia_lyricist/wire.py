"""Protobuf on one side, the lyricist's own words on the other. PURE."""

from collections.abc import Iterable

from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2 as pb
from harmonia.lyrics.v1 import lyrics_pb2
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_lyricist.brief import Asked, Brief, Kind, Line, Lyrics, Palette, Section, Understood, Words
from harmonia_lyricist.editor import Change

_KINDS = {spec_pb2.SongSpec.SONG: Kind.SONG, spec_pb2.SongSpec.BEAT: Kind.BEAT, spec_pb2.SongSpec.LOOP: Kind.LOOP}
_KIND_VALUES = {kind: value for value, kind in _KINDS.items()}
_WORDS = {
    spec_pb2.LyricsSpec.INSTRUMENTAL: Words.INSTRUMENTAL,
    spec_pb2.LyricsSpec.WRITE: Words.WRITE,
    spec_pb2.LyricsSpec.TEXT: Words.TEXT,
}
# A job's record is at most 64 KiB; a prompt that is all names of instruments must not fill it.
_MOST_UNDERSTOOD, _MOST_WARNINGS = 64, 16
_LONGEST_QUOTE = 160


def request_from(job: job_pb2.Job) -> pb.WriteRequest:
    """What the gateway chose for want of a word, the prompt may still say: kind and length."""
    spec = spec_pb2.SongSpec()
    spec.CopyFrom(job.resolved)
    spec.prompt, spec.negative_prompt = job.spec.prompt, job.spec.negative_prompt
    spec.kind = job.spec.kind
    # What goes on from a recording is longer than it, whatever the prompt says.
    for length in () if job.HasField("continue_from") else ("duration_seconds", "bars"):
        if not job.spec.HasField(length):
            spec.ClearField(length)
    palette = job.palette
    return pb.WriteRequest(
        spec=spec,
        genres=palette.genres,
        moods=palette.moods,
        instruments=palette.instruments,
        time_signatures=palette.time_signatures,
        kinds=palette.kinds,
    )


def _has_text(lyrics: spec_pb2.LyricsSpec) -> bool:
    return bool(lyrics.text) or lyrics.HasField("text_artifact")


def text_artifact(request: pb.WriteRequest) -> type_pb2.ArtifactRef | None:
    """Where the user's words are, when they are not in the request."""
    lyrics = request.spec.lyrics
    return lyrics.text_artifact if lyrics.HasField("text_artifact") and not lyrics.text else None


def asked_from_proto(spec: spec_pb2.SongSpec, *, text: str = "") -> Asked:
    """`text` stands for spec.lyrics.text_artifact."""
    words = Words.TEXT if _has_text(spec.lyrics) else _WORDS.get(spec.lyrics.mode, Words.AUTO)
    if spec.vocals == spec_pb2.SongSpec.GUIDE and words is Words.AUTO:
        words = Words.WRITE
    return Asked(
        negative_prompt=spec.negative_prompt,
        kind=_KINDS.get(spec.kind),
        title=spec.title,
        words=words,
        text=spec.lyrics.text or text,
        language=spec.language,
        genre=spec.genre,
        moods=tuple(spec.moods),
        instruments=tuple(spec.instruments),
        complexity=spec.complexity if spec.HasField("complexity") else None,
        bpm=spec.bpm if spec.HasField("bpm") else None,
        key=spec.key,
        time_signature=spec.time_signature,
        duration_seconds=spec.duration_seconds if spec.HasField("duration_seconds") else None,
        bars=spec.bars if spec.HasField("bars") else None,
        sections=tuple(_section_from_proto(section) for section in spec.sections),
        seed=spec.seed,
    )


def palette_from_proto(request: pb.WriteRequest) -> Palette:
    return Palette(
        genres=tuple(request.genres),
        moods=tuple(request.moods),
        instruments=tuple(request.instruments),
        time_signatures=tuple(request.time_signatures),
        kinds=tuple(_KINDS[spec_pb2.SongSpec.Kind.Value(kind)] for kind in request.kinds) or (Kind.SONG,),
    )


def _section_from_proto(section: spec_pb2.Section) -> Section:
    return Section(
        section.name,
        section.bars,
        section.intensity if section.HasField("intensity") else None,
        section.seed if section.HasField("seed") else None,
    )


def _section_to_proto(section: Section) -> spec_pb2.Section:
    return spec_pb2.Section(name=section.name, bars=section.bars, intensity=section.intensity, seed=section.seed)


def brief_to_proto(brief: Brief) -> brief_pb2.Brief:
    return brief_pb2.Brief(
        title=brief.title,
        genre=brief.genre,
        moods=brief.moods,
        bpm=brief.bpm,
        key=brief.key,
        time_signature=brief.time_signature,
        duration_seconds=brief.duration_seconds,
        kind=_KIND_VALUES[brief.kind],
        instruments=brief.instruments,
        excluded_instruments=brief.excluded_instruments,
        complexity=brief.complexity,
        sections=map(_section_to_proto, brief.sections),
        lyrics=lyrics_to_proto(brief.lyrics) if brief.lyrics.sections else None,
        language=brief.language,
        description=brief.description,
        bars=brief.bars,
    )


def line_to_proto(line: Line) -> brief_pb2.LyricLine:
    return brief_pb2.LyricLine(text=line.text, syllables=line.syllables, stresses=line.stresses)


def lyrics_to_proto(lyrics: Lyrics) -> brief_pb2.Lyrics:
    return brief_pb2.Lyrics(
        sections=[
            brief_pb2.LyricSection(
                name=section.name,
                lines=[line_to_proto(line) for line in section.lines],
            )
            for section in lyrics.sections
        ]
    )


def change_from_proto(request: lyrics_pb2.RewriteLyricsRequest, lyrics: Lyrics) -> Change:
    """Raises InvalidInput for a place that the lyrics do not have."""
    _among("section", request.section, len(lyrics.sections), "section")
    section = lyrics.sections[request.section - 1]
    if request.line:
        _among("line", request.line, len(section.lines), "line of the section")
    elif request.rhyme_with:
        message = "rhyme_with is for a line: name one, or leave the word out"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="rhyme_with")
    return Change(
        section=request.section - 1,
        line=request.line - 1 if request.line else None,
        theme=request.theme,
        syllables=request.syllables if request.HasField("syllables") else None,
        rhyme_with=request.rhyme_with.strip(),
        seed=request.seed,
    )


def _among(field: str, number: int, most: int, what: str) -> None:
    if not 1 <= number <= most:
        message = f"{field} is {number}: the text has {most or 'no'} {what}{'s' * (most != 1)}, counted from 1"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field=field)


def scan_to_proto(lyrics: Lyrics, letters: Iterable[str], warnings: Iterable[str]) -> lyrics_pb2.ScanLyricsResponse:
    """`letters`: the rhyme scheme of each section."""
    return lyrics_pb2.ScanLyricsResponse(
        sections=[
            lyrics_pb2.ScanLyricsResponse.Section(
                name=section.name,
                lines=[
                    lyrics_pb2.ScanLyricsResponse.Line(
                        text=line.text, syllables=line.syllables, stresses=line.stresses, rhyme=letter
                    )
                    for line, letter in zip(section.lines, marks, strict=True)
                ],
            )
            for section, marks in zip(lyrics.sections, letters, strict=True)
        ],
        warnings=warnings,
    )


def result_to_proto(brief: Brief, understood: Iterable[Understood], warnings: Iterable[str]) -> pb.WriteResult:
    said = [brief_pb2.Understood(text=_short(one.text), field=one.field, value=_short(one.value)) for one in understood]
    told = [_short(warning) for warning in warnings]
    if len(told) > _MOST_WARNINGS:
        told = [*told[:_MOST_WARNINGS], f"and {len(told) - _MOST_WARNINGS} warnings more"]
    return pb.WriteResult(brief=brief_to_proto(brief), understood=said[:_MOST_UNDERSTOOD], warnings=told)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"

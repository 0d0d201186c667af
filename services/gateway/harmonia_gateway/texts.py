"""PURE: the words a song is found by, and a question for them in the words of FTS5.

Nothing a user types is ever FTS5's syntax: each word goes in as a quoted string. Scripts that write no spaces are cut
into single characters, here and there alike, so that a part of a line is found in them too.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import brief_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_gateway import rules

FIELDS = ("title", "prompt", "lyrics", "labels")
LONGEST = 200
_MOST_TERMS = 20

# Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
# No letter to unicode61, and nothing to see: it may stay in what is shown until it is taken out.
_CUT = "\u200b"
_TERM = re.compile(r'(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"*]+))(?P<beginning>\*?)|\*')
_SECTION = re.compile(r"^\[[^\]\n]*\]\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Texts:
    """`elsewhere`: lyrics too long for the record; a text where `plain`, else a Lyrics message."""

    title: str
    prompt: str
    lyrics: str
    labels: str
    elsewhere: type_pb2.ArtifactRef | None = None
    plain: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(indexed(text) for text in (self.title, self.prompt, self.lyrics, self.labels))

    @property
    def digest(self) -> bytes:
        parts = (self.title, self.prompt, self.lyrics, self.labels, self.elsewhere.sha256 if self.elsewhere else "")
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()


def texts_of(job: job_pb2.Job) -> Texts:
    written = job.stages[0].result.write if job.stages else None
    brief = written.brief if written else brief_pb2.Brief()
    elsewhere, plain = None, False
    if job.spec.lyrics.HasField("text_artifact"):
        elsewhere, plain = job.spec.lyrics.text_artifact, True
    elif written and written.HasField("lyrics"):
        elsewhere = written.lyrics
    return Texts(
        title=brief.title or job.spec.title,
        prompt=job.spec.prompt,
        lyrics=_SECTION.sub("", job.spec.lyrics.text) or words_of(brief.lyrics),
        labels="\n".join(f"{name} {value}" for name, value in sorted(job.spec.labels.items())),
        elsewhere=elsewhere,
        plain=plain,
    )


def words_of(lyrics: brief_pb2.Lyrics) -> str:
    return "\n".join(line.text for section in lyrics.sections for line in section.lines)


def read_lyrics(body: bytes, *, plain: bool) -> str:
    """Of an artifact. Raises ValueError, protobuf's DecodeError."""
    return _SECTION.sub("", body.decode()) if plain else words_of(brief_pb2.Lyrics.FromString(body))


def indexed(text: str) -> str:
    """Control characters mark what was found, so none may stand in a text."""
    clean = _CONTROL.sub(" ", unicodedata.normalize("NFKC", text))
    return clean if clean.isascii() else _UNSPACED.sub(rf"\1{_CUT}", clean)


def shown(text: str) -> str:
    """What `indexed` was made of, for people."""
    return text.replace(_CUT, "")


def question(query: str) -> str:
    """An FTS5 expression: all of the words. Raises InvalidInput on field `query`."""
    rules.check_text(query, LONGEST, shown="query")
    terms = [term for match in _TERM.finditer(query) if (term := _term(match))]
    if not terms:
        message = "query holds no letter and no digit: name a word of the title, the prompt, the lyrics or a label"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="query")
    if len(terms) > _MOST_TERMS:
        message = f"query has {len(terms)} words: at most {_MOST_TERMS} are looked for at once"
        raise InvalidInput(message, reason=Reason.TOO_LONG, field="query")
    return " AND ".join(terms)


def _term(match: re.Match[str]) -> str:
    text = match["phrase"] or match["word"] or ""
    if not any(c.isalnum() for c in text):
        return ""
    return f'"{indexed(text)}"{" *" if match["beginning"] else ""}'

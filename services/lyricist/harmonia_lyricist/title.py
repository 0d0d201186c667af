"""A name for the song, from the words the prompt is left with once the music is read out of it. PURE."""

import re
from collections.abc import Iterable

from harmonia_lyricist.clues import Clues
from harmonia_lyricist.tokens import fold

LONGEST = 60
_SMALL = {"a", "an", "the", "of", "in", "on", "to", "and", "or", "for", "at", "by", "from", "but", "with"}
_UNLIKELY_FIRST = _SMALL | {
    "how",
    "when",
    "that",
    "my",
    "someone",
    "about",
    "das",
    "dem",
    "den",
    "ein",
    "eine",
    "einen",
}
# fmt: off
_IDLE = frozenset({
    "a", "about", "add", "also", "an", "and", "anti", "any", "approximately", "are", "around", "as", "at", "avec",
    "awesome", "background", "bar", "bars", "based", "be", "beat", "beats", "beautiful", "been", "best", "between",
    "bit", "bpm", "but", "by", "called", "can", "cancion", "canzone", "chanson", "com", "compose", "con", "cool",
    "could", "create", "da", "das", "de", "del", "dem", "den", "der", "des", "di", "did", "die", "do", "does", "du",
    "during", "e", "eg", "ein", "eine", "einen", "el", "em", "et", "etc", "every", "extra", "feat", "featuring",
    "feel", "feeling", "feelings", "feels", "female", "for", "foreground", "from", "full", "fur", "generate",
    "genre", "get", "give", "gli", "gonna", "good", "great", "had", "has", "have", "hello", "hey", "hi", "high",
    "i", "i'd", "i'm", "if", "il", "im", "in", "include", "includes", "including", "inspired", "instead",
    "instrument", "instrumental", "instruments", "into", "is", "it", "it's", "its", "just", "key", "kind", "kinda",
    "la", "las", "le", "les", "let", "let's", "lied", "like", "little", "lo", "long", "los", "lot", "low", "lyrics",
    "made", "major", "make", "makes", "male", "maybe", "me", "medium", "mention", "meter", "metre", "minor",
    "minute", "minutes", "mit", "mode", "mood", "moody", "more", "most", "much", "music", "musica", "musical",
    "musik", "musique", "my", "named", "need", "never", "new", "nice", "no", "not", "of", "ok", "okay", "on",
    "only", "or", "other", "our", "out", "over", "para", "perfect", "piece", "pieces", "play", "please", "pls",
    "popsong", "pour", "pretty", "produce", "quality", "quite", "really", "scale", "second", "seconds", "short",
    "should", "so", "some", "something", "song", "songs", "sort", "sound", "sounding", "sounds", "soundtrack", "style",
    "such", "super", "sur", "tempo", "than", "thank", "thanks", "that", "the", "their", "them", "theme", "themed",
    "then", "there", "these", "they", "thing", "this", "those", "time", "title", "titled", "to", "too", "track",
    "tracks", "tune", "tunes", "turning", "turns", "type", "u", "um", "uma", "un", "una", "und", "une", "up", "us",
    "use", "used", "using", "version", "very", "vibe", "vibes", "vibey", "vocal", "vocals", "wanna", "want", "was",
    "way", "we", "what", "when", "where", "which", "while", "who", "will", "with", "without", "words", "would",
    "write", "y", "you", "your",
})
# fmt: on


def made_up(clues: Clues, *, fallback: str) -> str:
    """From what the words are about, else from the words left over, else the fallback."""
    words = clues.theme.value.split() if clues.theme else list(_content(clues))[:4]
    while len(words) > 1 and words[0].lower() in _UNLIKELY_FIRST:
        words = words[1:]
    return fit(title_case(words[:6])) or fit(fallback)


def content(clues: Clues) -> str:
    return " ".join(_content(clues))


def _content(clues: Clues) -> Iterable[str]:
    taken = [(c.start, c.end) for c in clues.found if c.negated or c.kind not in ("mood", "scene")]
    if clues.form:
        taken.append(clues.form_span)
    said = {token.word for token in fold(clues.unlike).tokens}
    for token in clues.text.tokens:
        word = token.word
        if (len(word) < 2 and word.isascii()) or word in _IDLE or word in said or not word[0].isalpha():
            continue
        if not any(start <= token.start < end for start, end in taken):
            said.add(word)
            yield clues.text.quote(token.start, token.end)


def title_case(words: Iterable[str]) -> str:
    listed = list(words)
    return " ".join(
        word if 0 < i < len(listed) - 1 and word in _SMALL else word[:1].upper() + word[1:]
        for i, word in enumerate(listed)
    )


def fit(title: str) -> str:
    """At most 60 characters, cut between words where there are any."""
    title = re.sub(r"\s+", " ", title).strip(' ,.;:-"')
    if len(title) <= LONGEST:
        return title
    return title[: LONGEST + 1].rsplit(" ", 1)[0][:LONGEST].rstrip(" ,.;:-")

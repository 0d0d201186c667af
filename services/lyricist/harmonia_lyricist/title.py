"""A name for the song, from the words the prompt is left with once the music is read out of it. PURE."""

import re
from collections.abc import Iterable

from harmonia_lyricist.clues import Clues

LONGEST = 60
_SMALL = {"a", "an", "the", "of", "in", "on", "to", "and", "or", "for", "at", "by", "from", "but", "with"}
_IDLE = frozenset(
    "a an and are as at be been but by can could did do does for from get give had has have i i'd i'm if in instead into is it it's its "
    "just kind let let's like lot made make makes maybe me more most much my need of on only or other our out over please really should so "
    "some something sort sound sounds soundtrack style such than that the their them then there these they thing this those to too track tracks up us use "
    "used using very want wanna was way we what when where which while who will with without would you your u im sounding gonna create generate write "
    "compose produce play song songs music musical tune tunes piece pieces beat beats vibe vibes vibey feel feels feeling feelings mood moody genre "
    "tempo bpm key major minor mode scale instrumental instrument instruments lyrics vocals vocal words version minute minutes second seconds long short "
    "about around approximately called titled named title featuring feat include includes including add good great nice cool awesome best perfect "
    "beautiful new type theme themed inspired based background foreground medium any every no not never quality high low bar bars meter metre "
    "minutes time eg etc ok okay hi hello hey thanks thank pls male female also bit little kinda super extra pretty quite during full "
    "ein eine einen der die das und mit fur im in ein una un une des le la les du de del el los las con para y e et avec pour sur il lo gli di da do em com um uma lied cancion chanson canzone musica musik musique".split()
)


def made_up(clues: Clues, *, fallback: str) -> tuple[str, str]:
    """A title and the user's words it comes from; without any, the fallback and nothing."""
    if clues.theme:
        words = clues.theme.value.split()
        while words and words[0].lower() in _SMALL | {"how", "when", "that", "my"} and len(words) > 1:
            words = words[1:]
        return fit(title_case(words[:6])), clues.theme.value
    words = list(_content(clues))[:4]
    if not words:
        return fit(fallback), ""
    return fit(title_case(words)), " ".join(words)


def content(clues: Clues) -> str:
    return " ".join(_content(clues))


def _content(clues: Clues) -> Iterable[str]:
    taken = [(c.start, c.end) for c in clues.found if c.negated or c.kind not in ("mood", "scene")]
    if clues.form:
        taken.append(clues.form_span)
    said = set()
    for token in clues.text.tokens:
        word = token.word
        if len(word) < 2 and word.isascii() or word in _IDLE or word in said or not word[0].isalpha():
            continue
        if not any(start <= token.start < end for start, end in taken):
            said.add(word)
            yield clues.text.quote(token.start, token.end)


def title_case(words: Iterable[str]) -> str:
    listed = list(words)
    return " ".join(
        word if 0 < i < len(listed) - 1 and word in _SMALL else word[:1].upper() + word[1:] for i, word in enumerate(listed)
    )


def fit(title: str) -> str:
    """At most 60 characters, cut between words where there are any."""
    title = re.sub(r"\s+", " ", title).strip(" ,.;:-\"")
    if len(title) <= LONGEST:
        return title
    return title[: LONGEST + 1].rsplit(" ", 1)[0][:LONGEST].rstrip(" ,.;:-")

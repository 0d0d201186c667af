"""What a prompt says, clue by clue, before anything is decided. PURE.

A clue is a phrase and one meaning of it. Clues of a title or of what the words are about are not
clues about the music, except for their moods: a techno track about a piano has no piano.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harmonia_lyricist.lexicon import Entries, Fact, Lexicon
from harmonia_lyricist.quantities import Quantity, quantities
from harmonia_lyricist.tokens import Text, Token, fold


@dataclass(frozen=True, slots=True)
class Clue:
    """`kind` is a Fact's or a Quantity's; negated: the prompt does not want it."""

    kind: str
    value: str
    start: int
    end: int
    number: float = 0.0
    negated: bool = False
    # Where its "no" stands.
    since: int = -1


@dataclass(frozen=True, slots=True)
class Clues:
    text: Text
    found: tuple[Clue, ...]
    title: Clue | None = None
    theme: Clue | None = None
    # Whom it shall sound like, where that is nothing the lexicon knows.
    unlike: str = ""
    form: tuple[str, ...] = ()
    form_span: tuple[int, int] = (0, 0)
    # Words that the lyrics shall do without, by commas.
    unsaid: tuple[Clue, ...] = ()

    def of(self, *kinds: str) -> list[Clue]:
        return [clue for clue in self.found if clue.kind in kinds and not clue.negated]

    def denied(self, *kinds: str) -> list[Clue]:
        return [clue for clue in self.found if clue.kind in kinds and clue.negated]

    def quote(self, clue: Clue) -> str:
        return self.text.quote(clue.start if clue.since < 0 else clue.since, clue.end)


def gather(prompt: str, lexicon: Lexicon, *, extra: Entries | None = None) -> Clues:
    """`extra` are phrases only this engine knows."""
    text = fold(prompt)
    title = _title(text)
    figures = [q for q in quantities(text) if title is None or q.end <= title.start or q.start >= title.end]
    matches = _matches(text, lexicon.entries, extra or {}, lexicon.reach)
    languages = list(_languages(text, lexicon))
    unsaid = tuple(_unsaid(text))
    sung_in = [clue for clue in languages if clue.kind == "language"]
    theme = _theme(text, [*figures, *sung_in, *unsaid], matches, title)
    found = [Clue(q.field, q.value, q.start, q.end, q.number) for q in figures if not _inside(q, theme)]
    found += _phrases(text, matches, figures, title, theme)
    unlike = _unlike(text, found)
    found = [clue for clue in found if not unlike or not unlike[0] <= clue.start < unlike[1]]
    found += [clue for clue in languages if not _inside(clue, theme)]
    found += _beats(text, found)
    form, form_span = _form(text)
    return Clues(
        text,
        tuple(sorted(found, key=lambda clue: clue.start)),
        title=title,
        theme=theme,
        unlike=text.quote(*unlike) if unlike else "",
        form=form,
        form_span=form_span,
        unsaid=unsaid,
    )


@dataclass(frozen=True, slots=True)
class _Match:
    first: int  # token
    last: int  # token after
    facts: tuple[Fact, ...]


def _matches(text: Text, entries: Entries, extra: Entries, reach: int) -> list[_Match]:
    """The longest known phrase at each place; hyphens between words do not count."""
    words = [(i, token) for i, token in enumerate(text.tokens) if token.word != "-" or not _joins(text, token)]
    plain = [token.word for _, token in words]
    found, at = [], 0
    while at < len(words):
        for spelling, facts in (*extra.get(plain[at], ()), *entries.get(plain[at], ())):
            if tuple(plain[at : at + min(len(spelling), reach)]) == spelling and not _is_name(plain, at, facts):
                found.append(_Match(words[at][0], words[at + len(spelling) - 1][0] + 1, facts))
                at += len(spelling)
                break
        else:
            at += 1
    return found


def _joins(text: Text, hyphen: Token) -> bool:
    around = text.folded[hyphen.start - 1 : hyphen.start] + text.folded[hyphen.end : hyphen.end + 1]
    return len(around) == 2 and around.isalnum()


_OWNERS = {"my", "your", "our", "his", "her", "their", "whose"}
_PLACES = {"in", "through", "into", "of", "from", "at", "on", "by", "to", "across"}
# fmt: off
_PLACE_WORDS = {
    "house", "jungle", "rock", "country", "trap", "metal", "soul", "western", "march", "industrial", "swing",
    "dance", "drill", "dub", "score",
}
# fmt: on


def _is_name(plain: Sequence[str], at: int, facts: tuple[Fact, ...]) -> bool:
    """ "in the jungle" and "my house" are places, not genres."""
    if plain[at] not in _PLACE_WORDS or facts[0].kind not in ("genre", "akin", "style") or at == 0:
        return False
    return plain[at - 1] in _OWNERS or (at > 1 and plain[at - 1] in ("the", "a") and plain[at - 2] in _PLACES)


_TITLE = re.compile(
    r"\b(?:called|titled|entitled|named|(?:with the |whose |the )?title(?: is| of)?|by the name(?: of)?)[ ]*[:=]? *"
    r"(?:\"(?P<q>[^\"\n]{1,120})\"|'(?P<a>[^\n]{1,120}?)'(?![a-z])|(?P<bare>[^\s,.;:!?\"'][^,.;:!?\"\n]{0,119}))"
)
_QUOTED = re.compile(
    r"\b(?:song|track|tune|piece|ballad|anthem|lullaby|beat) "
    r"(?:\"(?P<q>[^\"\n]{1,120})\"|'(?P<a>[^\n]{1,120}?)'(?![a-z]))"
)
_BARE_END = re.compile(
    r" (?:in [a-g](?:#|b|m)?\b|in the style|in \d|at \d|with|about|for|by|that|which"
    r"|and (?:it|make|use)|using|around \d|\d+ ?(?:bpm|sec|min))|-(?= )| -"
)
_NO_TITLE = {"it", "for", "and", "with", "me", "is"}


def _title(text: Text) -> Clue | None:
    match = _TITLE.search(text.folded) or _QUOTED.search(text.folded)
    if match is None:
        return None
    for group in ("q", "a"):
        if match[group]:
            start, end = match.span(group)
            return Clue("title", text.quote(start, end), match.start(), match.end())
    start, end = match.span("bare")
    stop = _BARE_END.search(text.folded, start, end)
    end = _capitals_end(text, start, stop.start() if stop else end)
    value = text.quote(start, end)
    if not value or value.lower() in _NO_TITLE:
        return None
    return Clue("title", value, match.start(), end)


_SMALL = {"a", "an", "the", "of", "in", "on", "to", "and", "or", "for", "at", "by", "from", "de", "la", "le", "my"}


def _capitals_end(text: Text, start: int, end: int) -> int:
    """A title in capitals ends where they do: "called Night Train at 90 bpm"."""
    words = list(re.finditer(r"\S+", text.raw[start:end]))
    if not words or not words[0][0][0].isupper():
        return start + words[min(len(words), 6) - 1].end() if words else end
    last = words[0].end()
    for word in words[1:]:
        if word[0][0].isupper() or word[0][0].isdigit():
            last = word.end()
        elif word[0] not in _SMALL:
            break
    return start + last


_ABOUT = re.compile(
    r"\b(?:about|on the subject of|(?:tells?|telling) (?:of|the (?:story|tale) of)|(?:a |the )?(?:story|tale) of"
    r"|(?:an )?ode to|in memory of|dedicated to|themed around|on the theme of|uber|sobre|sur|handelt von) (?!\d)"
)
_ABOUT_ENDS = {".", ";", ":", "!", "?", "(", ")", "\n", '"', "but", "using", "featuring"}
_MUSICAL = {"genre", "style", "akin", "instrument", "voice", "tempo", "italian", "metre", "kind", "complexity"}
_COMPANIONS = {"you", "me", "my", "your", "her", "him", "them", "us", "someone", "somebody", "no", "nobody", "everyone"}


def _theme(text: Text, figures: Sequence[Quantity | Clue], matches: list[_Match], title: Clue | None) -> Clue | None:
    for match in _ABOUT.finditer(text.folded):
        if title and title.start <= match.start() < title.end:
            continue
        if any(figure.start < match.end() <= figure.end for figure in figures):
            continue
        start, end = match.end(), _theme_end(text, match.end(), figures, matches, title)
        if text.folded[start:end].strip():
            return Clue("theme", text.quote(start, end), match.start(), end)
    return None


def _theme_end(
    text: Text, start: int, figures: Sequence[Quantity | Clue], matches: list[_Match], title: Clue | None
) -> int:
    limit = min([q.start for q in figures if q.start >= start] + [len(text.raw)])
    if title and title.start >= start:
        limit = min(limit, title.start)
    if "\n" in text.raw[start:limit]:
        limit = text.raw.index("\n", start)
    musical = {m.first for m in matches if any(fact.kind in _MUSICAL for fact in m.facts)}
    tokens = text.tokens
    for i, token in enumerate(tokens):
        if token.start < start:
            continue
        if token.start >= limit or token.word in _ABOUT_ENDS:
            return _trim(text, start, min(token.start, limit))
        following = tokens[i + 1].word if i + 1 < len(tokens) else ""
        if token.word == "," and not _goes_on(tokens, i, musical, limit):
            return token.start
        if token.word in ("with", "in", "as") and following not in _COMPANIONS and _turns(tokens, i, musical):
            return _trim(text, start, token.start)
    return _trim(text, start, limit)


def _turns(tokens: Sequence[Token], at: int, musical: set[int]) -> bool:
    """ "about the sea with an old piano": from the "with" on it is about the music."""
    for i in range(at + 1, min(at + 5, len(tokens))):
        if i in musical:
            return True
        if not tokens[i].word[0].isalnum():
            return False
    return False


def _goes_on(tokens: Sequence[Token], comma: int, musical: set[int], limit: int) -> bool:
    """ "love, loss and whiskey" is one theme: the comma is one of a list that ends in "and"."""
    for i in range(comma + 1, min(comma + 8, len(tokens))):
        if i in musical or tokens[i].start >= limit or tokens[i].word in _ABOUT_ENDS:
            return False
        if tokens[i].word in ("and", "or"):
            return i - comma <= 4 and i + 1 not in musical
    return False


_DANGLING = re.compile(r"(?: (?:in|at|around|about|and|with|a|the|for|of|-)|[\s,-])+$")


def _trim(text: Text, start: int, end: int) -> int:
    dangling = _DANGLING.search(text.folded, start, end)
    return dangling.start() if dangling else end


def _inside(span: Quantity | Token | Clue, clue: Clue | None) -> bool:
    return clue is not None and clue.start <= span.start < clue.end


# fmt: off
_NEGATORS = {
    "no", "not", "without", "minus", "never", "avoid", "exclude", "excluding", "except", "zero", "non", "don't",
    "dont", "doesn't", "isn't", "shouldn't", "skip", "omit", "ohne", "sin", "sans", "senza", "sem", "kein", "keine",
    "less", "lacking", "nothing", "neither", "nor",
}
# fmt: on
_NOT_NEGATED = {"one", "matter", "body", "problem", "more", "only", "just", "longer", "doubt", "idea", "way"}
# fmt: off
_ENDERS = {
    ".", ";", "!", "?", "but", "just", "only", "with", "instead", "rather", "yet", ":", "although", "though",
    "featuring", "plus",
}
# fmt: on
_AFTERS = {"free", "less"}


def _phrases(
    text: Text, matches: list[_Match], figures: list[Quantity], title: Clue | None, theme: Clue | None
) -> Iterator[Clue]:
    scope = _Scope()
    by_first = {match.first: match for match in matches}
    i, tokens = 0, text.tokens
    while i < len(tokens):
        token, match = tokens[i], by_first.get(i)
        if match is None or _inside(token, title) or any(q.start <= token.start < q.end for q in figures):
            scope.word(tokens, i, by_first)
            i += 1
            continue
        end = tokens[match.last - 1].end
        about = _inside(token, theme)
        following = match.last + _hyphen(tokens, match.last)
        negated = scope.match(match, after=tokens[following : following + 1]) and not about
        for fact in match.facts:
            if not about or fact.kind == "mood":
                yield Clue(
                    fact.kind, fact.value, token.start, end, fact.number, negated, scope.take() if negated else -1
                )
        i = match.last


def _hyphen(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and tokens[at].word == "-"


@dataclass(slots=True)
class _Scope:
    """How far a "no" reaches: over a list of things, not past a "but", a full stop or a new thought."""

    open: bool = False
    since: int = -1
    strangers: int = 0
    hit: bool = False
    joined: bool = False

    def word(self, tokens: Sequence[Token], at: int, matches: dict[int, _Match]) -> None:
        word = tokens[at].word
        following = tokens[at + 1].word if at + 1 < len(tokens) else ""
        if word in _NEGATORS and following not in _NOT_NEGATED:
            self.open, self.since, self.strangers, self.hit, self.joined = True, tokens[at].start, 0, False, False
        elif word in _ENDERS or (word == "," and not _list_goes_on(tokens, at, matches)):
            self.open = False
        elif word in ("or", "nor", "and", ",", "/"):
            self.joined = word != "and" or (at + 1 in matches and not _is_mood(matches[at + 1]))
        elif self.open:
            self.strangers += 1
            self.open = self.strangers <= 4 and not self.hit

    def match(self, match: _Match, *, after: Sequence[Token]) -> bool:
        if after and after[0].word in _AFTERS:
            return True
        if not self.open:
            return False
        if self.hit and not self.joined:
            self.open = False
            return False
        self.hit, self.joined = not _is_mood(match), False
        return True

    def take(self) -> int:
        """Where the "no" stands, for the first thing it denies."""
        since, self.since = self.since, -1
        return since


def _is_mood(match: _Match) -> bool:
    return match.facts[0].kind == "mood"


def _list_goes_on(tokens: Sequence[Token], comma: int, matches: dict[int, _Match]) -> bool:
    """ "no drums, bass or vocals": what follows the comma is things joined by "or"."""
    i, joined = comma + 1, False
    while i < len(tokens) and tokens[i].word not in (".", ";", "!", "?"):
        if i in matches:
            i = matches[i].last
        elif tokens[i].word in ("or", "nor"):
            joined, i = True, i + 1
        elif tokens[i].word in (",", "and"):
            i += 1
        else:
            break
    return joined and comma + 1 in matches


# In which tongue words are to be sung, "in German", "German lyrics"; and of which a song is, "German pop song".
_SUNG_IN = re.compile(
    r"\b(?:(?:sung |singing |lyrics |words )?(?:in|auf|en|em|pa|po) )([a-z]+)\b(?! (?:style|fashion|mood|tuning))"
    r"|\b([a-z]+)(?: |-)(?:lyrics|vocals?|words|language|singing|lyric|text|verses)\b"
)
_SONGS = "song|songs|ballad|lullaby|anthem|hymn|rap|ballade|lied|popsong|chanson|cancion|canzone|cancao"
_SONG_OF = re.compile(
    rf"\b([a-z]+)(?= (?!my |the |a |this |your |our )(?:[a-z-]+ )?(?:{_SONGS})\b)|\b(?:{_SONGS}) ([a-z]+)\b"
)
# Of these a song is a style as often as a tongue.
_STYLES = {"la", "ga", "cy"}


def _languages(text: Text, lexicon: Lexicon) -> Iterator[Clue]:
    """ "language": in which words are to be sung; "tongue": of which the song is, which asks for no words."""
    for kind, pattern in (("language", _SUNG_IN), ("tongue", _SONG_OF)):
        for match in pattern.finditer(text.folded):
            tag = lexicon.languages.get(match[1] or match[2])
            if tag and (kind == "language" or tag not in _STYLES):
                yield Clue(kind, tag, *(match.span() if kind == "language" else match.span(1 if match[1] else 2)))


_JOINING = ("and", "any", "nor", "or", "the")
# After a comma only what an "or" closes: "no mention of love, slow and sad" goes on with the music.
_ONE = r"(?:the |any )?[a-z'-]{3,30}"
_WORD_LIST = rf"[a-z'-]{{3,30}}(?:(?:, {_ONE}){{0,4}},? n?or {_ONE}| and {_ONE})?"
_UNSAID = re.compile(
    r"\b(?:(?:no|without|without any) mentions? of|(?:don't|dont|do not|never|without|not|avoid) mention(?:ing)?"
    r"|without (?:using |saying )?the words?|avoid the words?|no words like|nothing about|not about)"
    rf" (?:the |any |my )?\"?({_WORD_LIST})"
)


def _unsaid(text: Text) -> Iterator[Clue]:
    for match in _UNSAID.finditer(text.folded):
        listed = [word for word in re.findall(r"[a-z'-]+", match[1]) if word not in _JOINING]
        yield Clue("unsaid", ",".join(listed), *match.span())


_BEAT = re.compile(r"\bbeats?\b(?! (?:per|a) minute)")
# fmt: off
_BEAT_BEFORE = {
    "heavy", "driving", "steady", "strong", "drum", "the", "pounding", "four", "to", "every", "heart", "back", "up",
    "off", "off-", "slow", "hard", "big", "with", "danceable",
}
# fmt: on


def _beats(text: Text, found: list[Clue]) -> Iterator[Clue]:
    """A "trap beat" is a beat; a song "with a driving beat" is a song."""
    for match in _BEAT.finditer(text.folded):
        before = text.folded[: match.start()].split()
        song = re.search(r"\b(?:song|tune|ballad|lyrics|with an?(?: \w+){0,2} *$)", text.folded[: match.start()])
        known = any(clue.start < match.end() and clue.end > match.start() and clue.kind == "kind" for clue in found)
        if not known and not song and (not before or before[-1] not in _BEAT_BEFORE):
            yield Clue("kind", "beat", *match.span())


_LIKE = re.compile(
    r"\b(?:like|in the style of|in the vein of|inspired by|a la|reminiscent of|similar to|sounding like) "
    r"([^,.;:!?\n]{2,60})"
)
_STYLE_OF = re.compile(r"style|vein|similar|sounding|inspired")


def _unlike(text: Text, found: list[Clue]) -> tuple[int, int] | None:
    for match in _LIKE.finditer(text.folded):
        end = match.end(1)
        but = re.search(r" (?:but|with|at|in|only)\b", match[1])
        if but:
            end = match.start(1) + but.start()
        within = [clue for clue in found if match.start(1) <= clue.start < end and clue.kind != "mood"]
        name = text.quote(match.start(1), end)
        if within and not _is_artist(name, within):
            continue
        if within or _STYLE_OF.search(match[0]) or any(word[0].isupper() for word in name.split()[:2]):
            return match.start(1), match.start(1) + len(name)
    return None


def _is_artist(name: str, within: list[Clue]) -> bool:
    """ "Daft Punk" holds the name of a genre and is none; "Detroit Techno" is one."""
    words = name.split()
    capitals = len(words) > 1 and all(word[0].isupper() for word in words) and not name.isupper()
    return capitals and all(clue.end - clue.start < len(name) for clue in within)


_SECTION = r"(?:intro|verse|pre-?chorus|chorus|bridge|breakdown|drop|solo|outro|hook|refrain)"
_FORM = re.compile(rf"\b{_SECTION}(?: ?\d)?(?:(?: ?[,/>-] ?(?:and |then )?| and | then | → )+{_SECTION}(?: ?\d)?)+\b")
_NAMES = {"refrain": "chorus", "hook": "chorus", "prechorus": "pre-chorus"}


def _form(text: Text) -> tuple[tuple[str, ...], tuple[int, int]]:
    match = _FORM.search(text.folded)
    if match is None:
        return (), (0, 0)
    names = re.findall(_SECTION, match[0])
    return tuple(_NAMES.get(name, name) for name in names), match.span()


def negative(prompt: str, lexicon: Lexicon, *, extra: Entries | None = None) -> Clues:
    """A negative prompt: whatever it names is not wanted, "no drums" and "drums" alike."""
    clues = gather(prompt, lexicon, extra=extra)
    return replace(clues, found=tuple(replace(clue, negated=True) for clue in clues.found), title=None, theme=None)

"""A prompt becomes a brief, and every decision is explained. PURE: same prompt, fields, palette, seed: same reading.

Refuses nothing: a prompt that says nothing gives the defaults, and says so. What the user set in a field wins
over what the prompt says; what the engine lacks is replaced by its nearest, with a warning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harmonia_lyricist import choose
from harmonia_lyricist.brief import Asked, Brief, Kind, Palette, Reading, Understood, Words
from harmonia_lyricist.clues import Clue, Clues, gather, negative
from harmonia_lyricist.lexicon import Entries, Fact, Genre, Lexicon, index
from harmonia_lyricist.title import content, fit, made_up, title_case

_DEFAULT_GENRE = "pop"
_DEFAULT_SECONDS = 60.0
_LOWEST_BPM, _HIGHEST_BPM = 40.0, 240.0
_SHORTEST_S, _LONGEST_S = 5.0, 600.0
_DEFAULT_BARS, _MOST_BARS = 4, 8
# How long the last chord rings, a line of words is sung, and what is played around all of them takes.
_RING_S, _LINE_S, _AROUND_S = 2.5, 4.0, 16.0
_MOST_MOODS, _MOST_INSTRUMENTS = 8, 16


def read(prompt: str, asked: Asked, palette: Palette, *, lexicon: Lexicon, any_language: bool = False) -> Reading:
    """`any_language`: whoever writes the words is not bound to English."""
    extra = _engine_words(palette, lexicon)
    says = gather(prompt, lexicon, extra=extra)
    shuns = negative(asked.negative_prompt, lexicon, extra=extra)
    reader = _Reader(says, shuns, asked, palette, lexicon, any_language)
    return reader.reading(prompt)


def _engine_words(palette: Palette, lexicon: Lexicon) -> Entries:
    named = [("mood", name) for name in palette.moods if name not in lexicon.moods]
    named += [("instrument", name) for name in palette.instruments if name not in lexicon.instruments]
    named += [("genre", name) for name in palette.genres if name not in lexicon.genres]
    return index([(name, Fact(kind, name)) for kind, name in named if any(c.isalnum() for c in name)])


@dataclass(slots=True)
class _Reader:
    """One reading in the making: each method decides one field and says why."""

    says: Clues
    shuns: Clues
    asked: Asked
    palette: Palette
    lexicon: Lexicon
    any_language: bool
    understood: list[Understood] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def reading(self, prompt: str) -> Reading:
        kind = self.kind()
        theme = self.words(kind)
        language = self.language(theme)
        said_genre, genre = self.genre()
        moods = self.moods(said_genre, genre)
        bpm = self.bpm(said_genre, genre, moods)
        key = self.key(genre, moods)
        metre = self.metre(genre)
        seconds = self.seconds(bpm, metre, kind)
        bars = self.bars(kind, seconds / _bar_seconds(bpm, metre))
        instruments, excluded = self.instruments(genre)
        complexity = self.complexity()
        form = self.form()
        title = self.title(moods, genre)
        unsaid = self.unsaid(theme)
        self.strangers(prompt)
        brief = Brief(
            title=title,
            genre=genre.name,
            moods=moods,
            bpm=bpm,
            key=key,
            time_signature=metre,
            duration_seconds=seconds,
            kind=kind,
            instruments=instruments,
            excluded_instruments=excluded,
            complexity=complexity,
            sections=self.asked.sections,
            language=language,
            description=_description(prompt, genre=genre.name, bpm=bpm, key=key),
            bars=bars,
        )
        warnings = tuple(dict.fromkeys(self.warnings))
        return Reading(brief, tuple(self.understood), warnings, theme, form, unsaid)

    def note(self, text: str, named: str, value: str) -> None:
        self.understood.append(Understood(text, named, value))

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def denied(self, *kinds: str) -> list[Clue]:
        return [*self.says.denied(*kinds), *self.shuns.denied(*kinds)]

    def note_denied(self, clue: Clue, named: str, value: str) -> None:
        self.note((self.says if clue in self.says.found else self.shuns).quote(clue), named, value)

    def overruled(self, named: str, said: str, value: str) -> None:
        self.warn(f"{named}: the prompt says {said}, the field says {value}; {value} is taken")

    # -- each field ---------------------------------------------------------------------------

    def kind(self) -> Kind:
        clue = next(iter(self.says.of("kind")), None)
        if self.asked.kind:
            if clue and clue.value != self.asked.kind and clue.value in self.palette.kinds:
                self.overruled("kind", clue.value, self.asked.kind)
            return self.asked.kind
        if clue is None:
            self.note("", "kind", Kind.SONG)
            return Kind.SONG
        kind = Kind(clue.value)
        if kind not in self.palette.kinds:
            self.warn(f"kind: the engine makes no {kind}; a song is made, without words unless they are asked for")
            kind = Kind.SONG
        self.note(self.says.quote(clue), "kind", kind)
        return kind

    def words(self, kind: Kind) -> str | None:
        """What the words are about; None when there are none to write."""
        says, asked = self.says, self.asked.words
        wanted = [c for c in says.of("voice") if c.value == "wanted"] + [
            c for c in says.denied("voice") if c.value == "unwanted"
        ]
        unwanted = [c for c in says.of("voice") if c.value == "unwanted"]
        unwanted += [c for c in self.denied("voice") if c.value == "wanted"]
        if asked is Words.INSTRUMENTAL or asked is Words.TEXT:
            if asked is Words.INSTRUMENTAL and wanted:
                self.overruled("lyrics", says.quote(wanted[0]), "instrumental")
            return None
        if asked is Words.WRITE:
            if unwanted:
                self.overruled("lyrics", self._quote(unwanted[0]), "words")
            return self.theme(wanted)
        if wanted and unwanted:
            return self._voices_quarrel(wanted, unwanted)
        if unwanted:
            self.note(self._quote(unwanted[0]), "lyrics", "instrumental")
            return None
        if kind is Kind.SONG and (wanted or says.theme or says.of("subject", "language")):
            return self.theme(wanted)
        self.note("", "lyrics", "instrumental")
        return None

    def _voices_quarrel(self, wanted: list[Clue], unwanted: list[Clue]) -> str | None:
        last = max((*wanted, *(c for c in unwanted if c in self.says.found)), key=lambda c: c.start)
        if last in unwanted or any(c not in self.says.found for c in unwanted):
            self.warn("lyrics: words are both asked for and refused; it stays instrumental")
            self.note(self._quote(unwanted[0]), "lyrics", "instrumental")
            return None
        self.warn("lyrics: words are both refused and asked for; they are written")
        return self.theme(wanted)

    def _quote(self, clue: Clue) -> str:
        return (self.says if clue in self.says.found else self.shuns).quote(clue)

    def theme(self, wanted: list[Clue]) -> str:
        says = self.says
        if says.theme:
            self.note(says.quote(says.theme), "lyrics", f"about {says.theme.value}")
            return says.theme.value
        subject = next(iter(says.of("subject")), None)
        if subject:
            self.note(says.quote(subject), "lyrics", f"about {subject.value}")
            return subject.value
        about = says.title.value if says.title else content(says)
        self.note(says.quote(wanted[0]) if wanted else "", "lyrics", f"about {about}" if about else "words")
        return about

    def language(self, theme: str | None) -> str:
        clue = next(iter([*self.says.of("language"), *self.says.of("tongue")]), None)
        language = self.asked.language or (clue.value if clue else "")
        if self.asked.language and clue and clue.value.split("-")[0] != self.asked.language.split("-")[0]:
            self.overruled("language", clue.value, self.asked.language)
        if not language:
            self.note("", "language", "en")
            return "en"
        if clue and not self.asked.language and theme is None and self.asked.words is not Words.TEXT:
            self.warn(f"language: there are no words, so none in {language}: say what they shall be about")
            language = "en"
        if theme is not None and not self.any_language and language.split("-")[0].lower() != "en":
            self.warn(f"language: the built-in writer writes English only; asked for {language}, the words are English")
            language = "en"
        if clue and not self.asked.language:
            self.note(self.says.quote(clue), "language", language)
        return language

    def unsaid(self, theme: str | None) -> tuple[str, ...]:
        """What words that are written here shall do without."""
        if theme is None:
            return ()
        for clue in self.says.unsaid:
            self.note(self.says.quote(clue), "lyrics", f"without {clue.value.replace(',', ', ')}")
        return tuple(word for clue in self.says.unsaid for word in clue.value.split(","))

    def genre(self) -> tuple[Clue | None, Genre]:
        """What the prompt names, and what is played."""
        named = self._named_genre()
        if self.asked.genre:
            if named and self._played(self._canonical(named)) != self.asked.genre:
                self.overruled("genre", self.says.quote(named), self.asked.genre)
            return None, self._habits(self.asked.genre)
        if named is None:
            return None, self._habits(self._guessed_genre())
        genre, text = self._canonical(named), self.says.quote(named)
        played = self._played(genre)
        if played != genre:
            self.warn(f"genre: the engine does not play {text}; {played} is the nearest it has")
        elif named.kind == "akin":
            self.warn(f"genre: {text} is played as {played}, the nearest there is")
        self.note(text, "genre", played)
        return (named if played == genre else None), self._habits(played)

    def _canonical(self, clue: Clue) -> str:
        return self.lexicon.styles[clue.value].genre if clue.kind == "style" else clue.value

    def _played(self, genre: str) -> str:
        known = genre in self.lexicon.genres
        return choose.nearest_genre(genre, self.palette.genres, self.lexicon) if known else genre

    def _habits(self, genre: str) -> Genre:
        known = self.lexicon.genres.get(genre)
        if known:
            return known
        like = self.lexicon.genres[_DEFAULT_GENRE]
        return Genre(genre, like.bpm, like.minor, like.tonics, like.moods, like.instruments, (), like.time_signature)

    def _named_genre(self) -> Clue | None:
        denied = {self._canonical(clue) for clue in self.denied("genre", "style", "akin")}
        every = self.says.of("genre", "style", "akin")
        for clue in self.denied("genre", "style", "akin"):
            self.note_denied(clue, "genre", f"not {self._canonical(clue)}")
        wanted = [clue for clue in every if self._canonical(clue) not in denied]
        if every and not wanted:
            self.warn(f"genre: {self.says.quote(every[0])} is both asked for and refused; another is chosen")
        strong = [clue for clue in wanted if clue.kind != "akin"] or wanted
        if not strong:
            return None
        head = _head(self.says, strong)
        for clue in wanted:
            if self._canonical(clue) != self._canonical(head):
                self.warn(
                    f"genre: one at a time: {self._canonical(head)} is played, {self.says.quote(clue)} is left out"
                )
        return head

    def _guessed_genre(self) -> str:
        """From decade, occasion, moods and instruments; the default without any."""
        denied = {self._canonical(clue) for clue in self.denied("genre", "style", "akin")}
        offered = [name for name in self.palette.genres or tuple(self.lexicon.genres) if name not in denied] or [
            _DEFAULT_GENRE
        ]
        for clue, genre in self._hints():
            nearest = choose.nearest_genre(genre, offered, self.lexicon)
            self.note(self.says.quote(clue), "genre", nearest)
            return nearest
        moods = [clue.value for clue in self.says.of("mood")]
        instruments = [clue.value for clue in self.says.of("instrument")]
        if not moods and not instruments:
            genre = choose.nearest_genre(_DEFAULT_GENRE, offered, self.lexicon)
        else:
            genre = max(offered, key=lambda name: (self._affinity(name, moods, instruments), -offered.index(name)))
        self.note("", "genre", genre)
        return genre

    def _hints(self) -> list[tuple[Clue, str]]:
        eras = [
            (clue, self.lexicon.eras[clue.value]) for clue in self.says.of("era") if clue.value in self.lexicon.eras
        ]
        return [*((clue, self.lexicon.scenes[clue.value][0]) for clue in self.says.of("scene")), *eras]

    def _affinity(self, genre: str, moods: Sequence[str], instruments: Sequence[str]) -> float:
        habits = self._habits(genre)
        score = sum(2.0 / (1 + habits.instruments.index(name)) for name in instruments if name in habits.instruments)
        for mood in moods:
            place = self.lexicon.moods.get(mood)
            near = [self.lexicon.moods[own] for own in habits.moods if own in self.lexicon.moods]
            if mood in habits.moods:
                score += 1.0 + 0.5 / (1 + habits.moods.index(mood))
            elif place and near:
                score += 0.8 - min(abs(place.valence - m.valence) + abs(place.energy - m.energy) for m in near)
        return score

    def moods(self, named: Clue | None, genre: Genre) -> tuple[str, ...]:
        said = self._said_moods()
        if self.asked.moods:
            if said and not {self._nearest_mood(mood) for mood in said} & set(self.asked.moods):
                self.overruled("moods", ", ".join(said), ", ".join(self.asked.moods))
            return self.asked.moods
        avoided = {clue.value for clue in self.denied("mood")}
        moods: list[str] = []
        for mood, text in said.items():
            if mood in avoided:
                self.warn(f"moods: {mood} is both asked for and refused; it is left out")
            elif (offered := self._offered_mood(mood, text)) and offered not in moods and len(moods) < _MOST_MOODS:
                moods.append(offered)
                self.note(text, "moods", offered)
        for clue in self.denied("mood"):
            self.note_denied(clue, "moods", f"not {clue.value}")
        self._weigh(moods)
        return tuple(moods) or self._chosen_moods(named, genre, avoided)

    def _said_moods(self) -> dict[str, str]:
        said = {clue.value: self.says.quote(clue) for clue in reversed(self.says.of("mood"))}
        said = dict(reversed(said.items()))
        for clue in self.says.of("scene"):
            for mood in self.lexicon.scenes[clue.value][1:]:
                said.setdefault(mood, self.says.quote(clue))
        return said

    def _offered_mood(self, mood: str, text: str) -> str:
        nearest = self._nearest_mood(mood)
        if nearest and nearest != mood:
            self.warn(f"moods: the engine has no {mood} mood ({text}); {nearest} is the nearest it has")
        return nearest

    def _nearest_mood(self, mood: str) -> str:
        if not self.palette.moods or mood in self.palette.moods:
            return mood
        return choose.nearest_mood(mood, self.palette.moods, self.lexicon)

    def _weigh(self, moods: Sequence[str]) -> None:
        places = [self.lexicon.moods[mood] for mood in moods if mood in self.lexicon.moods]
        for first in places:
            for other in places:
                if first.valence - other.valence > 1.25 or first.energy - other.energy > 1.45:
                    self.warn(f"moods: {first.name} and {other.name} pull apart; {moods[0]} leads")

    def _chosen_moods(self, named: Clue | None, genre: Genre, avoided: set[str]) -> tuple[str, ...]:
        usual = list(genre.moods)
        if named is not None and named.kind == "style":
            own = self.lexicon.styles[named.value].moods
            usual = [*own, *(mood for mood in usual if mood not in own)]
        if self.says.of("era"):
            usual = ["nostalgic", *(mood for mood in usual if mood != "nostalgic")]
        if self.palette.moods:
            usual = [mood for mood in usual if mood in self.palette.moods] or list(self.palette.moods)
        chosen = choose.moods(usual, tuple(avoided), seed=self.asked.seed)
        for mood in chosen:
            self.note("", "moods", mood)
        return chosen

    def bpm(self, named: Clue | None, genre: Genre, moods: Sequence[str]) -> float:
        low, high = genre.bpm
        if named is not None and named.kind == "style":
            low, high = self.lexicon.styles[named.value].bpm
        said = self.says.of("bpm")
        usual = (low, high) if named or self.asked.genre else None
        if self.asked.bpm is not None:
            if not said:
                self._weigh_tempo(self.asked.bpm, usual)
            if said and abs(min(max(said[0].number, _LOWEST_BPM), _HIGHEST_BPM) - self.asked.bpm) > 0.5:
                self.overruled("bpm", said[0].value, f"{self.asked.bpm:g}")
            return self.asked.bpm
        if said:
            return self._said_bpm(said, usual)
        level, text = self._tempo_words()
        italian = next(iter(self.says.of("italian")), None)
        if italian:
            slow, quick = self.lexicon.italian[italian.value]
            shared = max(slow, low), min(quick, high)
            low, high = shared if shared[0] <= shared[1] else (slow, quick)
            level, text = 0.5, self.says.quote(italian)
        bpm = choose.bpm(low, high, level=level, energy=self._energy(moods), seed=self.asked.seed, genre=genre.name)
        self.note(text, "bpm", f"{bpm:g}")
        return bpm

    def _said_bpm(self, said: list[Clue], usual: tuple[float, float] | None) -> float:
        clue = said[0]
        bpm = min(max(clue.number, _LOWEST_BPM), _HIGHEST_BPM)
        if bpm != clue.number:
            self.warn(f"bpm: {clue.value} is outside 40 to 240; {bpm:g} is taken")
        for other in said[1:]:
            if other.number != clue.number:
                self.warn(
                    f"bpm: the tempo does not change within a song: {clue.value} is taken, {other.value} left out"
                )
        self._weigh_tempo(bpm, usual)
        self.note(self.says.quote(clue), "bpm", f"{bpm:g}")
        return bpm

    def _weigh_tempo(self, bpm: float, usual: tuple[float, float] | None) -> None:
        """A number that was said or set, against a word for it."""
        level, word = self._tempo_words()
        if level is not None and _disagree(level, bpm, usual):
            self.warn(f"bpm: {word} and {bpm:g} bpm do not agree; the number is taken")

    def _tempo_words(self) -> tuple[float | None, str]:
        said = sorted(self.says.of("tempo"), key=lambda clue: clue.value == "upbeat")
        if said:
            if max(c.number for c in said) > 0.6 and min(c.number for c in said) < 0.4:
                self.warn(
                    f"bpm: {' and '.join(self.says.quote(c) for c in said[:2])} do not agree; {said[0].value} is taken"
                )
            return said[0].number, self.says.quote(said[0])
        denied = self.denied("tempo")
        if denied:
            return (0.45 if denied[0].number > 0.5 else 0.6), self._quote(denied[0])
        return None, ""

    def _energy(self, moods: Sequence[str]) -> float:
        known = [self.lexicon.moods[mood].energy for mood in moods if mood in self.lexicon.moods]
        return sum(known) / len(known) if known else 0.0

    def key(self, genre: Genre, moods: Sequence[str]) -> str:
        said = self.says.of("key")
        for other in said[1:]:
            if other.value != said[0].value:
                self.warn(f"key: one at a time: {said[0].value} is taken, {other.value} left out")
        if self.asked.key:
            if said and said[0].value != self.asked.key:
                self.overruled("key", said[0].value, self.asked.key)
            return self.asked.key
        if said:
            self.note(self.says.quote(said[0]), "key", said[0].value)
            return said[0].value
        tonic, mode = next(iter(self.says.of("tonic")), None), next(iter(self.says.of("mode")), None)
        known = [self.lexicon.moods[mood].valence for mood in moods[:1] if mood in self.lexicon.moods]
        key = " ".join(
            (
                tonic.value if tonic else choose.tonic(genre, seed=self.asked.seed),
                mode.value if mode else choose.mode(genre, known[0] if known else 0.0, seed=self.asked.seed),
            )
        )
        self.note(" ".join(self.says.quote(clue) for clue in (tonic, mode) if clue), "key", key)
        return key

    def metre(self, genre: Genre) -> str:
        said = self.says.of("time_signature")
        clue = next(iter([*said, *self.says.of("metre")]), None)
        for other in said[1:]:
            if other.value != said[0].value:
                self.warn(f"time_signature: one at a time: {said[0].value} is taken, {other.value} left out")
        if self.asked.time_signature:
            offered = self.palette.time_signatures
            if clue and choose.nearest_metre(clue.value, offered) != self.asked.time_signature:
                self.overruled("time_signature", clue.value, self.asked.time_signature)
            return self.asked.time_signature
        waltz = next((c for c in self.says.of("genre", "style", "akin") if self._canonical(c) == "waltz"), None)
        metre, text = ("4/4", "")
        if clue:
            metre, text = clue.value, self.says.quote(clue)
        elif waltz or genre.time_signature != "4/4":
            metre, text = "3/4", self.says.quote(waltz) if waltz else ""
        played = choose.nearest_metre(metre, self.palette.time_signatures)
        if played != metre:
            self.warn(f"time_signature: the engine does not play in {metre}; {played} is taken")
        self.note(text, "time_signature", played)
        return played

    def bars(self, kind: Kind, wanted: float) -> int:
        """Of a loop; 0: anything else is as long as its seconds. `wanted`: as many as the time that was said has."""
        clue = next(iter(self.says.of("bars")), None)
        if kind is not Kind.LOOP:
            return 0
        timed = next(iter(self.says.of("duration_seconds")), None)
        if self.asked.bars is not None:
            if clue and clue.number != self.asked.bars:
                self.overruled("bars", clue.value, f"{self.asked.bars}")
            return self.asked.bars
        set_s = self.asked.duration_seconds
        if clue and set_s is not None:
            bars = min(max(round(wanted), 1), _MOST_BARS)
            if bars != clue.number:
                told = f"the prompt says {self.says.quote(clue)}, the field duration_seconds {set_s:g}"
                self.warn(f"bars: {told}; {bars} are taken")
            return bars
        clue = clue or timed
        bars = min(max(round(wanted), 1), _MOST_BARS) if clue else _DEFAULT_BARS
        if clue and abs(bars - wanted) > 0.5:
            self.warn(f"bars: a loop has 1 to {_MOST_BARS}; {bars} are taken for {self.says.quote(clue)}")
        self.note(self.says.quote(clue) if clue else "", "bars", f"{bars}")
        return bars

    def seconds(self, bpm: float, metre: str, kind: Kind) -> float:
        said = self.says.of("duration_seconds") or self.says.of("length")
        bars = next(iter(self.says.of("bars")), None)
        if self.asked.duration_seconds is not None:
            if said and abs(min(max(said[0].number, _SHORTEST_S), _LONGEST_S) - self.asked.duration_seconds) > 0.5:
                self.overruled("duration_seconds", self.says.quote(said[0]), f"{self.asked.duration_seconds:g}")
            return self.asked.duration_seconds
        if not said and not bars:
            seconds = self._own_seconds(bpm, metre, kind)
            self.note("", "duration_seconds", f"{round(seconds, 3):g}")
            return seconds
        clue = said[0] if said else bars
        assert clue is not None
        wished = clue.number if said else clue.number * _bar_seconds(bpm, metre)
        in_bars = kind is Kind.LOOP and not said
        seconds = min(max(wished, 0.0 if in_bars else _SHORTEST_S), _LONGEST_S)
        if seconds != wished:
            self.warn(f"duration_seconds: {self.says.quote(clue)} is outside 5 to 600 seconds; {seconds:g} are taken")
        for other in said[1:]:
            if other.number != clue.number:
                self.warn(f"duration_seconds: {self.says.quote(clue)} is taken, {self.says.quote(other)} left out")
        for word in self.says.of("length"):
            if max(seconds, word.number) >= 3 * min(seconds, word.number):
                told = f"{self.says.quote(word)} and {self.says.quote(clue)}"
                self.warn(f"duration_seconds: {told} do not agree; the number is taken")
        self.note(self.says.quote(clue), "duration_seconds", f"{round(seconds, 3):g}")
        return seconds

    def _own_seconds(self, bpm: float, metre: str, kind: Kind) -> float:
        """As long as the loop, as the sections that are asked for, as the words need, or a minute."""
        if kind is Kind.LOOP:
            return (self.asked.bars or _DEFAULT_BARS) * _bar_seconds(bpm, metre)
        if self.asked.sections and all(section.bars for section in self.asked.sections):
            played = sum(section.bars for section in self.asked.sections) * _bar_seconds(bpm, metre)
            return min(max(played + min(_RING_S, played / 9), _SHORTEST_S), _LONGEST_S)
        lines = sum(bool(line.strip()) and not line.strip().startswith("[") for line in self.asked.text.splitlines())
        return min(max(_DEFAULT_SECONDS, lines * _LINE_S + _AROUND_S), _LONGEST_S)

    def instruments(self, genre: Genre) -> tuple[tuple[str, ...], tuple[str, ...]]:
        denied = self._denied_instruments()
        wanted = self._wanted_instruments(genre, denied)
        if wanted and self._alone():
            named = self.asked.instruments or wanted
            others = self.palette.instruments or ("drums", "bass")
            denied.update({name: "" for name in others if name not in named})
        if self.asked.instruments:
            if wanted and not set(wanted) & set(self.asked.instruments):
                self.overruled("instruments", ", ".join(wanted), ", ".join(self.asked.instruments))
            played = self.asked.instruments
        else:
            played = tuple(wanted)[:_MOST_INSTRUMENTS]
            for name in played:
                self.note(wanted[name], "instruments", name)
        excluded = tuple(name for name in denied if not any(self._bars(name, other) for other in played))
        for name in excluded:
            self.note(denied[name], "excluded_instruments", name)
        return played, excluded

    def _denied_instruments(self) -> dict[str, str]:
        """By the user's words for them. A family by its general word: "no synths" bars pads and arpeggios too, but
        not the one that is asked for by name."""
        denied: dict[str, str] = {}
        named = {clue.value for clue in self.says.of("instrument")}
        for clue in self.denied("instrument"):
            known = self.lexicon.instruments.get(clue.value)
            kin = [n for n in self.palette.instruments if known and known.general and self._family(n) == known.family]
            for name in (clue.value, *(name for name in kin if name not in named)):
                denied.setdefault(name, self._quote(clue))
        return denied

    def _bars(self, denied: str, played: str) -> bool:
        """Whether excluding the one by name would silence the other: engines may take "guitar" for all guitars."""
        known = self.lexicon.instruments.get(denied)
        general = known is not None and known.general and self._family(played) == known.family
        return general or denied in (played, *played.split())

    def _family(self, name: str) -> str:
        known = self.lexicon.instruments.get(name)
        return known.family if known else ""

    def _wanted_instruments(self, genre: Genre, denied: dict[str, str]) -> dict[str, str]:
        """What the engine has of what the prompt names, by the user's words for it."""
        wanted: dict[str, str] = {}
        offered = tuple(name for name in self.palette.instruments if name not in denied)
        for clue in self.says.of("instrument"):
            text = self.says.quote(clue)
            if clue.value in denied:
                self.warn(f"instruments: {clue.value} is both asked for and refused; it is left out")
                continue
            name = choose.nearest_instrument(clue.value, offered, genre.instruments, self.lexicon)
            if not name:
                self.warn(f"instruments: the engine has no {text}, nor anything like it; it is left out")
            elif name != clue.value and not self._meant(clue.value, name):
                self.warn(f"instruments: the engine has no {text}; {name} is the nearest it has")
            if name:
                wanted.setdefault(name, text)
        return wanted

    def _meant(self, general: str, name: str) -> bool:
        known = self.lexicon.instruments.get(general)
        return known is not None and known.general and self._family(name) == known.family

    def _alone(self) -> bool:
        """ "solo piano", "just guitar and voice", "piano only"."""
        said = self.says.of("instrument")
        before, after = self.says.text.folded[: said[0].start].split(), self.says.text.folded[said[-1].end :].split()
        return (bool(before) and before[-1] in ("solo", "just", "only")) or (
            bool(after) and after[0].strip(",.") in ("only", "alone")
        )

    def complexity(self) -> float:
        said = self.says.of("complexity")
        if self.asked.complexity is not None:
            return self.asked.complexity
        if said:
            self.note(self.says.quote(said[0]), "complexity", f"{said[0].number:g}")
            return said[0].number
        denied = self.denied("complexity")
        level = 0.5 if not denied else 0.3 if denied[0].number > 0.5 else 0.6
        self.note(self._quote(denied[0]) if denied else "", "complexity", f"{level:g}")
        return level

    def form(self) -> tuple[str, ...]:
        """Of the words; the music's form is the engine's own unless the field says it."""
        if self.asked.sections:
            return tuple(section.name for section in self.asked.sections)
        if self.says.form:
            self.note(self.says.text.quote(*self.says.form_span), "sections", ", ".join(self.says.form))
            self.warn("sections: a form in the prompt orders the words; that of the music is the engine's own")
        return self.says.form

    def title(self, moods: Sequence[str], genre: Genre) -> str:
        said = self.says.title
        if self.asked.title:
            if said and said.value.lower() != self.asked.title.lower():
                self.overruled("title", said.value, self.asked.title)
            return self.asked.title
        if said:
            title = fit(said.value if said.value != said.value.lower() else title_case(said.value.split()))
            self.note(self.says.quote(said), "title", title)
            return title
        fallback = title_case(f"{moods[0] if moods else 'new'} {genre.name}".split())
        title = made_up(self.says, fallback=fallback)
        self.note("", "title", title)
        return title

    def strangers(self, prompt: str) -> None:
        """What could not be read is said, never an error."""
        if self.says.unlike:
            self.warn(f"no artist or work is imitated: {self.says.unlike} was left out")
        if any(note.text for note in self.understood) or self.says.found:
            return
        if not prompt.strip():
            self.warn("the prompt is empty: everything was chosen")
        else:
            self.warn("nothing in the prompt could be read as music: everything was chosen")


def _disagree(level: float, bpm: float, usual: tuple[float, float] | None) -> bool:
    """A word and a number for the tempo. What is slow, or fast, for its genre is so."""
    low, high = usual or (0.0, 0.0)
    if level < 0.35:
        slowest = low if level < 0 else low + (high - low) / 3
        return bpm >= (90 if level < 0 else 110) and not (usual and bpm <= slowest)
    if level > 0.65:
        return bpm <= (110 if level > 1 else 80 if level >= 0.85 else 72) and not (usual and bpm >= high)
    return False


def _head(says: Clues, genres: list[Clue]) -> Clue:
    """Of "jazz house" the last word is what it is; of "techno with jazz" the first; after "but" it is said anew."""
    head = genres[0]
    for clue in genres[1:]:
        between = says.text.folded[head.end : clue.start]
        if between in (" ", "-", "") or re.search(r"\bbut\b", between):
            head = clue
    return head


def _bar_seconds(bpm: float, metre: str) -> float:
    beats, _, unit = metre.partition("/")
    return int(beats) * 4 / int(unit) * 60 / bpm


_SPACE = re.compile(r"\s+")


def _description(prompt: str, *, genre: str, bpm: float, key: str) -> str:
    """The prompt on one line, at most 400 characters, with what it does not say itself."""
    words = _SPACE.sub(" ", "".join(c if c.isprintable() else " " for c in prompt)).strip()
    if len(words) > 400:
        words = words[:401].rsplit(" ", 1)[0][:400]
    folded = words.lower()
    facts = (genre, genre), (f"{bpm:g}", f"{bpm:g} bpm"), (key.lower(), key)
    return ", ".join([*([words] if words else []), *(fact for sign, fact in facts if sign not in folded)])


def total_bars(seconds: float, bpm: float, metre: str) -> float:
    return seconds / _bar_seconds(bpm, metre)

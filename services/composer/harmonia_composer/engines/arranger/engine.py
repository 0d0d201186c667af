"""The arranger: composes, plays and mixes from code alone. Needs no model, no samples and no network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from harmonia_composer.engine import (
    Brief,
    Capabilities,
    FieldSupport,
    Kind,
    Listener,
    Order,
    Placed,
    Support,
    Take,
    Unheard,
)
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.dice import take_seed
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS, ROLES
from harmonia_composer.engines.arranger.metre import METRES
from harmonia_composer.engines.arranger.midi import midi_bytes
from harmonia_composer.engines.arranger.mix import mix, powers
from harmonia_composer.engines.arranger.moods import MOODS
from harmonia_composer.engines.arranger.score import Score
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS
from harmonia_composer.voice.guide import Guide, outcome, seated
from harmonia_composer.voice.karaoke import karaoke

EXACT = (
    "bars", "bpm", "complexity", "duration_seconds", "key", "language", "lyrics", "outputs.ardour",
    "outputs.dawproject", "outputs.midi", "outputs.stems", "prompt", "sections", "seed", "title", "variations",
)  # fmt: skip
LATER = (
    "conditioning.continue_from", "conditioning.melody", "conditioning.start_seconds", "conditioning.strength",
)  # fmt: skip
NO = ("model", "sampling.guidance", "sampling.stride_seconds", "sampling.temperature", "sampling.top_k")


class Arranger:
    name = "arranger"
    version = "0.3.0"
    licence = "Apache-2.0"
    # A song takes two threads.
    slots = 1

    def __init__(self, sounds: Mapping[str, Sound] = SOUNDS) -> None:
        self._sounds = sounds

    def capabilities(self) -> Capabilities:
        genres, moods, instruments = tuple(sorted(GENRES)), tuple(sorted(MOODS)), tuple(sorted(INSTRUMENTS))
        choices = (
            FieldSupport("genre", Support.EXACT, genres),
            FieldSupport("moods", Support.EXACT, moods),
            FieldSupport("instruments", Support.EXACT, instruments),
            FieldSupport("time_signature", Support.EXACT, tuple(METRES)),
            FieldSupport("kind", Support.EXACT, tuple(Kind)),
            FieldSupport("vocals", Support.EXACT, ("OFF", "GUIDE")),
            FieldSupport("negative_prompt", Support.HINT),
        )
        plain = [FieldSupport(field, Support.EXACT) for field in EXACT]
        plain += [FieldSupport(field, Support.LATER) for field in LATER]
        plain += [FieldSupport(field, Support.NO) for field in NO]
        return Capabilities(
            genres=genres, moods=moods, instruments=instruments, roles=ROLES,
            fields=tuple(sorted((*choices, *plain), key=lambda support: support.field)),
            cpu_seconds_per_second=0.03,
        )  # fmt: skip

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        takes = []
        for number in range(1, order.variations + 1):
            listener.check()
            takes.append(self._take(order, number, folder / str(number), OneTake(listener, number, order.variations)))
        return takes

    def _take(self, order: Order, number: int, folder: Path, listener: Listener) -> Take:
        seed = take_seed(order.seed, number)
        folder.mkdir(parents=True, exist_ok=True)
        score = arrange(order.brief, seed)
        singer, refusal = Guide.here().asked(order, folder / "voice")
        if singer:
            heard = partial(powers, sounds=self._sounds, check=listener.check, singer=singer)
            score = seated(score, order.brief, heard)
        listener.progress(0.02, "arranged")
        premaster, stems = mix(
            score, folder, stems=order.stems, version=self.version, listener=listener, sounds=self._sounds,
            singer=singer,
        )  # fmt: skip
        stems, warnings = outcome(score, stems, singer, refusal)
        words = order.brief.lyrics
        return Take(
            seed=seed,
            premaster=premaster,
            stems=stems,
            midi=written(folder / "song.mid", midi_bytes(score)) if order.midi else None,
            lyrics_text=written(folder / "lyrics.txt", plain_lyrics(order.brief).encode()) if words else None,
            lyrics_lrc=written(folder / "lyrics.lrc", timed_lyrics(score).encode()) if words else None,
            karaoke=written(folder / "karaoke.json", karaoke(score, order.brief.language)) if words else None,
            duration_seconds=score.duration_seconds,
            sections=tuple(
                Placed(section.name, score.seconds(section.tick), section.bars) for section in score.sections
            ),
            warnings=warnings,
        )

    def warm_up(self) -> None:
        """Every kernel once: a second of song that uses all of them, thrown away."""
        import tempfile

        nobody, brief = Unheard(), Brief(duration_seconds=5.0, bpm=120.0, key="A minor", genre="lo-fi hip-hop")
        with tempfile.TemporaryDirectory() as folder:
            for genre, instruments in (("lo-fi hip-hop", ("piano", "electric piano")), ("folk", ("synth pad",))):
                score = arrange(replace(brief, genre=genre, instruments=instruments), 1)
                mix(score, Path(folder), stems=False, version=self.version, listener=nobody)


class OneTake(Unheard):
    """What a take tells the listener of the whole order: only the first is heard while it is made."""

    def __init__(self, listener: Listener, number: int, takes: int) -> None:
        self._listener, self._number, self._takes = listener, number, takes

    def check(self) -> None:
        self._listener.check()

    def reusable(self, recipe: str) -> Path | None:
        return self._listener.reusable(recipe)

    def progress(self, fraction: float, message: str) -> None:
        suffix = f", take {self._number}" if self._takes > 1 else ""
        self._listener.progress((self._number - 1 + fraction) / self._takes, message + suffix)

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        if self._number == 1:
            self._listener.preview(path, start_seconds, duration_seconds)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def plain_lyrics(brief: Brief) -> str:
    sections = (
        f"[{section.name}]\n" + "\n".join(line.text for line in section.lines) + "\n" for section in brief.lyrics
    )
    return "\n".join(sections)


def timed_lyrics(score: Score) -> str:
    lines = [f"[ti:{score.title}]"] if score.title else []
    for line in score.lines:
        hundredths = round(score.seconds(line.tick) * 100)
        lines.append(f"[{hundredths // 6000:02d}:{hundredths % 6000 / 100:05.2f}]{line.text}")
    return "\n".join(lines) + "\n"

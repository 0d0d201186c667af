"""Metres, and how a pattern written in one is played in another. Pure.

A pattern is a string of sixteenths, as long as a bar of the metre it is written in or a multiple of it. `fit` keeps
what makes a groove itself: its first beat stays first, its back-beat stays on the weak beats, a steady stream stays
steady.
"""

from dataclasses import dataclass

from harmonia_composer.engine import Unplayable

PPQ = 960
STEP = PPQ // 4


@dataclass(frozen=True, slots=True)
class Metre:
    """`pulses` are the beats one taps, in sixteenths; `strong`: steps a tune leans on, `groups`: 2+2+3."""

    name: str
    beats: int
    unit: int
    groups: tuple[int, ...]
    pulses: tuple[int, ...]
    strong: tuple[int, ...]

    @property
    def steps(self) -> int:
        return 16 * self.beats // self.unit

    @property
    def ticks(self) -> int:
        return self.steps * STEP

    @property
    def compound(self) -> bool:
        """Its beats divide in three."""
        return self.pulses[0] == 6

    @property
    def half(self) -> int:
        """The step where the second half of the bar begins, for fills and for two chords in a bar."""
        middle = self.steps / 2
        return min(self.pulse_starts[1:], key=lambda step: (abs(step - middle), step not in self.strong, step))

    @property
    def pulse_starts(self) -> tuple[int, ...]:
        return tuple(sum(self.pulses[:number]) for number in range(len(self.pulses)))


METRES: dict[str, Metre] = {
    metre.name: metre
    for metre in (
        Metre("4/4", 4, 4, (4,), (4, 4, 4, 4), (0, 8)),
        Metre("3/4", 3, 4, (3,), (4, 4, 4), (0,)),
        Metre("2/4", 2, 4, (2,), (4, 4), (0,)),
        Metre("5/4", 5, 4, (3, 2), (4, 4, 4, 4, 4), (0, 12)),
        Metre("6/8", 6, 8, (3, 3), (6, 6), (0, 6)),
        Metre("7/8", 7, 8, (2, 2, 3), (4, 4, 4, 2), (0, 8)),
        Metre("12/8", 12, 8, (3, 3, 3, 3), (6, 6, 6, 6), (0, 12)),
    )
}
FOUR_FOUR = METRES["4/4"]

# Which pulses of the pattern make a bar, by how many there are and how many are wanted.
PULSES: dict[tuple[int, int], tuple[int, ...]] = {
    (4, 3): (0, 1, 3),
    (4, 5): (0, 1, 2, 2, 3),
    (3, 4): (0, 1, 0, 2),
    (3, 5): (0, 1, 2, 0, 2),
    (3, 2): (0, 2),
    (5, 3): (0, 1, 4),
    (5, 4): (0, 1, 3, 4),
    (5, 2): (0, 4),
    (2, 4): (0, 1, 0, 1),
    (2, 3): (0, 1, 1),
    (2, 5): (0, 1, 1, 0, 1),
}


def parse_metre(text: str) -> Metre:
    name = text.strip() or "4/4"
    if name not in METRES:
        raise Unplayable(f"{text!r} is no metre the arranger plays: {', '.join(METRES)} are", field="time_signature")
    return METRES[name]


def fit(pattern: str, home: Metre, to: Metre) -> str:
    """Four beats become two bars of two; 7/8 is 4/4 without its last eighth; others take the beats they need."""
    if home is to or not pattern:
        return pattern
    size = home.steps
    return "".join(fit_bar(pattern[start : start + size], home, to) for start in range(0, len(pattern), size))


def fit_bar(bar: str, home: Metre, to: Metre) -> str:
    beats = pulses_of(bar, home)
    wanted = 4 if to.name == "7/8" else len(to.pulses)
    if wanted == 2 and len(beats) == 4:
        chosen = beats
    else:
        chosen = [beats[place] for place in PULSES.get((len(beats), wanted), tuple(range(wanted)))]
    resized = "".join(resized_pulse(beat, to.pulses[0]) for beat in chosen)
    return resized[: to.steps] if to.name == "7/8" else resized


def pulses_of(bar: str, home: Metre) -> list[str]:
    """7/8 is read as four beats, the last one made whole with silence."""
    beats = [bar[start : start + home.pulses[0]] for start in home.pulse_starts]
    last = beats[-1]
    return [*beats[:-1], last + ("-" if last.endswith("-") else ".") * (home.pulses[0] - len(last))]


def resized_pulse(beat: str, size: int) -> str:
    if len(beat) == size:
        return beat
    return tripled(beat) if size == 6 else evened(beat)


def tripled(beat: str) -> str:
    """Four sixteenths → six: the off-beat moves to the last third; two equal halves become three."""
    if beat[:2] == beat[2:]:
        return beat[:2] * 3
    held = ["-" if after == "-" else "." for after in (beat[1], beat[3])]
    return beat[0] + held[0] + beat[1] + held[0] * (beat[2] == "-") + "." * (beat[2] != "-") + beat[2] + beat[3]


def evened(beat: str) -> str:
    """Six sixteenths → four: the last third becomes the off-beat."""
    if beat[:2] == beat[2:4] == beat[4:]:
        return beat[:2] * 2
    return beat[0] + (beat[2] if beat[4] in ".-" or beat[2] in ".-" else "-") + beat[4] + beat[5]

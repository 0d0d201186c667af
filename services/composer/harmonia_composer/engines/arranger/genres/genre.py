"""What a genre is: data a musician can read. Adding a genre is one more file beside this one.

Patterns are strings of sixteenths, one character a step; "-" holds the step before, "." is silent. A bar is as long as
a bar of the genre's home metre (4/4: 16 steps, 3/4 and 6/8: 12, 12/8: 24); a pattern of several bars is a multiple.
Other metres are fitted from it (metre.py). A capital is played out, its small letter softer.
  drums    X accent, x normal, o ghost, ? now and then (more with complexity), r two in the step, t three, f a flam
  bass     R root, 5 fifth above, v fifth below, 8 octave, 3 third, 7 seventh (the fifth of a triad),
           a a step below or above the next root, w walks: a tone of chord or scale on the way to the next root,
           P the tonic whatever the chord (pedal), / the root slid into, from the note before or from its octave
           (808, fretless)
  comp     C all at once, S the same cut short (stab, skank), D strummed down, U strummed up, T all but the lowest,
           B the lowest alone (a thumb), M muted: a scratch without pitch, 0-5 one voice counted from the lowest, left
           to ring. c s d u t b m: softer.
  melody   x a note, X an accented one
Lists that run "from calm to busy" are chosen from by energy.
Sections have characters: intro, verse, pre, chorus, bridge, build, outro. "chorus 2" in a mapping means the second and
later times, "chorus last" the last of several; each falls back on the plain name, "pre" and "build" on "verse".
Harmony's numerals are explained in harmony.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Style = Literal["drums", "bass", "comp", "pad", "melody", "counter", "texture", "riser"]
"""counter: a slow line of thirds and sevenths under the tune. riser: a texture, before a rise only."""
Beat = Mapping[str, str]
VoicingStyle = Literal["close", "drop 2", "open", "triad", "power", "shell", "quartal", "octaves"]
"""How a hand holds a chord. close: four smooth voices; drop 2: the second from above an octave down; open: triads
spread over a tenth and more; triad: three close voices; power: root, fifth, octave; shell: third, seventh and a
colour, the root left to the bass; quartal: fourths; octaves: the root alone."""
Ending = Literal["ring", "hit", "fade"]
"""ring: the last chord is held and dies away; hit: one short blow; fade: the groove goes on and grows quiet."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Where a part sits. `level_lufs` before the whole is scaled; sends 0..1; `duck_db` at each kick; width 0..1."""

    level_lufs: float
    pan: float = 0.0
    width: float = 0.3
    reverb: float = 0.0
    delay: float = 0.0
    chorus: float = 0.0
    duck_db: float = 0.0
    drive: float = 0.0
    low_cut_hz: float = 30.0
    high_db: float = 0.0
    hand_octaves: float = 0.0
    """A hand on the cut-off: so far up and down in four bars."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One player. `instruments`: one is drawn, a name said twice is twice as likely. `register` is the middle of its
    range, MIDI pitch."""

    role: str
    style: Style
    instruments: tuple[str, ...]
    mix: Mix
    patterns: tuple[str, ...] = ()
    """From calm to busy."""
    register: int = 60
    velocity: int = 84
    label: str = ""
    """Name of the stem where a role has two players: "chords-2". Layers speak of labels; empty: the role."""
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Patterns of a character in place of `patterns`, from calm to busy: {"chorus": ("D-D-…",)}."""
    voicing: VoicingStyle = "close"
    strum_s: float = 0.014
    """From string to string of D and U."""
    anticipates: bool = False
    """What is struck in the last eighth of a chord is already the next chord (bossa, pop)."""
    late_s: float = 0.0
    """Behind the beat; negative: ahead."""
    throws: int = 0
    """Every so many bars the last blow of the bar is thrown into an echo: it comes back in dotted eighths, softer."""
    chance: float = 1.0
    """How many songs have this player at all."""


@dataclass(frozen=True, slots=True)
class Tune:
    """How a genre sings."""

    reach: int = 16
    """Semitones from its lowest note to its highest, at most 19."""
    leaps: float = 0.2
    """How often a step of the scale is a third or more instead."""
    syncopation: float = 0.15
    """How often a note comes an eighth early."""
    scale: Literal["mode", "pentatonic", "blues"] = "mode"
    """Passing notes come from here; blues adds the flat fifth and, in major, the flat third."""
    rhythms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rhythms of one bar by character, in place of the genre's `motifs`; a family sounds alike."""
    pickups: float = 0.3
    """How often a phrase begins before its bar line."""
    rests: float = 0.2
    """How often a bar of a phrase is left to the others."""
    repeats: float = 0.5
    """How literally a motif returns: 1 a riff, 0 always turned into something else."""
    arcs: tuple[Literal["arch", "fall", "rise", "wave"], ...] = ("arch", "fall", "wave")
    """Shapes a phrase may have."""
    lift: int = 4
    """Semitones the chorus lies above the verse."""
    graces: float = 0.0
    """How often a note is slid into from below."""


@dataclass(frozen=True, slots=True)
class Genre:
    name: str
    bpm: tuple[float, float]
    """Usual tempo, quarter notes a minute, from and to."""
    minor_share: float
    """How often its songs are in minor when nobody says."""
    chord_size: int
    """3 triads, 4 sevenths, 5 ninths."""
    progressions: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By "minor" and "major", or by the mode's own name where it wants its own ("dorian"), then by character."""
    cadences: Mapping[str, str]
    """What leads out of a section, by character: the chords of its last bar."""
    forms: tuple[tuple[tuple[str, int], ...], ...]
    """Names and usual bars of sections. The nearest in length is played; of several nearly as near a seed draws one."""
    energies: Mapping[str, tuple[float, float]]
    """By character ("chorus 2", "chorus last" too): from its start to its end."""
    layers: Mapping[str, tuple[str, ...]]
    """Who plays, by character. "drums>" enters in the second half, "drums<" leaves there."""
    parts: tuple[PartPlan, ...]
    beats: tuple[tuple[Beat, ...], ...]
    """Drum bars from calm to busy, each a few alternatives: the first three bars of four, the fourth, and others."""
    fills: tuple[Beat, ...]
    ghosts: tuple[tuple[str, int], ...]
    """(drum, step) that come and go so that no bar is quite the one before."""
    motifs: tuple[str, ...]
    """Rhythms of one bar that melodies are made of."""
    swing: float = 0.0
    """How late every second sixteenth (or eighth, see swing_on) is, in parts of one; 0.33 is a triplet's."""
    same_bars: bool = False
    """True: a drum bar may be exactly the one before."""
    spread_s: float = 0.007
    """Standard deviation of the players' timing."""
    depth_db: float = 8.0
    """Loudness between a section of no energy and one of full energy."""
    room_s: float = 1.4
    """Reverberation time."""
    metre: str = "4/4"
    """What its patterns are written in, and what it is played in when nobody says."""
    swing_on: Literal[8, 16] = 16
    tune: Tune = Tune()
    section_beats: Mapping[str, tuple[Beat, ...]] = field(default_factory=dict)
    """Drum bars of a character whatever its energy: a half-time bridge, a build."""
    pickups: tuple[Beat, ...] = ()
    """Drum bars of which the last beat is played where drums come in after a section without them."""
    crash: bool = True
    """A cymbal where it gets loud."""
    riser_bars: int = 2
    """How long before a rise the risers begin."""
    borrowed: Mapping[str, tuple[tuple[str, str, float], ...]] = field(default_factory=dict)
    """By "minor" or "major": (numeral, what may stand in its place, how often at full complexity)."""
    colours: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    """By "minor" or "major": (mode, how often), where no key is set: funk's dorian, metal's phrygian."""
    endings: tuple[Ending, ...] = ("ring",)
    drags: Mapping[str, float] = field(default_factory=dict)
    """Seconds a single drum is behind the beat: {"snare": 0.012}."""
    velocity_spread: float = 5.0

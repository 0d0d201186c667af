"""Keys: piano, electric pianos by frequency modulation, organs by drawbars, reeds, and plucked keyboards."""

from harmonia_composer.engines.arranger.synth.kernels import Fm, Pluck, Tone
from harmonia_composer.engines.arranger.synth.sound import Band, Sound
from harmonia_composer.engines.arranger.synth.tables import Waveform
from harmonia_composer.engines.arranger.synth.voice import Bent, Hammered, String, Waves

# Drawbars, counted in partials of the sixteen-foot pipe: 16', 8', 5 1/3', 4', 2 2/3', 2', 1 1/3', 1'.
DRAWN = Waveform("partials", partials=(0.7, 0.9, 0.55, 0.35, 0, 0.12, 0, 0.06))
PULLED = Waveform("partials", partials=(0.6, 0.8, 0.55, 0.6, 0, 0.4, 0, 0.4, 0, 0.2, 0, 0.22, 0, 0, 0, 0.3))
PIPES = Waveform("partials", partials=(0.5, 0.9, 0, 0.6, 0, 0.2, 0, 0.35, 0, 0.05, 0, 0.1, 0, 0, 0, 0.12))
MIXTURE = Waveform(
    "partials",
    partials=(0.5, 0.9, 0, 0.7, 0, 0.4, 0, 0.5, 0, 0.2, 0, 0.3, 0, 0.1, 0, 0.3, 0, 0, 0, 0.1, 0, 0, 0, 0.2,
        *(0,) * 7, 0.2),
)  # fmt: skip
REED = Waveform(width=0.22, corner_hz=1600, slope_db=9, formants=((1100, 400, 4),))
OPEN_REED = Waveform(width=0.16, corner_hz=3500, slope_db=9, formants=((1500, 600, 5),))

KEYS: dict[str, Sound] = {
    "piano": Sound(Hammered(), body=(Band("peak", 190, 2, 0.8), Band("peak", 420, -1.5, 1), Band("high shelf", 5000,
        2))),
    "electric piano": Sound(
        Bent(Fm(ratio=1.0, bend=1.0, bend_s=0.9, floor=0.12, decay_s=2.6, release_s=0.1, tine=0.1, tine_s=0.07,
            second=0.12)),
        body=(Band("peak", 300, 2, 0.8), Band("high shelf", 4500, -4)),
        drive=0.8, tremolo=0.22, tremolo_hz=4.3,
    ),
    "wurlitzer": Sound(
        Bent(Fm(ratio=2.0, bend=0.75, bend_s=0.35, floor=0.25, decay_s=1.3, release_s=0.07, tine_ratio=7.0,
            tine=0.05, tine_s=0.04, second=0.25)),
        body=(Band("low cut", 110), Band("peak", 900, 4, 0.9), Band("high cut", 6000)),
        drive=2.2, tremolo=0.3, tremolo_hz=5.6,
    ),
    "fm piano": Sound(
        Bent(Fm(ratio=1.0, bend=0.7, bend_s=1.4, floor=0.1, decay_s=2.8, release_s=0.16, tine_ratio=14.0, tine=0.28,
            tine_s=0.35)),
        chorus=0.45,
    ),
    "organ": Sound(
        Waves(
            Tone(attack_s=0.006, sustain=1.0, release_s=0.012, chiff=0.25, chiff_s=0.004, drift_cents=0.3, blend=0.6),
            DRAWN, PULLED, touch=0.1, octave=-1,
        ),
        body=(Band("peak", 800, 3, 0.7), Band("high cut", 6500)),
        drive=1.2, tremolo=0.14, tremolo_hz=6.3, chorus=0.5,
    ),
    "church organ": Sound(
        Waves(
            Tone(voices=2, detune_cents=2.5, attack_s=0.05, sustain=1.0, release_s=0.12, chiff=0.08, chiff_s=0.03,
                blend=0.6),
            PIPES, MIXTURE, touch=0.1, octave=-1,
        ),
    ),
    "accordion": Sound(
        Waves(
            Tone(voices=2, detune_cents=7, attack_s=0.045, decay_s=0.3, sustain=0.95, release_s=0.05, noise=0.01,
                blend=0.5, drift_cents=1),
            REED, OPEN_REED, touch=0.3,
        ),
        body=(Band("low cut", 150), Band("peak", 2600, 3, 1.2)),
    ),
    "harpsichord": Sound(
        String(Pluck(tilt=14, ring_s=2.8, sparkle_s=1.1, hardness_hz=7500, position=0.11, noise=0.25, release_s=0.05,
            click=0.15)),
        body=(Band("low cut", 90), Band("peak", 2200, 3, 1)),
    ),
    "clavinet": Sound(
        String(Pluck(tilt=5, ring_s=1.6, sparkle_s=0.5, hardness_hz=4200, position=0.28, noise=0.15, release_s=0.03,
            click=0.12)),
        body=(Band("low cut", 120), Band("peak", 1300, 5, 0.9), Band("high cut", 7000)),
        drive=2.5,
    ),
}  # fmt: skip

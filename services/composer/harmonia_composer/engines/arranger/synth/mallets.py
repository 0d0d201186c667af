"""Bars, bells and tines: ringing partials in the ratios of free bars,
tuned bars and plates (Fletcher and Rossing)."""

from harmonia_composer.engines.arranger.synth.kernels import Fm
from harmonia_composer.engines.arranger.synth.sound import Band, Sound
from harmonia_composer.engines.arranger.synth.voice import Bent, Struck

MALLETS: dict[str, Sound] = {
    "vibraphone": Sound(
        Struck(((1, 1.0, 2.6), (4.0, 0.3, 0.8), (10.1, 0.08, 0.14)), release_s=0.35, touch=1.8, knock=0.25,
            knock_hz=1600),
        tremolo=0.25, tremolo_hz=5.2,
    ),
    "marimba": Sound(
        Struck(((1, 1.0, 0.42), (3.93, 0.35, 0.11), (9.2, 0.14, 0.035)), release_s=0.25, touch=1.8, knock=0.5,
            knock_hz=1100)
    ),
    "xylophone": Sound(
        Struck(((1, 1.0, 0.3), (3.0, 0.5, 0.12), (6.1, 0.35, 0.05), (10.2, 0.2, 0.02)), release_s=0.2, touch=1.6,
            knock=0.7, knock_hz=3500)
    ),
    "kalimba": Sound(
        Struck(((1, 1.0, 0.9), (2.01, 0.14, 0.4), (5.4, 0.3, 0.08), (8.2, 0.14, 0.03)), release_s=0.3, touch=1.8,
            knock=0.35, knock_hz=1800),
        body=(Band("peak", 320, 4, 2),),
    ),
    "glockenspiel": Sound(
        Struck(((1, 1.0, 1.8), (2.71, 0.4, 0.9), (5.15, 0.22, 0.35), (8.4, 0.1, 0.12)), release_s=0.6, touch=1.5,
            knock=0.3, knock_hz=6000)
    ),
    "celesta": Sound(
        Struck(((1, 1.0, 1.1), (2.0, 0.12, 0.7), (2.76, 0.1, 0.35), (5.4, 0.12, 0.12)), release_s=0.25, touch=1.8,
            knock=0.3, knock_hz=2200),
        body=(Band("peak", 900, 2, 1), Band("high cut", 9000)),
    ),
    "music box": Sound(
        Struck(((1, 1.0, 1.6), (2.0, 0.15, 0.8), (4.2, 0.3, 0.25), (6.8, 0.2, 0.08)), release_s=0.5, touch=1.5,
            knock=0.2, knock_hz=4000)
    ),
    "bells": Sound(
        Bent(Fm(ratio=3.5, bend=1.6, bend_s=0.9, decay_s=1.8, release_s=0.5, tine_ratio=7.0, tine=0.1, tine_s=0.3))
    ),
}  # fmt: skip

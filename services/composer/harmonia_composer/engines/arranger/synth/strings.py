"""Plucked strings and basses: Karplus-Strong, with the bodies, pick-ups and cabinets they are heard through."""

from harmonia_composer.engines.arranger.synth.kernels import Fm, Pluck, Tone
from harmonia_composer.engines.arranger.synth.sound import Band, Sound
from harmonia_composer.engines.arranger.synth.tables import Waveform
from harmonia_composer.engines.arranger.synth.voice import Bent, String, Waves

# Air and top plate of a guitar (Christensen and Vistisen 1980), and where its bridge speaks.
DREADNOUGHT = (Band("low cut", 70), Band("peak", 102, 5, 4), Band("peak", 204, 4, 5), Band("peak", 390, 2, 4),
               Band("peak", 2400, 2.5, 1), Band("high shelf", 7000, 2))  # fmt: skip
CLASSICAL = (Band("low cut", 70), Band("peak", 98, 5, 4), Band("peak", 190, 5, 4), Band("peak", 420, 2.5, 3),
             Band("high cut", 9500))  # fmt: skip
COMBO = (Band("low cut", 85), Band("peak", 380, -3, 0.9), Band("peak", 2500, 4, 1.1), Band("high cut", 6000))
STACK = (
    Band("low cut", 75),
    Band("low shelf", 240, 6),
    Band("peak", 900, -5, 0.7),
    Band("peak", 2600, 2, 1.3),
    Band("high cut", 3800, q=0.8),
    Band("high cut", 4800, q=0.6),
)
HUMBUCKER = (Band("low cut", 120), Band("peak", 700, 4, 0.7), Band("high cut", 5500))
VIOL = (
    Band("low cut", 40),
    Band("peak", 95, 4, 3),
    Band("peak", 180, 3, 3),
    Band("peak", 700, 2, 1.2),
    Band("high cut", 3800),
)

GUITARS: dict[str, Sound] = {
    "acoustic guitar": Sound(
        String(Pluck(tilt=4, ring_s=4.5, sparkle_s=0.9, hardness_hz=5200, position=0.16, noise=0.35, release_s=0.09,
            click=0.05)), DREADNOUGHT
    ),
    "nylon guitar": Sound(
        String(Pluck(tilt=2, ring_s=3.2, sparkle_s=0.35, hardness_hz=2700, position=0.23, noise=0.3, release_s=0.09,
            click=0.02)), CLASSICAL
    ),
    "electric guitar": Sound(
        String(Pluck(tilt=3, ring_s=5.5, sparkle_s=0.8, hardness_hz=3600, position=0.2, noise=0.25, release_s=0.06,
            click=0.03)),
        COMBO, before=(Band("peak", 3200, 3, 1),), drive=1.0, chorus=0.2,
    ),
    "jazz guitar": Sound(
        String(Pluck(tilt=1.5, ring_s=4.0, sparkle_s=0.4, hardness_hz=1700, position=0.3, noise=0.2, release_s=0.07)),
        (Band("low cut", 80), Band("peak", 240, 2, 1), Band("high cut", 3400)), drive=0.6,
    ),
    "muted guitar": Sound(
        String(Pluck(tilt=3, ring_s=0.35, sparkle_s=0.1, hardness_hz=3000, position=0.14, noise=0.35, release_s=0.03,
            click=0.06)), COMBO, drive=1.0
    ),
    "distorted guitar": Sound(
        String(Pluck(tilt=3, ring_s=6.0, sparkle_s=0.9, hardness_hz=3800, position=0.14, noise=0.3, release_s=0.04,
            click=0.02)),
        STACK, before=HUMBUCKER, drive=22.0, doubled=True,
    ),
    "ukulele": Sound(
        String(Pluck(tilt=2.5, ring_s=1.5, sparkle_s=0.25, hardness_hz=3000, position=0.24, noise=0.3, release_s=0.07,
            click=0.03)),
        (Band("low cut", 160), Band("peak", 240, 4, 3), Band("peak", 560, 4, 3), Band("high cut", 7500)),
    ),
}  # fmt: skip
PLUCKED: dict[str, Sound] = {
    "banjo": Sound(
        String(Pluck(tilt=10, ring_s=0.9, sparkle_s=0.5, hardness_hz=7500, position=0.09, noise=0.35, release_s=0.06,
            click=0.15)),
        (Band("low cut", 180), Band("peak", 700, 5, 1.5), Band("peak", 2800, 3, 1)),
    ),
    "mandolin": Sound(
        String(Pluck(tilt=7, ring_s=1.5, sparkle_s=0.6, hardness_hz=6000, position=0.13, noise=0.35, release_s=0.06,
            click=0.08)),
        (Band("low cut", 170), Band("peak", 420, 4, 2.5), Band("peak", 2600, 3, 1)), chorus=0.35,
    ),
    "harp": Sound(
        String(Pluck(tilt=2, ring_s=4.2, sparkle_s=0.4, hardness_hz=2400, position=0.38, noise=0.15, release_s=0.5)),
        (Band("peak", 220, 3, 1.5), Band("high cut", 9000)),
    ),
}  # fmt: skip
SINE = Waveform("sine")
BASSES: dict[str, Sound] = {
    "electric bass": Sound(
        String(Pluck(tilt=1.2, ring_s=4.5, sparkle_s=0.35, hardness_hz=900, position=0.22, noise=0.15, release_s=0.05)),
        (Band("peak", 90, 2, 1), Band("peak", 800, 3, 1), Band("high cut", 4200)), drive=1.0, slurs=False,
    ),
    "picked bass": Sound(
        String(Pluck(tilt=2.5, ring_s=4.5, sparkle_s=0.6, hardness_hz=2600, position=0.12, noise=0.25, release_s=0.04,
            click=0.08)),
        (Band("peak", 110, 2, 1), Band("peak", 1600, 4, 1), Band("high cut", 5500)), drive=2.5,
    ),
    "slap bass": Sound(
        String(Pluck(tilt=5, ring_s=3.0, sparkle_s=0.9, hardness_hz=6000, position=0.08, noise=0.2, release_s=0.03,
            click=0.2)),
        (Band("peak", 85, 3, 1), Band("peak", 450, -5, 0.8), Band("peak", 3500, 4, 1)), drive=1.2,
    ),
    "upright bass": Sound(
        String(Pluck(tilt=1, ring_s=1.9, sparkle_s=0.1, hardness_hz=620, position=0.3, noise=0.2, release_s=0.06,
            click=0.06)), VIOL
    ),
    "synth bass": Sound(
        Waves(
            Tone(attack_s=0.003, decay_s=0.18, sustain=0.45, release_s=0.035, cutoff_hz=330, sweep_octaves=1.9,
                sweep_s=0.07, resonance=0.35, track=0.4, steep=1.0, glide_s=0.03),
            Waveform(), Waveform(width=0.5), touch=0.8,
        ),
        drive=1.0,
    ),
    "acid bass": Sound(
        Waves(
            Tone(attack_s=0.003, decay_s=0.2, sustain=0.4, release_s=0.025, cutoff_hz=290, sweep_octaves=2.7,
                sweep_s=0.09, resonance=0.9, steep=0.0, glide_s=0.05),
            Waveform(), touch=1.0,
        ),
        drive=2.0, slurs=True,
    ),
    "sub bass": Sound(
        Waves(Tone(attack_s=0.006, decay_s=0.5, sustain=0.85, release_s=0.05, glide_s=0.04, blend=0.35), SINE,
            Waveform("partials", partials=(1, 0.25, 0.12, 0.04))),
        slurs=True,
    ),
    "808 bass": Sound(
        Waves(
            Tone(attack_s=0.002, decay_s=0.9, sustain=0.12, release_s=0.09, scoop_cents=1500, scoop_s=0.014,
                glide_s=0.07, blend=0.5, chiff=0.25, chiff_s=0.003),
            SINE, Waveform("partials", partials=(1, 0.2, 0.15, 0.06, 0.04)),
        ),
        drive=2.2, body=(Band("high cut", 3500),), slurs=True,
    ),
    "reese bass": Sound(
        Waves(
            Tone(voices=3, detune_cents=17, spread=0.5, attack_s=0.01, decay_s=1.0, sustain=0.9, release_s=0.06,
                cutoff_hz=520, sweep_octaves=0.6, sweep_s=0.6, resonance=0.3, steep=1.0, track=0.3, glide_s=0.05),
            Waveform(), touch=0.8,
        ),
        drive=2.0, slurs=True,
    ),
    "fm bass": Sound(
        Bent(Fm(ratio=1.0, bend=2.4, bend_s=0.16, floor=0.35, decay_s=1.4, release_s=0.04, tine_ratio=3.0,
            tine=0.12, tine_s=0.05))
    ),
}  # fmt: skip

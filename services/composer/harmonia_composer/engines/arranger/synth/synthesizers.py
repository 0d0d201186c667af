"""Synthesisers that sound like synthesisers."""

from harmonia_composer.engines.arranger.synth.kernels import Tone
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.tables import Waveform
from harmonia_composer.engines.arranger.synth.voice import Waves

SAW, SQUARE, THIN = Waveform(), Waveform(width=0.5), Waveform(width=0.3)

SYNTHESIZERS: dict[str, Sound] = {
    "synth lead": Sound(
        Waves(
            Tone(voices=2, detune_cents=6, spread=0.4, attack_s=0.006, decay_s=0.25, sustain=0.7, release_s=0.08,
                cutoff_hz=2100, sweep_octaves=1.0, sweep_s=0.14, resonance=0.35, vibrato_cents=7, track=0.4,
                glide_s=0.035),
            SAW, touch=0.8,
        ),
        slurs=True,
    ),
    "square lead": Sound(
        Waves(
            Tone(attack_s=0.004, decay_s=0.3, sustain=0.75, release_s=0.07, cutoff_hz=2600, sweep_octaves=0.7,
                sweep_s=0.1, resonance=0.2, vibrato_cents=9, track=0.5, glide_s=0.03, blend=0.3),
            SQUARE, THIN, touch=0.8,
        ),
        slurs=True,
    ),
    "acid lead": Sound(
        Waves(
            Tone(attack_s=0.003, decay_s=0.2, sustain=0.5, release_s=0.04, cutoff_hz=520, sweep_octaves=2.5,
                sweep_s=0.1, resonance=0.9, track=0.5, glide_s=0.05, blend=0.5),
            SAW, SQUARE, touch=1.0,
        ),
        drive=2.0, slurs=True,
    ),
    "pluck synth": Sound(
        Waves(
            Tone(voices=3, detune_cents=7, spread=0.6, attack_s=0.002, decay_s=0.13, sustain=0.0, release_s=0.13,
                cutoff_hz=700, sweep_octaves=3.0, sweep_s=0.06, resonance=0.25, steep=1.0, track=0.6),
            SAW, touch=0.9,
        )
    ),
    "arpeggio synth": Sound(
        Waves(
            Tone(attack_s=0.002, decay_s=0.12, sustain=0.12, release_s=0.08, cutoff_hz=1100, sweep_octaves=1.8,
                sweep_s=0.06, resonance=0.45, track=0.5, blend=0.5),
            SAW, THIN, touch=0.8,
        )
    ),
    "synth stab": Sound(
        Waves(
            Tone(voices=3, detune_cents=11, attack_s=0.003, decay_s=0.16, sustain=0.2, release_s=0.09,
                cutoff_hz=1000, sweep_octaves=1.9, sweep_s=0.08, resonance=0.3, track=0.3),
            SAW, touch=0.9,
        )
    ),
    "supersaw": Sound(
        Waves(
            Tone(voices=7, detune_cents=24, spread=0.75, attack_s=0.008, decay_s=0.4, sustain=0.8, release_s=0.14,
                cutoff_hz=6500, sweep_octaves=0.5, sweep_s=0.3, resonance=0.1, track=0.2),
            SAW, touch=0.9,
        )
    ),
    "analog brass": Sound(
        Waves(
            Tone(voices=2, detune_cents=7, spread=0.5, attack_s=0.03, decay_s=0.5, sustain=0.75, release_s=0.12,
                cutoff_hz=900, sweep_octaves=1.4, sweep_s=0.35, resonance=0.2, steep=1.0, track=0.4),
            SAW, touch=0.9,
        )
    ),
    "synth pad": Sound(
        Waves(
            Tone(voices=3, detune_cents=9, spread=0.8, attack_s=0.3, decay_s=1.2, sustain=0.8, release_s=0.32,
                cutoff_hz=1000, sweep_octaves=0.6, sweep_s=0.9, resonance=0.15, track=0.3, blend=0.3),
            SAW, SQUARE, touch=0.7,
        )
    ),
    "warm pad": Sound(
        Waves(
            Tone(voices=2, spread=0.6, attack_s=0.4, decay_s=1.5, sustain=0.85, release_s=0.4, cutoff_hz=1400,
                steep=1.0, sweep_octaves=0.5, sweep_s=1.2, track=0.3),
            Waveform(cents=18, corner_hz=900, slope_db=8), Waveform(cents=18, corner_hz=2400, slope_db=8), touch=0.6,
        )
    ),
    "sweep pad": Sound(
        Waves(
            Tone(voices=3, detune_cents=12, spread=0.8, attack_s=0.25, decay_s=2.0, sustain=0.85, release_s=0.4,
                cutoff_hz=2600, sweep_octaves=-2.4, sweep_s=1.6, resonance=0.5, track=0.2),
            SAW, touch=0.7,
        )
    ),
    "glass pad": Sound(
        Waves(
            Tone(voices=2, spread=0.7, attack_s=0.25, decay_s=1.5, sustain=0.75, release_s=0.5, cutoff_hz=9000,
                bloom=0.5, bloom_s=0.8),
            Waveform("partials", partials=(1, 0.2, 0.05, 0.12), cents=12), Waveform("partials", partials=(1, 0.3,
                0.12, 0.4, 0, 0.2, 0, 0.25, 0, 0, 0, 0.1), cents=12), touch=0.5,
        )
    ),
    "bowed pad": Sound(
        Waves(
            Tone(voices=2, spread=0.6, attack_s=0.5, decay_s=1.5, sustain=0.9, release_s=0.5, noise=0.02,
                cutoff_hz=5000, vibrato_cents=4, shake=0.15),
            Waveform(cents=26, even=0.5, corner_hz=1000, slope_db=9, formants=((900, 300, 5),)), Waveform(cents=26,
                corner_hz=2600, slope_db=9, formants=((1300, 400, 6),)), touch=0.5,
        )
    ),
}  # fmt: skip

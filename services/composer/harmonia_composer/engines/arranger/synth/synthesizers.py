"""Synthesisers that sound like synthesisers."""

from harmonia_composer.engines.arranger.synth.kernels import Tone
from harmonia_composer.engines.arranger.synth.voice import Subtractive, Voice

SYNTHESIZERS: dict[str, Voice] = {
    "synth bass": Subtractive(
        Tone(
            saw=0.8,
            sine=0.7,
            attack_s=0.003,
            decay_s=0.18,
            sustain=0.45,
            release_s=0.04,
            cutoff_hz=320,
            sweep_octaves=1.8,
            sweep_s=0.07,
            resonance=0.35,
        )
    ),
    "acid bass": Subtractive(
        Tone(
            saw=1.0,
            attack_s=0.003,
            decay_s=0.2,
            sustain=0.4,
            release_s=0.03,
            cutoff_hz=300,
            sweep_octaves=2.6,
            sweep_s=0.09,
            resonance=0.82,
        ),
        touch=1.0,
    ),
    "sub bass": Subtractive(
        Tone(
            saw=0.05,
            sine=1.0,
            attack_s=0.006,
            decay_s=0.5,
            sustain=0.8,
            release_s=0.06,
            cutoff_hz=600,
        )
    ),
    "synth lead": Subtractive(
        Tone(
            saw=0.8,
            pulse=0.3,
            width=0.4,
            voices=2,
            detune_cents=8,
            attack_s=0.006,
            decay_s=0.25,
            sustain=0.6,
            release_s=0.1,
            cutoff_hz=1900,
            sweep_octaves=1.0,
            sweep_s=0.12,
            resonance=0.35,
            vibrato_cents=6,
        )
    ),
    "acid lead": Subtractive(
        Tone(
            saw=0.6,
            pulse=0.5,
            attack_s=0.003,
            decay_s=0.2,
            sustain=0.5,
            release_s=0.05,
            cutoff_hz=500,
            sweep_octaves=2.4,
            sweep_s=0.1,
            resonance=0.85,
            glide_cents=-120,
        ),
        touch=1.0,
    ),
    "arpeggio synth": Subtractive(
        Tone(
            saw=0.4,
            pulse=0.6,
            width=0.3,
            attack_s=0.002,
            decay_s=0.12,
            sustain=0.12,
            release_s=0.08,
            cutoff_hz=1100,
            sweep_octaves=1.6,
            sweep_s=0.06,
            resonance=0.45,
        )
    ),
    "synth stab": Subtractive(
        Tone(
            saw=1.0,
            voices=3,
            detune_cents=12,
            attack_s=0.003,
            decay_s=0.16,
            sustain=0.2,
            release_s=0.09,
            cutoff_hz=1000,
            sweep_octaves=1.8,
            sweep_s=0.08,
            resonance=0.3,
        )
    ),
    "synth pad": Subtractive(
        Tone(
            saw=0.8,
            pulse=0.2,
            voices=3,
            detune_cents=10,
            attack_s=0.35,
            decay_s=1.2,
            sustain=0.8,
            release_s=0.35,
            cutoff_hz=950,
            sweep_octaves=0.5,
            sweep_s=0.9,
            resonance=0.15,
        )
    ),
}

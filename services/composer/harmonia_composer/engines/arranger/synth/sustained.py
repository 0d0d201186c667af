"""Bowed, blown and sung: oscillators with breath, vibrato and a slow start."""

from harmonia_composer.engines.arranger.synth.kernels import Tone
from harmonia_composer.engines.arranger.synth.voice import Subtractive, Voice

SUSTAINED: dict[str, Voice] = {
    "violin": Subtractive(
        Tone(
            saw=1.0,
            noise=0.03,
            attack_s=0.06,
            decay_s=0.4,
            sustain=0.85,
            release_s=0.09,
            cutoff_hz=2200,
            sweep_octaves=-0.8,
            sweep_s=0.08,
            resonance=0.3,
            vibrato_cents=16,
            vibrato_hz=5.6,
            glide_cents=-25,
        )
    ),
    "cello": Subtractive(
        Tone(
            saw=1.0,
            noise=0.03,
            attack_s=0.08,
            decay_s=0.4,
            sustain=0.85,
            release_s=0.11,
            cutoff_hz=2000,
            sweep_octaves=-0.8,
            sweep_s=0.1,
            resonance=0.3,
            vibrato_cents=14,
            vibrato_hz=5.1,
            glide_cents=-20,
        )
    ),
    "strings": Subtractive(
        Tone(
            saw=1.0,
            voices=3,
            detune_cents=9,
            attack_s=0.22,
            decay_s=0.8,
            sustain=0.85,
            release_s=0.25,
            cutoff_hz=2200,
            resonance=0.1,
            vibrato_cents=6,
        )
    ),
    "flute": Subtractive(
        Tone(
            saw=0.1,
            sine=0.9,
            noise=0.1,
            attack_s=0.05,
            decay_s=0.3,
            sustain=0.85,
            release_s=0.08,
            cutoff_hz=2400,
            resonance=0.15,
            vibrato_cents=12,
            vibrato_hz=5.0,
            glide_cents=-20,
        )
    ),
    "clarinet": Subtractive(
        Tone(
            saw=0.0,
            pulse=0.8,
            noise=0.02,
            attack_s=0.04,
            decay_s=0.3,
            sustain=0.9,
            release_s=0.07,
            cutoff_hz=1900,
            resonance=0.2,
            vibrato_cents=5,
        )
    ),
    "saxophone": Subtractive(
        Tone(
            saw=0.8,
            pulse=0.2,
            width=0.35,
            noise=0.05,
            attack_s=0.035,
            decay_s=0.3,
            sustain=0.85,
            release_s=0.08,
            cutoff_hz=1900,
            sweep_octaves=0.4,
            sweep_s=0.1,
            resonance=0.35,
            vibrato_cents=12,
            glide_cents=-40,
        )
    ),
    "harmonica": Subtractive(
        Tone(
            saw=0.5,
            pulse=0.6,
            width=0.3,
            noise=0.04,
            attack_s=0.04,
            decay_s=0.3,
            sustain=0.9,
            release_s=0.07,
            cutoff_hz=2100,
            resonance=0.3,
            vibrato_cents=10,
            vibrato_hz=6.0,
            glide_cents=-35,
        )
    ),
    "accordion": Subtractive(
        Tone(
            saw=0.4,
            pulse=0.6,
            width=0.4,
            voices=2,
            detune_cents=14,
            attack_s=0.06,
            decay_s=0.3,
            sustain=0.95,
            release_s=0.09,
            cutoff_hz=1800,
            resonance=0.1,
        )
    ),
    "choir": Subtractive(
        Tone(
            saw=0.7,
            pulse=0.3,
            noise=0.03,
            voices=3,
            detune_cents=11,
            attack_s=0.25,
            decay_s=0.6,
            sustain=0.9,
            release_s=0.3,
            cutoff_hz=900,
            resonance=0.55,
            vibrato_cents=12,
            vibrato_hz=4.8,
        )
    ),
}

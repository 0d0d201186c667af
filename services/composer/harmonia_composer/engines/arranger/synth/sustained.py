"""Bowed, blown and sung: a dark and a bright spectrum with the formants of the body, breath, vibrato,
a slow start."""

from harmonia_composer.engines.arranger.synth.kernels import Pluck, Tone
from harmonia_composer.engines.arranger.synth.sound import Band, Sound
from harmonia_composer.engines.arranger.synth.tables import Waveform
from harmonia_composer.engines.arranger.synth.voice import String, Waves

# Air, main wood and bridge hill of a violin (Jansson); a cello's lie an octave and a half lower.
VIOLIN = ((280, 60, 5), (460, 70, 6), (700, 120, 3), (1100, 250, 2), (2600, 700, 7))
CELLO = ((105, 25, 4), (185, 40, 6), (380, 90, 4), (620, 150, 3), (1700, 500, 5))
AH = ((640, 130, 14), (1050, 140, 11), (2500, 300, 8), (3300, 350, 5))
OO = ((340, 110, 14), (720, 130, 8), (2400, 300, 1))

BOWED: dict[str, Sound] = {
    "violin": Sound(
        Waves(
            Tone(swell=0.45,
                attack_s=0.05, decay_s=0.4, sustain=0.9, release_s=0.07, noise=0.02, chiff=0.12, chiff_s=0.03,
                vibrato_cents=17, vibrato_hz=5.7, shake=0.25, scoop_cents=-22, blend=0.55, bloom=-0.3, bloom_s=0.07,
                cutoff_hz=9000),
            Waveform(formants=VIOLIN, corner_hz=2200, slope_db=12), Waveform(formants=VIOLIN, corner_hz=4500,
                slope_db=9, tilt=0.9), touch=0.35,
        ),
        slurs=False,
    ),
    "cello": Sound(
        Waves(
            Tone(swell=0.45,
                attack_s=0.07, decay_s=0.4, sustain=0.9, release_s=0.09, noise=0.02, chiff=0.1, chiff_s=0.04,
                vibrato_cents=14, vibrato_hz=5.2, shake=0.25, scoop_cents=-18, blend=0.5, bloom=-0.3, bloom_s=0.09,
                cutoff_hz=7000),
            Waveform(formants=CELLO, corner_hz=1300, slope_db=12), Waveform(formants=CELLO, corner_hz=3000,
                slope_db=9, tilt=0.9), touch=0.35,
        )
    ),
    "strings": Sound(
        Waves(
            Tone(swell=0.5,
                voices=2, attack_s=0.16, decay_s=0.8, sustain=0.9, release_s=0.22, spread=0.5, vibrato_cents=4,
                shake=0.1, blend=0.5, bloom=-0.25, bloom_s=0.2, cutoff_hz=9000, drift_cents=2, noise=0.012),
            Waveform(cents=13, formants=((300, 80, 3), (500, 120, 3), (2500, 800, 4)), corner_hz=1500, slope_db=10),
            Waveform(cents=13, formants=((300, 80, 3), (500, 120, 3), (2700, 900, 6)), corner_hz=4500, slope_db=9),
                touch=0.4,
        )
    ),
    "string stabs": Sound(
        Waves(
            Tone(voices=2, attack_s=0.03, decay_s=0.25, sustain=0.55, release_s=0.16, spread=0.5, chiff=0.08,
                chiff_s=0.03, blend=0.6, cutoff_hz=9000, drift_cents=2),
            Waveform(cents=12, formants=((500, 120, 3), (2500, 800, 4)), corner_hz=1800, slope_db=10),
            Waveform(cents=12, formants=((500, 120, 3), (2700, 900, 6)), corner_hz=5000, slope_db=9), touch=0.5,
        )
    ),
    "pizzicato strings": Sound(
        String(Pluck(tilt=2.5, ring_s=0.7, sparkle_s=0.12, hardness_hz=2600, position=0.3, noise=0.3, release_s=0.12)),
        (Band("low cut", 90), Band("peak", 280, 4, 2), Band("peak", 470, 4, 2.5), Band("high cut", 6500)),
            chorus=0.25,
    ),
}  # fmt: skip
BRASS: dict[str, Sound] = {
    "trumpet": Sound(
        Waves(
            Tone(swell=0.2,
                attack_s=0.028, decay_s=0.3, sustain=0.88, release_s=0.05, chiff=0.08, chiff_s=0.02,
                vibrato_cents=7, vibrato_hz=5.0, vibrato_delay_s=0.35, shake=0.15, scoop_cents=-30, scoop_s=0.02,
                blend=0.62, bloom=-0.45, bloom_s=0.035, cutoff_hz=10000),
            Waveform(tilt=1.2, corner_hz=900, slope_db=14, formants=((1200, 500, 5),)), Waveform(tilt=0.35,
                corner_hz=2400, slope_db=14, formants=((1300, 600, 5), (2600, 700, 3))), touch=0.3,
        )
    ),
    "muted trumpet": Sound(
        Waves(
            Tone(attack_s=0.03, decay_s=0.3, sustain=0.85, release_s=0.05, noise=0.01, vibrato_cents=8,
                vibrato_hz=5.2, vibrato_delay_s=0.3, shake=0.15, scoop_cents=-30, blend=0.55, bloom=-0.3,
                bloom_s=0.04, cutoff_hz=9000),
            Waveform(tilt=0.5, corner_hz=2600, slope_db=12, formants=((1600, 350, 10), (3000, 600, 5))),
                Waveform(tilt=0.3, corner_hz=3600, slope_db=12, formants=((1700, 400, 10), (3200, 600, 8))),
                touch=0.3,
        ),
        (Band("low cut", 450),),
    ),
    "trombone": Sound(
        Waves(
            Tone(swell=0.25,
                attack_s=0.04, decay_s=0.3, sustain=0.88, release_s=0.06, chiff=0.05, vibrato_cents=6,
                vibrato_hz=4.8, vibrato_delay_s=0.35, shake=0.15, scoop_cents=-40, blend=0.55, bloom=-0.4,
                bloom_s=0.05, glide_s=0.04, cutoff_hz=8000),
            Waveform(tilt=1.2, corner_hz=500, slope_db=14, formants=((520, 250, 5),)), Waveform(tilt=0.45,
                corner_hz=1400, slope_db=14, formants=((600, 300, 5),)), touch=0.3,
        )
    ),
    "french horn": Sound(
        Waves(
            Tone(swell=0.35,
                attack_s=0.06, decay_s=0.4, sustain=0.9, release_s=0.1, vibrato_cents=3, shake=0.1,
                scoop_cents=-25, blend=0.5, bloom=-0.35, bloom_s=0.07, cutoff_hz=6000),
            Waveform(tilt=1.3, corner_hz=450, slope_db=12, formants=((400, 150, 4),)), Waveform(tilt=0.7,
                corner_hz=900, slope_db=13, formants=((450, 200, 4),)), touch=0.3,
        )
    ),
    "brass": Sound(
        Waves(
            Tone(swell=0.25,
                voices=3, detune_cents=6, spread=0.5, drift_cents=4, attack_s=0.035, decay_s=0.3, sustain=0.85,
                release_s=0.07, chiff=0.05, scoop_cents=-35, blend=0.6, bloom=-0.45, bloom_s=0.045, cutoff_hz=9000),
            Waveform(tilt=1.2, corner_hz=700, slope_db=14, formants=((900, 400, 4),)), Waveform(tilt=0.4,
                corner_hz=2000, slope_db=14, formants=((1100, 500, 4),)), touch=0.4,
        )
    ),
}  # fmt: skip
WINDS: dict[str, Sound] = {
    "flute": Sound(
        Waves(
            Tone(swell=0.25,
                attack_s=0.045, decay_s=0.3, sustain=0.9, release_s=0.06, noise=0.05, chiff=0.25, chiff_s=0.025,
                vibrato_cents=9, vibrato_hz=5.1, shake=0.35, scoop_cents=-18, blend=0.5, cutoff_hz=3600, track=0.6),
            Waveform("partials", partials=(1, 0.22, 0.1, 0.03, 0.01)), Waveform("partials", partials=(1, 0.6, 0.35,
                0.16, 0.09, 0.05, 0.03)), touch=0.5,
        )
    ),
    "whistle": Sound(
        Waves(
            Tone(attack_s=0.05, sustain=0.95, release_s=0.06, noise=0.035, vibrato_cents=14, vibrato_hz=5.4,
                shake=0.2, scoop_cents=-60, scoop_s=0.04, blend=0.4, glide_s=0.05, cutoff_hz=6000),
            Waveform("partials", partials=(1, 0.03)), Waveform("partials", partials=(1, 0.16, 0.05)), touch=0.5,
        ),
        slurs=True,
    ),
    "clarinet": Sound(
        Waves(
            Tone(swell=0.25,
                attack_s=0.035, decay_s=0.3, sustain=0.92, release_s=0.05, noise=0.012, chiff=0.08,
                vibrato_cents=3, shake=0.1, blend=0.5, bloom=-0.2, bloom_s=0.05, cutoff_hz=7000),
            Waveform(even=0.06, corner_hz=900, slope_db=12), Waveform(even=0.3, corner_hz=2400, slope_db=12,
                formants=((1500, 500, 3),)), touch=0.4,
        )
    ),
    "oboe": Sound(
        Waves(
            Tone(swell=0.25,
                attack_s=0.03, decay_s=0.3, sustain=0.92, release_s=0.05, noise=0.008, vibrato_cents=9,
                vibrato_hz=5.3, shake=0.2, scoop_cents=-15, blend=0.5, cutoff_hz=9000),
            Waveform(tilt=0.8, corner_hz=1300, slope_db=12, formants=((1000, 300, 8), (2700, 500, 4))),
                Waveform(tilt=0.5, corner_hz=2400, slope_db=12, formants=((1100, 300, 9), (2900, 600, 8))),
                touch=0.35,
        )
    ),
    "saxophone": Sound(
        Waves(
            Tone(swell=0.25,
                attack_s=0.03, decay_s=0.3, sustain=0.88, release_s=0.06, noise=0.03, chiff=0.2, chiff_s=0.03,
                vibrato_cents=12, vibrato_hz=4.9, vibrato_delay_s=0.25, shake=0.3, scoop_cents=-45, scoop_s=0.035,
                blend=0.58, bloom=-0.3, bloom_s=0.05, cutoff_hz=8000),
            Waveform(tilt=1.0, even=0.8, corner_hz=900, slope_db=12, formants=((600, 200, 5), (1400, 350, 4))),
                Waveform(tilt=0.5, corner_hz=2400, slope_db=11, formants=((700, 250, 5), (1500, 400, 7), (3000, 600,
                4))), touch=0.35,
        )
    ),
    "harmonica": Sound(
        Waves(
            Tone(attack_s=0.035, decay_s=0.3, sustain=0.9, release_s=0.05, noise=0.02, vibrato_cents=8,
                vibrato_hz=5.8, shake=0.5, scoop_cents=-45, blend=0.5, cutoff_hz=7000),
            Waveform(width=0.24, corner_hz=1800, slope_db=10, formants=((900, 300, 4),)), Waveform(width=0.17,
                corner_hz=3600, slope_db=10, formants=((1900, 500, 6),)), touch=0.4,
        ),
        (Band("low cut", 250),), drive=1.0,
    ),
}  # fmt: skip
VOICES: dict[str, Sound] = {
    "choir": Sound(
        Waves(
            Tone(swell=0.35,
                voices=2, spread=0.5, attack_s=0.2, decay_s=0.6, sustain=0.92, release_s=0.28, noise=0.012,
                vibrato_cents=8, vibrato_hz=4.9, shake=0.12, blend=0.5, cutoff_hz=7000, drift_cents=3),
            Waveform(cents=22, tilt=1.2, corner_hz=3000, slope_db=8, formants=OO), Waveform(cents=22, tilt=1.05,
                corner_hz=5000, slope_db=8, formants=AH), touch=0.35,
        )
    ),
}  # fmt: skip

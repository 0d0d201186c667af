"""Kits: what each General MIDI drum is made of."""

from harmonia_composer.engines.arranger.groove import DRUMS
from harmonia_composer.engines.arranger.synth.kernels import Strike

HAT = Strike(metal=0.8, metal_hz=455, metal_s=0.028, length_s=0.16)
OPEN = Strike(metal=0.7, metal_hz=440, metal_s=0.16, length_s=0.6)
CRASH = Strike(metal=0.4, metal_hz=365, metal_s=0.5, noise=0.15, noise_hz=6500, noise_s=0.4, length_s=2.2)
RIDE = Strike(metal=0.28, metal_hz=510, metal_s=0.25, click=0.2, length_s=0.9)
RIM = Strike(
    body=0.5, from_hz=900, to_hz=780, body_s=0.012, click=0.4, noise=0.3, noise_hz=2600, noise_s=0.01, length_s=0.08
)
CLAP = Strike(noise=0.9, noise_hz=1500, noise_q=1.1, noise_s=0.075, bursts=3, length_s=0.4)
SHAKER = Strike(noise=0.5, noise_hz=6500, noise_q=0.9, noise_s=0.035, attack_s=0.016, length_s=0.2)
TAMBOURINE = Strike(metal=0.35, metal_hz=760, metal_s=0.07, noise=0.25, noise_hz=8000, noise_s=0.04, length_s=0.35)


def toms(size: float, ring_s: float) -> dict[str, Strike]:
    return {
        name: Strike(
            body=0.9,
            from_hz=hz * 1.6,
            to_hz=hz,
            sweep_s=0.05,
            body_s=ring_s,
            click=0.12,
            noise=0.12,
            noise_hz=900,
            noise_s=0.06,
            length_s=ring_s * 4,
        )
        for name, hz in (("low tom", 82 * size), ("mid tom", 110 * size), ("high tom", 150 * size))
    }


COMMON = {
    "hat": HAT,
    "open hat": OPEN,
    "crash": CRASH,
    "ride": RIDE,
    "rim": RIM,
    "clap": CLAP,
    "shaker": SHAKER,
    "tambourine": TAMBOURINE,
}
ACOUSTIC = (
    COMMON
    | toms(1.0, 0.16)
    | {
        "kick": Strike(
            body=1.0,
            from_hz=190,
            to_hz=58,
            sweep_s=0.022,
            body_s=0.13,
            click=0.3,
            noise=0.1,
            noise_hz=300,
            noise_s=0.03,
            length_s=0.5,
        ),
        "snare": Strike(
            body=0.5,
            from_hz=280,
            to_hz=185,
            sweep_s=0.015,
            body_s=0.07,
            click=0.25,
            noise=0.75,
            noise_hz=2600,
            noise_q=0.5,
            noise_s=0.085,
            length_s=0.45,
        ),
    }
)
LO_FI = (
    COMMON
    | toms(0.9, 0.14)
    | {
        "kick": Strike(
            body=1.0,
            from_hz=150,
            to_hz=52,
            sweep_s=0.03,
            body_s=0.15,
            click=0.1,
            noise=0.08,
            noise_hz=200,
            noise_s=0.03,
            length_s=0.55,
        ),
        "snare": Strike(
            body=0.6,
            from_hz=240,
            to_hz=165,
            sweep_s=0.02,
            body_s=0.08,
            click=0.12,
            noise=0.55,
            noise_hz=1700,
            noise_q=0.6,
            noise_s=0.07,
            length_s=0.4,
        ),
        "hat": Strike(metal=0.34, metal_hz=400, metal_s=0.022, noise=0.1, noise_hz=5000, noise_s=0.02, length_s=0.12),
    }
)
MACHINE = (
    COMMON
    | toms(1.0, 0.2)
    | {
        "kick": Strike(body=1.0, from_hz=320, to_hz=47, sweep_s=0.028, body_s=0.19, click=0.3, length_s=0.7),
        "snare": Strike(
            body=0.5,
            from_hz=250,
            to_hz=190,
            sweep_s=0.02,
            body_s=0.06,
            noise=0.7,
            noise_hz=3200,
            noise_q=0.5,
            noise_s=0.09,
            length_s=0.4,
        ),
        "hat": Strike(metal=0.5, metal_hz=540, metal_s=0.022, length_s=0.12),
    }
)
HANDS = (
    COMMON
    | toms(1.25, 0.12)
    | {
        "kick": Strike(
            body=1.0,
            from_hz=130,
            to_hz=72,
            sweep_s=0.02,
            body_s=0.1,
            click=0.12,
            noise=0.12,
            noise_hz=450,
            noise_s=0.03,
            length_s=0.4,
        ),
        "snare": Strike(
            body=0.4,
            from_hz=330,
            to_hz=230,
            sweep_s=0.012,
            body_s=0.05,
            click=0.2,
            noise=0.5,
            noise_hz=2200,
            noise_s=0.05,
            length_s=0.3,
        ),
    }
)


def by_pitch(kit: dict[str, Strike]) -> dict[int, Strike]:
    return {DRUMS[name]: strike for name, strike in kit.items()}


KITS: dict[str, dict[int, Strike]] = {
    "drum kit": by_pitch(ACOUSTIC),
    "drum machine": by_pitch(MACHINE),
    "hand percussion": by_pitch(HANDS),
    "lo-fi drums": by_pitch(LO_FI),
}
NEAREST = {
    "808 drums": "drum machine", "909 drums": "drum machine", "breakbeat drums": "drum kit",
    "electronic drums": "drum machine", "jazz drums": "drum kit", "latin percussion": "hand percussion",
    "orchestral percussion": "drum kit", "reggae drums": "drum kit", "rock drums": "drum kit",
}  # fmt: skip
KITS |= {name: KITS[other] for name, other in NEAREST.items()}
# Left and right as the drummer's audience sees them, -1 … 1.
PANS = {
    36: 0.0,
    38: 0.0,
    37: 0.25,
    39: 0.0,
    42: 0.35,
    46: 0.35,
    51: -0.4,
    49: -0.3,
    54: -0.4,
    70: 0.45,
    45: -0.3,
    47: 0.0,
    50: 0.3,
}

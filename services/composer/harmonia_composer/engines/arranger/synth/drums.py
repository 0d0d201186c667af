"""Kits: what each General MIDI drum is made of, struck by code.

A drum is a sweep, noise and metal (Strike) and, where it rings, the partials of its skin, bar or plate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer, Strike, floats

# General MIDI percussion, 35 to 81.
# Left and right as the drummer's audience sees them, -1 … 1.
PANS = {
    "rim": 0.1, "floor tom": -0.45, "low floor tom": -0.55, "hat": 0.35, "pedal hat": 0.35, "open hat": 0.35,
    "low tom": -0.3, "mid tom": 0.0, "upper tom": 0.2, "high tom": 0.35, "crash": -0.35, "other crash": 0.5,
    "ride": -0.4, "ride bell": -0.4, "other ride": -0.5, "china": 0.55, "splash": 0.1, "tambourine": -0.4,
    "cowbell": 0.25, "shaker": 0.45, "cabasa": -0.45, "high bongo": 0.3, "low bongo": 0.15, "mute conga": -0.2,
    "high conga": -0.25, "low conga": -0.4, "high timbale": 0.4, "low timbale": 0.3, "high agogo": 0.45,
    "low agogo": 0.4, "claves": 0.3, "high block": -0.3, "low block": -0.35, "triangle": -0.5, "mute triangle": -0.5,
    "short guiro": 0.35, "long guiro": 0.35,
}  # fmt: skip
# Modes of an ideal round skin over its lowest (Fletcher and Rossing, §3).
SKIN = (1.0, 1.594, 2.136, 2.296, 2.653, 2.918)
Modes = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Drum:
    """`modes`: hertz, level, seconds to fall by 1/e. `plate`: cymbal modes from, to hertz, level and seconds.

    `hz`: of a drum that has a pitch, which it takes from the key.
    """

    strike: Strike
    modes: Modes = ()
    plate: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    hz: float = 0.0

    @property
    def frames(self) -> int:
        ring_s = max((ring for *_, ring in self.modes), default=0.0)
        return int(max(self.strike.length_s, 6.0 * ring_s, 4.0 * self.plate[3]) * RATE)

    def sound(self, strength: float, seed: int) -> Buffer:
        """float32 [frames, 2], the same left and right, 48 kHz; 0 < strength <= 1."""
        bright = 0.35 + 0.85 * strength
        out = np.zeros((self.frames, 2), dtype=np.float32)
        kernels.strike(out, 0, 1.0, 1.0, bright, seed, floats(self.strike))
        partials = self._partials(bright, seed)
        if partials.size:
            kernels.modal(out, 0, out.shape[0], 1.0, 1.0, partials, 0.0004, 0.05, 0.0, 1000.0, 0.01, seed)
        fade = min(480, out.shape[0])
        out[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
        return out

    def _partials(self, bright: float, seed: int) -> NDArray[np.float64]:
        dice = np.random.default_rng(seed)
        rows = np.array(self.modes, dtype=np.float64).reshape(-1, 3)
        if rows.size:
            rows[:, 0] *= 1.0 + 0.004 * dice.standard_normal()
            rows[:, 1] *= np.maximum(1.0, rows[:, 0] / rows[0, 0]) ** (1.6 * (bright - 1.0))
        low, high, level, ring = self.plate
        if not level:
            return rows
        # A cymbal's modes lie evenly; its low ones ring longest, its shimmer is above 3 kHz.
        hz = np.sort(low * (high / low) ** np.random.default_rng(round(low)).uniform(0, 1, 56))
        weight = level / 7.0 * (0.35 + 0.65 * np.sqrt(hz / high)) * dice.uniform(0.5, 1.0, hz.size)
        weight *= (hz / low) ** (0.5 * (bright - 1.0))
        return np.vstack((rows, np.column_stack((hz, weight, ring * (low / hz) ** 0.4))))


def skin(hz: float, level: float, ring_s: float, *, count: int = 5, spread: float = 0.6) -> Modes:
    return tuple((hz * ratio, level * spread**n, ring_s / ratio**1.1) for n, ratio in enumerate(SKIN[:count]))


def tom(hz: float, ring_s: float) -> Drum:
    return Drum(
        Strike(body=0.8, from_hz=hz * 1.5, to_hz=hz, sweep_s=0.05, body_s=ring_s, click=0.15, noise=0.15,
               noise_hz=1200, noise_s=0.04, length_s=ring_s * 5),
        skin(hz * 1.02, 0.22, ring_s * 0.6),
    )  # fmt: skip


def toms(size: float, ring_s: float) -> dict[str, Drum]:
    hz = {"low floor tom": 68, "floor tom": 78, "low tom": 94, "mid tom": 115, "upper tom": 138, "high tom": 165}
    return {name: tom(one * size, ring_s) for name, one in hz.items()}


def hand_drum(hz: float, ring_s: float, slap: float) -> Drum:
    return Drum(
        Strike(body=0.5, from_hz=hz * 1.25, to_hz=hz, sweep_s=0.012, body_s=ring_s, click=0.3 * slap,
            noise=0.35 * slap,
               noise_hz=2600, noise_q=0.8, noise_s=0.018, length_s=max(0.25, ring_s * 5)),
        skin(hz * 1.5, 0.25, ring_s * 0.6, count=4),
    )  # fmt: skip


CLOSED = Drum(Strike(noise=0.55, noise_hz=8500, noise_high=1, noise_s=0.022, metal=0.25, metal_hz=455, metal_s=0.02,
                     length_s=0.16), plate=(3200, 15000, 0.5, 0.03))  # fmt: skip
OPENED = Drum(Strike(noise=0.4, noise_hz=8000, noise_high=1, noise_s=0.16, metal=0.2, metal_hz=440, metal_s=0.13,
                     length_s=0.7), plate=(2600, 15000, 0.6, 0.2))  # fmt: skip
PEDAL = Drum(
    Strike(noise=0.35, noise_hz=6500, noise_high=0.6, noise_s=0.03, length_s=0.2), plate=(2400, 11000, 0.3, 0.03)
)
CRASH = Drum(Strike(noise=0.4, noise_hz=5500, noise_high=1, noise_s=0.45, click=0.3, length_s=2.4),
             plate=(420, 14000, 0.9, 0.75))  # fmt: skip
SPLASH = Drum(
    Strike(noise=0.4, noise_hz=7000, noise_high=1, noise_s=0.2, click=0.3, length_s=1.0), plate=(900, 15000, 0.8, 0.3)
)
CHINA = Drum(
    Strike(noise=0.5, noise_hz=4500, noise_high=0.8, noise_s=0.35, click=0.3, length_s=2.0),
    plate=(350, 9000, 0.9, 0.45),
)
RIDE = Drum(Strike(noise=0.1, noise_hz=7000, noise_high=1, noise_s=0.25, click=0.5, length_s=1.6),
            ((1040, 0.10, 0.3), (2330, 0.12, 0.25), (3910, 0.12, 0.2)), (700, 12000, 0.35, 0.5))  # fmt: skip
BELL = Drum(
    Strike(click=0.5, length_s=1.6), ((1180, 0.3, 0.5), (1755, 0.2, 0.45), (2950, 0.2, 0.4)), (900, 11000, 0.25, 0.5)
)
RIM = Drum(Strike(body=0.35, from_hz=620, to_hz=480, body_s=0.012, click=0.5, noise=0.3, noise_hz=2600,
    noise_s=0.012, length_s=0.12),
           ((1720, 0.35, 0.014), (2440, 0.2, 0.01)))  # fmt: skip
CLAP = Drum(Strike(noise=0.9, noise_hz=1400, noise_q=1.2, noise_high=0.12, noise_s=0.075, bursts=3, length_s=0.4))
SHAKER = Drum(
    Strike(noise=0.5, noise_hz=7000, noise_q=0.9, noise_high=0.9, noise_s=0.035, attack_s=0.016, length_s=0.2)
)
CABASA = Drum(
    Strike(noise=0.5, noise_hz=7500, noise_q=1.0, noise_high=0.9, noise_s=0.05, attack_s=0.008, bursts=2, length_s=0.25)
)
TAMBOURINE = Drum(
    Strike(noise=0.3, noise_hz=8000, noise_high=0.7, noise_s=0.06, bursts=2, click=0.2, length_s=0.4),
    plate=(5200, 14000, 0.7, 0.1),
)
COWBELL = Drum(
    Strike(click=0.3, length_s=0.3), ((560, 0.5, 0.07), (845, 0.55, 0.06), (1690, 0.15, 0.03), (2400, 0.1, 0.03))
)
AGOGO = Drum(Strike(click=0.3, length_s=0.4), ((930, 0.5, 0.12), (2480, 0.3, 0.08), (3700, 0.1, 0.05)))
CLAVES = Drum(Strike(click=0.3, length_s=0.2), ((2480, 0.8, 0.024), (5100, 0.15, 0.01)))
BLOCK = Drum(Strike(click=0.35, length_s=0.2), ((920, 0.6, 0.028), (1560, 0.35, 0.02), (2900, 0.15, 0.01)))
TRIANGLE = Drum(
    Strike(click=0.2, length_s=2.0), ((1240, 0.1, 0.8), (3720, 0.25, 0.9), (6100, 0.25, 0.7), (9100, 0.2, 0.5))
)
GUIRO = Drum(Strike(noise=0.6, noise_hz=3800, noise_q=2.0, noise_s=0.05, bursts=9, length_s=0.35))
VIBRASLAP = Drum(Strike(noise=0.6, noise_hz=3000, noise_q=2.0, noise_s=0.2, bursts=20, length_s=0.8))
PEA = Drum(
    Strike(
        body=0.5,
        from_hz=2300,
        to_hz=2250,
        body_s=0.25,
        noise=0.3,
        noise_hz=2300,
        noise_q=6,
        noise_s=0.2,
        attack_s=0.01,
        length_s=0.4,
    )
)


def tuned(drum: Drum, factor: float, ring: float = 1.0) -> Drum:
    return replace(drum, modes=tuple((hz * factor, level, rings * ring) for hz, level, rings in drum.modes))


def choked(drum: Drum, ring: float) -> Drum:
    low, high, level, rings = drum.plate
    strike = drum.strike._replace(noise_s=drum.strike.noise_s * ring, metal_s=drum.strike.metal_s * ring)
    return Drum(strike, drum.modes, (low, high, level, rings * ring))


def snare(
    hz: float, *, wires: float = 0.8, wires_s: float = 0.11, ring_s: float = 0.06, wires_hz: float = 2600
) -> Drum:
    return Drum(
        Strike(body=0.45, from_hz=hz * 1.5, to_hz=hz, sweep_s=0.012, body_s=ring_s, click=0.35, noise=wires,
               noise_hz=wires_hz, noise_q=0.55, noise_high=0.45, noise_s=wires_s, length_s=0.5),
        skin(hz * 1.05, 0.2, ring_s, count=6, spread=0.75),
    )  # fmt: skip


def kick(
    to_hz: float, *, from_hz: float, sweep_s: float, body_s: float, click: float, drive: float = 0.0, skins: float = 0.0
) -> Drum:
    return Drum(
        Strike(body=1.0, from_hz=from_hz, to_hz=to_hz, sweep_s=sweep_s, body_s=body_s, click=click, drive=drive,
               noise=0.3 * click, noise_hz=2800, noise_q=0.8, noise_s=0.012, length_s=max(0.35, 5 * body_s)),
        skin(to_hz * 1.6, skins, body_s * 0.4) if skins else (),
    )  # fmt: skip


COMMON: dict[str, Drum] = {
    "rim": RIM, "clap": CLAP, "hat": CLOSED, "pedal hat": PEDAL, "open hat": OPENED, "crash": CRASH,
    "other crash": choked(CRASH, 0.85), "splash": SPLASH, "china": CHINA, "ride": RIDE, "other ride": choked(RIDE,
        0.8),
    "ride bell": BELL, "tambourine": TAMBOURINE, "cowbell": COWBELL, "vibraslap": VIBRASLAP,
    "high bongo": hand_drum(420, 0.05, 0.7), "low bongo": hand_drum(310, 0.07, 0.6),
    "mute conga": hand_drum(230, 0.035, 1.0), "high conga": hand_drum(225, 0.13, 0.5),
    "low conga": hand_drum(165, 0.17, 0.4), "high timbale": tuned(tom(330, 0.14), 1.3),
    "low timbale": tuned(tom(250, 0.17), 1.3), "high agogo": AGOGO, "low agogo": tuned(AGOGO, 0.72), "cabasa": CABASA,
    "shaker": SHAKER, "short whistle": PEA, "long whistle": PEA, "short guiro": choked(GUIRO, 0.5),
        "long guiro": GUIRO,
    "claves": CLAVES, "high block": BLOCK, "low block": tuned(BLOCK, 0.75), "mute cuica": hand_drum(480, 0.05, 0.2),
    "open cuica": hand_drum(380, 0.12, 0.1), "mute triangle": tuned(TRIANGLE, 1.0, 0.06), "triangle": TRIANGLE,
}  # fmt: skip


def kit(*, big: float = 1.0, ring_s: float = 0.16, **drums: Drum) -> dict[str, Drum]:
    """The common set with its own drums; what is not given is made of what is."""
    own = {name.replace("_", " "): drum for name, drum in drums.items()}
    whole = COMMON | toms(big, ring_s) | own
    return whole | {
        "low kick": own.get("low kick", whole["kick"]),
        "other snare": own.get("other snare", whole["snare"]),
    }


MACHINE_HAT = Drum(Strike(metal=0.6, metal_hz=540, metal_s=0.022, length_s=0.14))
MACHINE_OPEN = Drum(Strike(metal=0.55, metal_hz=540, metal_s=0.13, length_s=0.6))
MACHINE_CLAP = Drum(Strike(noise=1.0, noise_hz=1150, noise_q=1.6, noise_high=0.08, noise_s=0.1, bursts=4, length_s=0.5))
MACHINE_COWBELL = Drum(
    Strike(length_s=0.4), ((540, 0.5, 0.09), (800, 0.5, 0.09), (1620, 0.2, 0.05), (2400, 0.12, 0.04))
)
GATED = Drum(Strike(body=0.5, from_hz=290, to_hz=185, sweep_s=0.02, body_s=0.12, click=0.4, noise=0.75,
    noise_hz=2200, noise_q=0.5,
                    noise_high=0.35, noise_s=0.03, hold_s=0.17, length_s=0.4), skin(190, 0.2, 0.09))  # fmt: skip
BRUSHED = Drum(Strike(body=0.12, from_hz=260, to_hz=205, sweep_s=0.02, body_s=0.05, noise=0.5, noise_hz=3400,
    noise_q=0.5, noise_high=0.7,
                      noise_s=0.09, attack_s=0.012, length_s=0.5))  # fmt: skip
SWEPT = Drum(
    Strike(
        noise=0.4, noise_hz=4200, noise_q=0.5, noise_high=0.7, noise_s=0.12, hold_s=0.12, attack_s=0.08, length_s=0.7
    )
)


def timpano(hz: float) -> Drum:
    """Its kettle tunes the skin's modes to 1 : 1.5 : 2 : 2.44 (Rossing)."""
    modes = tuple(
        (hz * ratio, level, ring)
        for ratio, level, ring in ((1, 0.6, 0.7), (1.5, 0.45, 0.6), (1.98, 0.3, 0.5), (2.44, 0.2, 0.35))
    )
    return Drum(
        Strike(
            body=0.4,
            from_hz=hz * 1.1,
            to_hz=hz * 0.85,
            body_s=0.12,
            click=0.15,
            noise=0.15,
            noise_hz=500,
            noise_s=0.05,
            length_s=3.0,
        ),
        modes,
        hz=hz,
    )


def tuned_to(drum: Drum, tonic: int) -> Drum:
    """A drum that has a pitch on the tonic, fourth or fifth of the key nearest to its own: the player's pedal."""
    if not drum.hz:
        return drum
    pitch = 69 + 12 * np.log2(drum.hz / 440.0)
    wanted = [near for near in range(24, 72) if (near - tonic) % 12 in {0, 5, 7}]
    return timpano(float(440.0 * 2.0 ** ((min(wanted, key=lambda near: abs(near - pitch)) - 69) / 12)))


KITS: dict[str, dict[str, Drum]] = {
    "drum kit": kit(
        kick=kick(56, from_hz=170, sweep_s=0.018, body_s=0.12, click=0.45, skins=0.12), snare=snare(188),
            other_snare=snare(215, wires_s=0.09)
    ),
    "rock drums": kit(
        big=0.88, ring_s=0.24,
        kick=kick(52, from_hz=210, sweep_s=0.014, body_s=0.14, click=0.9, drive=0.35, skins=0.2),
        snare=snare(172, wires=0.95, wires_s=0.15, ring_s=0.1, wires_hz=2200), hat=choked(CLOSED, 1.5),
            crash=choked(CRASH, 1.2),
    ),
    "jazz drums": kit(
        big=1.2, ring_s=0.3,
        kick=kick(68, from_hz=120, sweep_s=0.02, body_s=0.16, click=0.12, skins=0.25), snare=BRUSHED,
            other_snare=snare(225, wires=0.45, wires_s=0.07),
        clap=SWEPT, hat=choked(PEDAL, 0.8), ride=choked(RIDE, 1.3), rim=RIM,
    ),
    "lo-fi drums": kit(
        big=0.95, ring_s=0.13,
        kick=kick(54, from_hz=150, sweep_s=0.03, body_s=0.14, click=0.12, drive=0.3),
        snare=snare(168, wires=0.5, wires_s=0.07, wires_hz=1700), rim=RIM,
        hat=Drum(Strike(noise=0.3, noise_hz=5200, noise_high=0.4, noise_s=0.018, metal=0.15, metal_hz=400,
            metal_s=0.02, length_s=0.12)),
        open_hat=Drum(Strike(noise=0.3, noise_hz=5000, noise_high=0.4, noise_s=0.11, metal=0.15, metal_hz=400,
            metal_s=0.1, length_s=0.5)),
    ),
    "drum machine": kit(
        ring_s=0.2, kick=kick(48, from_hz=300, sweep_s=0.026, body_s=0.17, click=0.4, drive=0.3),
        snare=Drum(Strike(body=0.5, from_hz=250, to_hz=190, sweep_s=0.02, body_s=0.06, click=0.2, noise=0.7,
            noise_hz=3200, noise_q=0.5, noise_high=0.4, noise_s=0.09, length_s=0.4)),
        hat=MACHINE_HAT, open_hat=MACHINE_OPEN, clap=MACHINE_CLAP, cowbell=MACHINE_COWBELL,
    ),
    "808 drums": kit(
        ring_s=0.3, kick=kick(46, from_hz=150, sweep_s=0.02, body_s=0.38, click=0.25, drive=0.25),
        snare=Drum(Strike(body=0.5, from_hz=260, to_hz=238, sweep_s=0.01, body_s=0.07, click=0.3, noise=0.7,
            noise_hz=5200, noise_q=0.5, noise_high=0.7, noise_s=0.08, length_s=0.4), ((476, 0.3, 0.045),)),
        hat=Drum(Strike(metal=0.65, metal_hz=620, metal_s=0.018, length_s=0.1)), open_hat=Drum(Strike(metal=0.6,
            metal_hz=620, metal_s=0.17, length_s=0.7)),
        clap=MACHINE_CLAP, cowbell=MACHINE_COWBELL, rim=tuned(CLAVES, 0.68), claves=CLAVES,
        crash=Drum(Strike(metal=0.5, metal_hz=500, metal_s=0.5, noise=0.2, noise_hz=7000, noise_high=1, noise_s=0.5,
            length_s=2.2)),
    ),
    "909 drums": kit(
        ring_s=0.22, kick=kick(49, from_hz=380, sweep_s=0.022, body_s=0.2, click=0.7, drive=0.55),
        snare=Drum(Strike(body=0.55, from_hz=340, to_hz=182, sweep_s=0.018, body_s=0.07, click=0.3, noise=0.75,
            noise_hz=3600, noise_q=0.5, noise_high=0.5, noise_s=0.12, length_s=0.5)),
        hat=choked(Drum(Strike(metal=0.45, metal_hz=590, metal_s=0.03, noise=0.3, noise_hz=9000, noise_high=1,
            noise_s=0.03, length_s=0.15)), 0.9),
        open_hat=Drum(Strike(metal=0.4, metal_hz=590, metal_s=0.19, noise=0.3, noise_hz=9000, noise_high=1,
            noise_s=0.18, length_s=0.8)),
        clap=MACHINE_CLAP, ride=Drum(Strike(metal=0.35, metal_hz=690, metal_s=0.4, noise=0.15, noise_hz=9000,
            noise_high=1, noise_s=0.3, length_s=1.4)),
    ),
    "electronic drums": kit(
        big=1.0, ring_s=0.32, kick=kick(54, from_hz=260, sweep_s=0.025, body_s=0.15, click=0.6, drive=0.4),
            snare=GATED,
        other_snare=GATED, hat=MACHINE_HAT, open_hat=MACHINE_OPEN, clap=MACHINE_CLAP, cowbell=MACHINE_COWBELL,
    ),
    "breakbeat drums": kit(
        big=1.1, ring_s=0.12, kick=kick(66, from_hz=190, sweep_s=0.014, body_s=0.085, click=0.5, drive=0.5,
            skins=0.15),
        snare=snare(228, wires=0.85, wires_s=0.09, ring_s=0.05, wires_hz=3000), hat=choked(CLOSED, 1.3),
            ride=choked(RIDE, 0.7),
    ),
    "reggae drums": kit(
        big=1.15, ring_s=0.13, kick=kick(60, from_hz=140, sweep_s=0.02, body_s=0.13, click=0.2, skins=0.15),
        snare=snare(250, wires=0.55, wires_s=0.06, ring_s=0.07, wires_hz=3200), hat=choked(CLOSED, 0.8),
        rim=tuned(RIM, 0.9, 1.6),
    ),
    "orchestral percussion": kit(
        big=0.7, ring_s=0.45,
        kick=Drum(Strike(body=1.0, from_hz=62, to_hz=44, sweep_s=0.08, body_s=0.42, click=0.08, noise=0.2,
            noise_hz=260, noise_s=0.09, length_s=2.2), skin(58, 0.3, 0.4)),
        snare=snare(205, wires=0.7, wires_s=0.13, ring_s=0.09), hat=TAMBOURINE, crash=choked(CRASH, 1.5),
        floor_tom=timpano(73.4), low_floor_tom=timpano(65.4), low_tom=timpano(87.3), mid_tom=timpano(98),
            upper_tom=timpano(110), high_tom=timpano(130.8),
        open_hat=TRIANGLE,
    ),
    "hand percussion": kit(
        big=1.25, ring_s=0.12, kick=hand_drum(74, 0.12, 0.35), snare=hand_drum(235, 0.06, 1.0), hat=SHAKER,
            open_hat=TAMBOURINE,
        low_kick=hand_drum(66, 0.14, 0.3),
    ),
    "latin percussion": kit(
        big=1.3, ring_s=0.12, kick=kick(64, from_hz=120, sweep_s=0.02, body_s=0.12, click=0.2, skins=0.15),
        snare=hand_drum(228, 0.1, 0.8), rim=tuned(RIM, 0.85, 1.8), hat=SHAKER, open_hat=CABASA, clap=hand_drum(230,
            0.035, 1.2),
    ),
}  # fmt: skip

"""Keys, bars and bells: electric piano by frequency modulation, the rest from ringing or held partials."""

from harmonia_composer.engines.arranger.synth.kernels import Fm
from harmonia_composer.engines.arranger.synth.voice import Bent, Struck, Voice

# Twelve partials, stretched as stiff strings stretch them (B = 0.0004).
PIANO = tuple((n * (1 + 0.0004 * n * n) ** 0.5, 0.9 / n**1.15, 2.2 / n**0.6) for n in range(1, 11))
KEYS: dict[str, Voice] = {
    "electric piano": Bent(
        Fm(ratio=1.0, bend=1.1, bend_s=0.9, decay_s=2.2, release_s=0.14, tine=0.12, tine_s=0.09, tremolo=0.12)
    ),
    "piano": Struck(PIANO, attack_s=0.002, release_s=0.12, touch=1.4),
    "organ": Struck(
        ((0.5, 0.5, 0), (1, 0.8, 0), (1.5, 0.25, 0), (2, 0.5, 0), (3, 0.3, 0), (4, 0.25, 0), (6, 0.1, 0), (8, 0.08, 0)),
        attack_s=0.008,
        release_s=0.03,
        touch=0.3,
    ),
    "vibraphone": Struck(((1, 1.0, 2.4), (3.98, 0.22, 0.7), (9.8, 0.05, 0.12)), attack_s=0.002, release_s=0.4),
    "marimba": Struck(((1, 1.0, 0.35), (3.93, 0.3, 0.12), (9.2, 0.1, 0.04)), release_s=0.2),
    "kalimba": Struck(((1, 1.0, 0.9), (2.01, 0.12, 0.4), (5.4, 0.18, 0.08), (8.2, 0.08, 0.03)), release_s=0.3),
    "glockenspiel": Struck(((1, 1.0, 1.8), (2.71, 0.35, 0.9), (5.15, 0.15, 0.35)), release_s=0.6),
    "music box": Struck(((1, 1.0, 1.6), (2.0, 0.15, 0.8), (4.2, 0.22, 0.2), (6.8, 0.1, 0.06)), release_s=0.5),
    "bells": Bent(
        Fm(ratio=3.5, bend=1.6, bend_s=0.9, decay_s=1.8, release_s=0.5, tine_ratio=7.0, tine=0.1, tine_s=0.3)
    ),
}

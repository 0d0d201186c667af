"""Plucked strings."""

from harmonia_composer.engines.arranger.synth.kernels import Pluck
from harmonia_composer.engines.arranger.synth.voice import String, Voice

PLUCKED: dict[str, Voice] = {
    "acoustic guitar": String(Pluck(ring_s=4.0, bright=0.5, position=0.2, release_s=0.1, body=0.7)),
    "nylon guitar": String(Pluck(ring_s=2.6, bright=0.48, position=0.24, release_s=0.1, body=0.8)),
    "electric guitar": String(Pluck(ring_s=4.5, bright=0.6, position=0.12, release_s=0.08, body=0.05)),
    "banjo": String(Pluck(ring_s=1.0, bright=0.9, position=0.08, release_s=0.08, body=0.15)),
    "mandolin": String(Pluck(ring_s=1.3, bright=0.6, position=0.14, release_s=0.08, body=0.35)),
    "ukulele": String(Pluck(ring_s=1.4, bright=0.55, position=0.22, release_s=0.08, body=0.5)),
    "harp": String(Pluck(ring_s=4.0, bright=0.55, position=0.35, release_s=0.5, body=0.25)),
    "upright bass": String(Pluck(ring_s=2.2, bright=0.12, position=0.4, release_s=0.07, body=0.5)),
    "electric bass": String(Pluck(ring_s=2.8, bright=0.55, position=0.2, release_s=0.06, body=0.1)),
}

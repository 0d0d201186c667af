"""The voice of every instrument that plays pitches."""

from harmonia_composer.engines.arranger.synth.keys import KEYS
from harmonia_composer.engines.arranger.synth.plucked import PLUCKED
from harmonia_composer.engines.arranger.synth.sustained import SUSTAINED
from harmonia_composer.engines.arranger.synth.synthesizers import SYNTHESIZERS
from harmonia_composer.engines.arranger.synth.voice import Voice

OWN: dict[str, Voice] = KEYS | PLUCKED | SUSTAINED | SYNTHESIZERS
NEAREST = {
    "808 bass": "sub bass", "analog brass": "synth stab", "bowed pad": "synth pad", "brass": "saxophone",
    "celesta": "glockenspiel", "church organ": "organ", "clavinet": "banjo", "distorted guitar": "electric guitar",
    "fm bass": "synth bass", "fm piano": "electric piano", "french horn": "clarinet", "glass pad": "synth pad",
    "harpsichord": "banjo", "jazz guitar": "electric guitar", "muted guitar": "electric guitar", "oboe": "harmonica",
    "picked bass": "electric bass", "pizzicato strings": "harp", "pluck synth": "arpeggio synth",
    "reese bass": "synth bass", "slap bass": "electric bass", "square lead": "synth lead", "string stabs": "strings",
    "supersaw": "synth pad", "sweep pad": "synth pad", "trombone": "saxophone", "trumpet": "saxophone",
    "muted trumpet": "harmonica", "warm pad": "synth pad", "whistle": "flute", "wurlitzer": "electric piano",
    "xylophone": "marimba",
}  # fmt: skip
VOICES: dict[str, Voice] = OWN | {name: OWN[other] for name, other in NEAREST.items()}

"""The voice of every instrument that plays pitches."""

from harmonia_composer.engines.arranger.synth.keys import KEYS
from harmonia_composer.engines.arranger.synth.plucked import PLUCKED
from harmonia_composer.engines.arranger.synth.sustained import SUSTAINED
from harmonia_composer.engines.arranger.synth.synthesizers import SYNTHESIZERS
from harmonia_composer.engines.arranger.synth.voice import Voice

VOICES: dict[str, Voice] = KEYS | PLUCKED | SUSTAINED | SYNTHESIZERS

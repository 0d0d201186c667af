"""The sound of every instrument that plays pitches."""

from harmonia_composer.engines.arranger.synth.keys import KEYS
from harmonia_composer.engines.arranger.synth.mallets import MALLETS
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.strings import BASSES, GUITARS, PLUCKED
from harmonia_composer.engines.arranger.synth.sustained import BOWED, BRASS, VOICES, WINDS
from harmonia_composer.engines.arranger.synth.synthesizers import SYNTHESIZERS

SOUNDS: dict[str, Sound] = KEYS | MALLETS | GUITARS | PLUCKED | BASSES | BOWED | BRASS | WINDS | VOICES | SYNTHESIZERS

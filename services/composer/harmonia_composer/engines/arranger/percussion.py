"""The drums by name, and their pitches in General MIDI. Pure data."""

DRUMS = {
    "low kick": 35, "kick": 36, "rim": 37, "snare": 38, "clap": 39, "other snare": 40, "floor tom": 41, "hat": 42,
    "low floor tom": 43, "pedal hat": 44, "low tom": 45, "open hat": 46, "mid tom": 47, "upper tom": 48, "crash": 49,
    "high tom": 50, "ride": 51, "china": 52, "ride bell": 53, "tambourine": 54, "splash": 55, "cowbell": 56,
    "other crash": 57, "vibraslap": 58, "other ride": 59, "high bongo": 60, "low bongo": 61, "mute conga": 62,
    "high conga": 63, "low conga": 64, "high timbale": 65, "low timbale": 66, "high agogo": 67, "low agogo": 68,
    "cabasa": 69, "shaker": 70, "short whistle": 71, "long whistle": 72, "short guiro": 73, "long guiro": 74,
    "claves": 75, "high block": 76, "low block": 77, "mute cuica": 78, "open cuica": 79, "mute triangle": 80,
    "triangle": 81,
}  # fmt: skip

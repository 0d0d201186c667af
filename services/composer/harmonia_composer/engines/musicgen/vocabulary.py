"""Words that the model is told and leans towards: those the lyricist reads from prompts. Pure."""

GENRES = (
    "ambient", "bossa nova", "cinematic", "drum and bass", "folk", "funk", "house", "jazz", "lo-fi hip-hop", "metal",
    "pop", "reggae", "rock", "synthwave", "techno", "trap", "waltz",
)  # fmt: skip
MOODS = (
    "aggressive", "angry", "bright", "calm", "cold", "dark", "dreamy", "energetic", "epic", "ethereal", "festive",
    "gritty", "groovy", "happy", "hopeful", "hypnotic", "intimate", "lonely", "melancholic", "mysterious", "nocturnal",
    "nostalgic", "peaceful", "playful", "rainy", "rebellious", "relaxed", "romantic", "sad", "sensual", "spooky",
    "summery", "tense", "triumphant", "uplifting", "warm", "wintry",
)  # fmt: skip
INSTRUMENTS = (
    "accordion", "acoustic guitar", "banjo", "bass", "bells", "brass", "cello", "choir", "clarinet", "clavinet",
    "distorted guitar", "drum machine", "drums", "electric bass", "electric guitar", "electric piano", "fiddle",
    "flute", "glockenspiel", "guitar", "hand percussion", "harmonica", "harp", "harpsichord", "kalimba", "keys",
    "mandolin", "marimba", "music box", "nylon guitar", "organ", "percussion", "piano", "saxophone", "shaker", "sitar",
    "strings", "sub bass", "synth", "synth bass", "synth lead", "synth pad", "timpani", "trombone", "trumpet",
    "ukulele", "upright bass", "vibraphone", "violin",
)  # fmt: skip

"""Techno: four on the floor, a chord that hardly moves, sixteenths that never stop, a filter that tells the story.

Its sections bear the names every genre uses, so that words and overrides fit: a chorus here is what dancers call a
drop.
"""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan

FOUR = "X...X...X...X..."

TECHNO = Genre(
    name="techno",
    bpm=(124, 138),
    minor_share=1.0,
    chord_size=3,
    progressions={
        "minor": {
            "verse": ("I I I I", "I I I IV"),
            "chorus": ("I I IV I", "I I VI I", "I I I IV"),
            "bridge": ("I I IV IV", "VI VI I I"),
        },
        "major": {
            "verse": ("I I I I", "I I I IV"),
            "chorus": ("I I IV I", "I I II I"),
            "bridge": ("IV IV I I",),
        },
    },
    cadences={"verse": "I", "chorus": "V+", "bridge": "V+", "build": "V+", "intro": "I", "outro": "V+"},
    forms=(
        (("verse", 4), ("chorus", 4)),
        (("intro", 4), ("verse", 4), ("chorus", 8)),
        (("intro", 4), ("verse", 8), ("build", 4), ("chorus", 12), ("outro", 4)),
        (("intro", 8), ("verse", 8), ("build", 4), ("chorus", 16), ("bridge", 8), ("chorus", 16), ("outro", 8)),
        (
            ("intro", 8),
            ("verse", 16),
            ("build", 8),
            ("chorus", 16),
            ("bridge", 16),
            ("build", 8),
            ("chorus", 24),
            ("outro", 8),
        ),
    ),
    energies={
        "intro": (0.3, 0.5),
        "verse": (0.5, 0.6),
        "build": (0.45, 0.75),
        "chorus": (0.95, 1.0),
        "bridge": (0.25, 0.5),
        "outro": (0.5, 0.25),
    },
    layers={
        "intro": ("drums", "arp"),
        "verse": ("drums", "bass", "arp"),
        "build": ("drums", "arp", "chords", "pad", "texture"),
        "chorus": ("drums", "bass", "chords", "arp", "lead"),
        "bridge": ("pad", "chords", "lead", "texture"),
        "outro": ("drums", "bass", "arp"),
    },
    parts=(
        PartPlan("drums", "drums", ("drum machine",), Mix(-19, width=0.5, reverb=0.04, drive=0.3, high_db=9)),
        PartPlan(
            "bass",
            "bass",
            ("synth bass", "acid bass"),
            Mix(-20.5, width=0.0, drive=0.3, duck_db=9),
            ("R...R...R...R...", "R.R..R.RR.R..R.R", "R.RRR.RRR.RRR.8R"),
            register=36,
            velocity=92,
        ),
        PartPlan(
            "chords",
            "comp",
            ("synth stab", "organ"),
            Mix(-21.5, pan=0.05, width=0.6, reverb=0.22, delay=0.35, duck_db=4, low_cut_hz=200),
            ("..........C.....", "...C..C.......C.", "..C..C..C..C..C."),
            register=63,
            velocity=84,
        ),
        PartPlan(
            "arp",
            "comp",
            ("arpeggio synth", "bells"),
            Mix(-22.5, pan=-0.2, width=0.4, reverb=0.12, delay=0.25, duck_db=3, low_cut_hz=250),
            ("0.2.1.2.0.2.1.3.", "012.201.012.3012", "0121320121302132"),
            register=67,
            velocity=80,
        ),
        PartPlan(
            "lead",
            "melody",
            ("synth lead", "acid lead"),
            Mix(-22, pan=0.1, width=0.3, reverb=0.15, delay=0.3, duck_db=3, low_cut_hz=220),
            register=69,
            velocity=86,
        ),
        PartPlan(
            "pad",
            "pad",
            ("synth pad", "choir"),
            Mix(-24, width=0.8, reverb=0.45, chorus=0.3, duck_db=5, low_cut_hz=160),
            register=62,
            velocity=70,
        ),
        PartPlan("texture", "texture", ("noise riser",), Mix(-29, width=0.6, reverb=0.2)),
    ),
    beats=(
        ({"kick": FOUR, "hat": "..x...x...x...x."},),
        (
            {"kick": FOUR, "hat": "o.x.o.x.o.x.o.x.", "clap": "....x.......x..."},
            {"kick": FOUR, "hat": "oox.oox.oox.oox.", "rim": "...x......x....."},
        ),
        (
            {
                "kick": FOUR,
                "open hat": "..X...X...X...X.",
                "hat": "ox.oox.oox.oox.o",
                "clap": "....X.......X...",
                "rim": "...o..?....o..?.",
            },
            {
                "kick": FOUR,
                "open hat": "..X...X...X...X.",
                "hat": "oo.xoo.xoo.xoo.x",
                "clap": "....X.......X..?",
                "ride": "x...x...x...x...",
            },
        ),
    ),
    fills=(
        {"kick": "X...X...X.......", "clap": "....X.......X.xX", "hat": "..x...x...x.xxxx"},
        {"kick": FOUR, "clap": "....X...x.x.xxXX"},
        {"kick": "X...X...", "low tom": "........x..x..x.", "hat": "..x...x...x...x."},
    ),
    ghosts=(("rim", 3), ("rim", 11), ("hat", 15), ("rim", 6), ("clap", 15)),
    motifs=("x-.x-.x-..x-.x-.", "x-x-..x-x-..x-..", "..x-..x-..x-x-x-", "x--x--x--x--x-x-", "x-----..x-x-...."),
    same_bars=True,
    spread_s=0.0055,
    depth_db=5.0,
    room_s=1.8,
)

"""House: four on the floor, an open hat between, a clap on two and four, chords that push ahead of the beat."""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan

FOUR = "X...X...X...X..."
OFFBEAT = "..X...X...X...X."

HOUSE = Genre(
    name="house",
    bpm=(118, 128),
    minor_share=0.6,
    chord_size=4,
    progressions={
        "minor": {
            "verse": ("I I IV V+", "I VI IV V+", "I IV I V+"),
            "chorus": ("I VI III VII", "I IV VI V+", "VI VII I I"),
            "bridge": ("IV IV I V+", "VI VII IV V+"),
        },
        "major": {
            "verse": ("I IV I V", "I VI II V", "I I IV V"),
            "chorus": ("IV V I VI", "I VI IV V", "II V I VI"),
            "bridge": ("II IV VI V", "IV IV II V"),
        },
    },
    cadences={"verse": "V+", "chorus": "V+", "bridge": "V+", "build": "V+", "intro": "V+", "outro": "V+"},
    forms=(
        (("verse", 4), ("chorus", 4)),
        (("intro", 4), ("verse", 4), ("chorus", 8)),
        (("intro", 4), ("verse", 8), ("build", 4), ("chorus", 12), ("outro", 4)),
        (("intro", 8), ("verse", 8), ("build", 8), ("chorus", 16), ("bridge", 8), ("chorus", 16), ("outro", 8)),
        (
            ("intro", 16),
            ("verse", 16),
            ("build", 8),
            ("chorus", 16),
            ("bridge", 16),
            ("build", 8),
            ("chorus", 16),
            ("outro", 16),
        ),
    ),
    energies={
        "intro": (0.35, 0.5),
        "verse": (0.5, 0.58),
        "build": (0.45, 0.8),
        "chorus": (0.97, 1.0),
        "bridge": (0.3, 0.5),
        "outro": (0.55, 0.3),
    },
    layers={
        "intro": ("drums", "chords"),
        "verse": ("drums", "bass", "chords"),
        "build": ("drums", "chords", "pad", "texture", "arp"),
        "chorus": ("drums", "bass", "chords", "arp", "lead", "pad"),
        "bridge": ("chords", "pad", "lead"),
        "outro": ("drums", "bass", "chords"),
    },
    parts=(
        PartPlan("drums", "drums", ("drum machine",), Mix(-18, width=0.45, reverb=0.06, drive=0.2, high_db=5)),
        PartPlan(
            "bass",
            "bass",
            ("synth bass", "electric bass"),
            Mix(-19.5, width=0.0, drive=0.15, duck_db=6, high_db=-6),
            ("R.....R.......R.", "R..R..R...R.8.a.", "R.8.R.8R.R8.5.8a"),
            register=37,
            velocity=90,
        ),
        PartPlan(
            "chords",
            "comp",
            ("piano", "organ", "electric piano"),
            Mix(-19.5, pan=-0.05, width=0.55, reverb=0.16, delay=0.12, duck_db=5, low_cut_hz=160, high_db=2),
            ("C-----..........", "C--C--C---......", "C--C--C-.C-C--C-"),
            register=62,
            velocity=88,
        ),
        PartPlan(
            "arp",
            "comp",
            ("arpeggio synth", "synth stab"),
            Mix(-24, pan=0.3, width=0.5, reverb=0.15, delay=0.3, duck_db=4, low_cut_hz=280),
            ("..0...2...1...3.", "0..2..1..3..2.1.", "0.23.12.0.23.13."),
            register=70,
            velocity=76,
        ),
        PartPlan(
            "lead",
            "melody",
            ("synth lead", "vibraphone", "saxophone"),
            Mix(-21.5, pan=0.05, width=0.3, reverb=0.2, delay=0.3, duck_db=3, low_cut_hz=200),
            register=70,
            velocity=84,
        ),
        PartPlan(
            "pad",
            "pad",
            ("strings", "synth pad"),
            Mix(-24, width=0.8, reverb=0.3, chorus=0.3, duck_db=6, low_cut_hz=200, high_db=2),
            register=66,
            velocity=68,
        ),
        PartPlan("texture", "texture", ("noise riser",), Mix(-29, width=0.6, reverb=0.2)),
    ),
    beats=(
        ({"kick": FOUR, "open hat": OFFBEAT},),
        (
            {"kick": FOUR, "clap": "....X.......X...", "open hat": OFFBEAT, "shaker": "x.o.x.o.x.o.x.o."},
            {"kick": FOUR, "clap": "....X.......X..?", "open hat": OFFBEAT, "shaker": "x.oox.o.x.o.x.oo"},
        ),
        (
            {
                "kick": FOUR,
                "clap": "....X.......X...",
                "snare": "....x.......x...",
                "open hat": OFFBEAT,
                "hat": "x..xx..xx..xx..x",
                "tambourine": "..x...x...x...x.",
            },
            {
                "kick": FOUR,
                "clap": "....X.......X..x",
                "snare": "....x.......x...",
                "open hat": OFFBEAT,
                "hat": "x.oxx..xx.oxx..x",
                "rim": "...x..x....x..?.",
            },
        ),
    ),
    fills=(
        {"kick": "X...X...X.......", "clap": "....X.......X.XX", "snare": "........x.x.xxXX"},
        {"kick": FOUR, "clap": "....X...X.X.XXXX"},
        {"kick": "X...X...", "open hat": "..X...X...X...X.", "low tom": "........x..x..x."},
    ),
    ghosts=(("rim", 3), ("hat", 7), ("rim", 10), ("shaker", 15), ("clap", 15)),
    motifs=(
        "x--x--x---x-x---",
        "..x-..x-..x-x---",
        "x--x--x-........",
        "x-x-..x-x-..x---",
        "x-----x--x--x---",
        "x--x--x--x--x-x-",
    ),
    swing=0.12,
    same_bars=True,
    spread_s=0.0055,
    depth_db=5.0,
    room_s=1.5,
)

"""Waltz: one strong step and two light ones, an old tune on violin or accordion, a turn at the end of the line."""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan

WALTZ = Genre(
    name="waltz",
    bpm=(132, 180),
    minor_share=0.4,
    chord_size=3,
    progressions={
        "major": {
            "verse": ("I I V+ V+", "I VI II V+", "I IV V+ I"),
            "chorus": ("IV I V+ I", "I I II V+", "I IV I V+"),
            "bridge": ("VI II V+ I", "IV IV I V+"),
        },
        "minor": {
            "verse": ("I I V+ V+", "I IV V+ I", "I VI II V+"),
            "chorus": ("IV I V+ I", "I I IV V+", "I IV I V+"),
            "bridge": ("VI III IV V+", "IV IV I V+"),
        },
    },
    cadences={"verse": "V+", "chorus": "V+", "bridge": "V+", "intro": "V+", "outro": "V+"},
    forms=(
        (("verse", 8), ("chorus", 8)),
        (("intro", 4), ("verse", 8), ("chorus", 8)),
        (("intro", 4), ("verse", 16), ("chorus", 16), ("outro", 4)),
        (("intro", 8), ("verse", 16), ("chorus", 16), ("verse", 16), ("chorus", 16), ("outro", 8)),
        (("intro", 8), ("verse", 32), ("chorus", 16), ("bridge", 16), ("verse", 16), ("chorus", 32), ("outro", 8)),
    ),
    energies={
        "intro": (0.4, 0.45),
        "verse": (0.48, 0.55),
        "chorus": (0.95, 1.0),
        "bridge": (0.4, 0.65),
        "outro": (0.7, 0.4),
    },
    layers={
        "intro": ("chords", "bass"),
        "verse": ("chords", "bass", "lead"),
        "chorus": ("chords", "bass", "lead", "pad", "arp", "drums"),
        "bridge": ("chords", "bass", "lead", "pad"),
        "outro": ("chords", "bass", "lead", "pad"),
    },
    parts=(
        PartPlan("drums", "drums", ("hand percussion",), Mix(-25, width=0.35, reverb=0.2, high_db=-8)),
        PartPlan(
            "bass",
            "bass",
            ("upright bass", "cello"),
            Mix(-19.5, width=0.1, reverb=0.08, high_db=-8),
            ("R-----------....", "R---....5---....", "R---....R---..a-"),
            register=40,
            velocity=84,
        ),
        PartPlan(
            "chords",
            "comp",
            ("piano", "accordion"),
            Mix(-20, pan=-0.15, width=0.5, reverb=0.2, low_cut_hz=120, high_db=-5),
            ("....C-..C-......", "....C-..C-......", "....C-..C-..C-.."),
            register=62,
            velocity=74,
        ),
        PartPlan(
            "arp",
            "comp",
            ("harp", "glockenspiel"),
            Mix(-26, pan=0.3, width=0.4, reverb=0.3, low_cut_hz=200, high_db=-6),
            ("0-2-3-4-....", "0-1-2-3-4-3-", "0-1-2-3-4-5-"),
            register=70,
            velocity=66,
        ),
        PartPlan(
            "lead",
            "melody",
            ("violin", "accordion", "clarinet"),
            Mix(-19.5, pan=0.12, width=0.25, reverb=0.25, low_cut_hz=170, high_db=-6),
            register=72,
            velocity=84,
        ),
        PartPlan(
            "pad",
            "pad",
            ("strings",),
            Mix(-22.5, width=0.75, reverb=0.3, low_cut_hz=150, high_db=-8),
            register=63,
            velocity=66,
        ),
    ),
    beats=(
        ({"kick": "x...............", "tambourine": "....o...o......."},),
        (
            {"kick": "x...............", "tambourine": "....x...x......."},
            {"kick": "x...............", "tambourine": "....x...x...o..."},
        ),
        (
            {"kick": "X...............", "tambourine": "....x...x......."},
            {"kick": "X.........o.....", "tambourine": "....x.o.x......."},
        ),
    ),
    fills=({"kick": "x...............", "tambourine": "....x.x.x.x....."},),
    ghosts=(("tambourine", 6), ("tambourine", 10), ("kick", 10), ("low tom", 8)),
    motifs=(
        "x-------x-------",
        "x---x---x-------",
        "x-----x-x-x-....",
        "x-------x-x-....",
        "x---x---x---....",
        "x-x-x-x-x-x-....",
    ),
    spread_s=0.01,
    depth_db=6.0,
    room_s=2.0,
)

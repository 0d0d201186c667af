"""Cinematic: a quiet idea that a whole orchestra ends up believing. Pulses below, strings and brass above."""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan

CINEMATIC = Genre(
    name="cinematic",
    bpm=(72, 108),
    minor_share=0.75,
    chord_size=3,
    progressions={
        "minor": {
            "verse": ("I VI III VII", "I I VI VI", "I VI IV V+"),
            "chorus": ("I VI III VII", "VI VII I I", "I III VI V+"),
            "bridge": ("IV VI I V+", "VI III IV V+"),
        },
        "major": {
            "verse": ("I VI IV I", "I I IV I", "VI IV I V"),
            "chorus": ("I V IV I", "IV V I VI", "I V VI IV"),
            "bridge": ("II IV VI V", "VI IV II V"),
        },
    },
    cadences={"verse": "V+", "chorus": "Vsus/V+", "bridge": "Vsus/V+", "intro": "V+", "outro": "Vsus/V+"},
    forms=(
        (("verse", 4), ("chorus", 4)),
        (("intro", 4), ("verse", 4), ("chorus", 4)),
        (("intro", 4), ("verse", 8), ("chorus", 8), ("outro", 4)),
        (("intro", 8), ("verse", 8), ("bridge", 8), ("chorus", 16), ("outro", 4)),
        (("intro", 8), ("verse", 8), ("chorus", 8), ("bridge", 8), ("verse", 8), ("chorus", 16), ("outro", 8)),
    ),
    energies={
        "intro": (0.2, 0.35),
        "verse": (0.4, 0.6),
        "chorus": (0.93, 1.0),
        "bridge": (0.35, 0.75),
        "outro": (0.6, 0.2),
    },
    layers={
        "intro": ("pad", "lead"),
        "verse": ("pad", "arp", "bass", "lead"),
        "chorus": ("drums", "pad", "arp", "bass", "lead", "chords"),
        "bridge": ("pad", "arp", "drums", "chords"),
        "outro": ("pad", "lead", "bass"),
    },
    parts=(
        PartPlan("drums", "drums", ("hand percussion",), Mix(-19.5, width=0.7, reverb=0.45, drive=0.1, high_db=-8)),
        PartPlan(
            "bass",
            "bass",
            ("cello", "upright bass"),
            Mix(-20, width=0.15, reverb=0.2, high_db=-6),
            ("R---------------", "R-------R-------", "R---R---R---R---"),
            register=38,
            velocity=84,
        ),
        PartPlan(
            "chords",
            "comp",
            ("choir", "organ"),
            Mix(-21, pan=0.0, width=0.9, reverb=0.45, low_cut_hz=130, high_db=-3),
            ("C---------------", "C-------C-------", "C-------C---C---"),
            register=62,
            velocity=84,
        ),
        PartPlan(
            "arp",
            "comp",
            ("strings", "piano", "harp"),
            Mix(-23, pan=-0.25, width=0.6, reverb=0.3, low_cut_hz=130, high_db=0),
            ("0---2---1---2---", "0-2-1-2-0-2-1-2-", "0-2-1-2-3-2-1-2-"),
            register=58,
            velocity=78,
        ),
        PartPlan(
            "lead",
            "melody",
            ("violin", "cello", "flute"),
            Mix(-20.5, pan=0.2, width=0.35, reverb=0.4, low_cut_hz=130, high_db=-2),
            register=68,
            velocity=84,
        ),
        PartPlan(
            "pad",
            "pad",
            ("strings",),
            Mix(-18, width=1.0, reverb=0.4, low_cut_hz=60, high_db=-3),
            register=58,
            velocity=78,
        ),
    ),
    beats=(
        ({"kick": "X..............."},),
        (
            {"kick": "X.......X.......", "low tom": "........o......."},
            {"kick": "X.......X.......", "low tom": "............o.o."},
        ),
        (
            {"kick": "X.......X.......", "low tom": "x..x..x.x..x..x.", "snare": "............?..."},
            {"kick": "X.......X...X...", "low tom": "x..x..x.x..xx.xx"},
            {"kick": "X.......X.......", "low tom": "x..x..x.x.x.x.x.", "mid tom": "...x......x....."},
        ),
    ),
    fills=(
        {"kick": "X.......X.......", "low tom": "x..x..x.xxxxXXXX"},
        {"kick": "X.......X...X...", "snare": "........ooxxxxXX"},
        {
            "kick": "X.......X.......",
            "high tom": "........X.x.....",
            "mid tom": "...........Xx...",
            "low tom": ".............XXX",
        },
    ),
    ghosts=(("low tom", 3), ("low tom", 11), ("mid tom", 14), ("low tom", 6), ("kick", 12), ("mid tom", 7)),
    motifs=(
        "x-------x---x---",
        "x-----------x---",
        "x---x---x-------",
        "x-----x-x-------",
        "x---------------",
        "x---x-x-x---x---",
    ),
    spread_s=0.011,
    depth_db=8.0,
    room_s=3.4,
)

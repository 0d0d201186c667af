"""Bossa nova: nylon strings against a soft clave, bass on one and three, a melody close to the ear.

The thumb of the guitar doubles the bass; the fingers push ahead of the bar line, so chords arrive an eighth early.
"""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan, Tune

CLAVE = "x.....x.....x..."

BOSSA_NOVA = Genre(
    name="bossa nova",
    bpm=(116, 140),
    minor_share=0.4,
    chord_size=4,
    progressions={
        "major": {
            "verse": ("I I V>V V>V II V+ I I", "I VI II V+", "I II III/VI II/V+", "I IVm III V>II II V+ I V+"),
            "chorus": ("I6 VI II V+", "IV II I VI", "I IV I6 V>II II V+ I I"),
            "bridge": ("IV IV III V>II", "VI V>V II V+"),
        },
        "minor": {
            "verse": ("I I IV IV", "I II V+ I", "I IV II V+"),
            "chorus": ("IV VII III VI", "II V+ I I", "IV II I V+"),
            "bridge": ("VI II V+ I", "IV I II V+"),
        },
    },
    cadences={"verse": "II/V+", "chorus": "II/V+", "bridge": "V+", "intro": "II/V+", "outro": "II/V+"},
    forms=(
        (("verse", 4), ("chorus", 4)),
        (("intro", 4), ("verse", 8), ("chorus", 8)),
        (("intro", 4), ("verse", 8), ("chorus", 8), ("outro", 4)),
        (("intro", 4), ("verse", 8), ("chorus", 8), ("verse", 8), ("chorus", 8), ("outro", 4)),
        (
            ("intro", 4),
            ("verse", 16),
            ("chorus", 8),
            ("verse", 8),
            ("bridge", 8),
            ("verse", 8),
            ("chorus", 16),
            ("outro", 4),
        ),
    ),
    energies={
        "intro": (0.4, 0.45),
        "verse": (0.42, 0.46),
        "chorus": (0.94, 1.0),
        "bridge": (0.5, 0.65),
        "outro": (0.5, 0.4),
    },
    layers={
        "intro": ("chords", "drums>"),
        "verse": ("drums", "bass", "chords", "lead"),
        "verse 2": ("drums", "bass", "chords", "lead", "arp>"),
        "chorus": ("drums", "bass", "chords", "lead", "pad", "arp"),
        "bridge": ("drums", "bass", "chords", "lead", "pad"),
        "outro": ("drums", "bass", "chords", "lead<"),
    },
    parts=(
        PartPlan("drums", "drums", ("latin percussion", "jazz drums"), Mix(-21.5, width=0.4, reverb=0.08, high_db=3)),
        PartPlan(
            "bass",
            "bass",
            ("upright bass",),
            Mix(-20, width=0.0, high_db=-8),
            ("R-----5-5-----R-", "R-----5-v-----R-", "R-----5-v-----a-"),
            register=40,
            velocity=84,
        ),
        PartPlan(
            "chords",
            "comp",
            ("nylon guitar",),
            Mix(-18, pan=-0.1, width=0.25, reverb=0.1, low_cut_hz=100, high_db=-1),
            (
                "B-..T-..B-T-..T-B-..T-..B-..T-T-",
                "B-T-..T-B-..T-..B-T-..T-B-T-..T-",
                "B-T-T-..B-T-..T-B-T-..T-B-T-T-T-",
            ),
            register=56,
            velocity=76,
            anticipates=True,
            strum_s=0.006,
        ),
        PartPlan(
            "arp",
            "comp",
            ("electric piano", "piano", "vibraphone"),
            Mix(-26, pan=0.3, width=0.3, reverb=0.15, low_cut_hz=180, high_db=-2),
            ("....2---3---....", "..2-3-..4-..3---", "2-3-..4-3-..2-3-"),
            register=68,
            velocity=66,
        ),
        PartPlan(
            "lead",
            "melody",
            ("flute", "saxophone", "clarinet", "whistle"),
            Mix(-20, pan=0.12, width=0.12, reverb=0.2, low_cut_hz=170, high_db=-2),
            register=69,
            velocity=78,
            late_s=0.012,
        ),
        PartPlan(
            "pad",
            "pad",
            ("strings",),
            Mix(-25, width=0.5, reverb=0.25, low_cut_hz=180, high_db=-8),
            register=66,
            velocity=58,
        ),
    ),
    beats=(
        (
            {"shaker": "xoxoxoxoxoxoxoxo", "rim": CLAVE},
            {"shaker": "xoxoxoxoxoxoxoxo", "rim": "....x.....x....."},
        ),
        (
            {"kick": "x..xx..xx..xx..x", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
            {"kick": "x..xx..xx..xx..x", "rim": "..x...x..x..x...", "shaker": "xoxoxoxoxoxoxoxo"},
        ),
        (
            {
                "kick": "x..xx..xx..xx..x",
                "rim": "x..x..x...x..x..",
                "shaker": "XoxoXoxoXoxoXoxo",
                "low conga": "......x.......x.",
                "high conga": "....x......x....",
                "hat": "....x.......x...",
            },
            {
                "kick": "x..xx..xx..xx..x",
                "rim": "..x...x..x..x..?",
                "shaker": "XoxoXoxoXoxoXoxo",
                "low conga": "......x.......x.",
                "high conga": "....x......x....",
                "hat": "....x.......x...",
                "ride": "x.......?.......",
            },
        ),
    ),
    fills=(
        {"kick": "x..xx..x", "rim": "x..x..x.x.x.xx..", "shaker": "xoxoxoxo"},
        {
            "kick": "x..xx..xx......x",
            "rim": "x..x..x.........",
            "high conga": "..........x..x..",
            "low conga": "...........x..xx",
        },
    ),
    pickups=({"rim": "............x.x."},),
    ghosts=(("rim", 14), ("rim", 8), ("hat", 12), ("rim", 5), ("hat", 4), ("rim", 11)),
    motifs=(
        "..x-x---x--x--x-",
        "x--x--x-..x-x---",
        "x-----x-x--x----",
        "..x--x--x-------",
        "x--x--x--x------",
        "....x-x-x--x--x-",
    ),
    tune=Tune(
        reach=14,
        leaps=0.2,
        syncopation=0.5,
        pickups=0.4,
        rests=0.25,
        repeats=0.6,
        arcs=("fall", "wave", "arch"),
        lift=2,
        graces=0.1,
    ),
    borrowed={"major": (("IV", "IVm", 0.25),)},
    crash=False,
    spread_s=0.007,
    depth_db=4.5,
    room_s=1.2,
    endings=("ring",),
)

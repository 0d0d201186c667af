"""Techno: four on the floor, a chord that hardly moves, sixteenths that never stop, a filter that tells the story.

Its sections bear the names every genre uses, so that words and overrides fit: a chorus here is what dancers call a
drop.
"""

from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan, Tune

FOUR = "X...X...X...X..."

TECHNO = Genre(
    name="techno",
    bpm=(124, 138),
    minor_share=0.95,
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
        "intro": (0.4, 0.5),
        "verse": (0.52, 0.6),
        "build": (0.45, 0.75),
        "chorus": (0.95, 1.0),
        "bridge": (0.3, 0.5),
        "outro": (0.6, 0.4),
    },
    layers={
        "intro": ("drums", "arp>"),
        "verse": ("drums", "bass", "arp"),
        "build": ("drums", "arp", "chords", "pad", "riser"),
        "chorus": ("drums", "bass", "chords", "arp", "lead"),
        "bridge": ("pad", "chords", "lead", "riser", "drums>"),
        "outro": ("drums", "bass", "arp<"),
    },
    parts=(
        PartPlan("drums", "drums", ("909 drums",), Mix(-17.5, width=0.3, reverb=0.04, drive=0.35, high_db=4)),
        PartPlan(
            "bass",
            "bass",
            ("synth bass", "acid bass", "fm bass"),
            Mix(-19.5, width=0.0, drive=0.3, duck_db=9, hand_octaves=0.3),
            ("R...R...R...R...", "R.RRR.RRR.RRR.RR", "R.RR8.RRR.RR7.8R"),
            register=33,
            velocity=92,
        ),
        PartPlan(
            "chords",
            "comp",
            ("synth stab", "organ"),
            Mix(-22.5, pan=0.05, width=0.5, reverb=0.25, delay=0.4, duck_db=4, low_cut_hz=200),
            ("..........S.....", "...S..S.......S.", "..S..S..S..S..S."),
            register=63,
            velocity=84,
            voicing="triad",
            throws=4,
        ),
        PartPlan(
            "arp",
            "comp",
            ("arpeggio synth", "pluck synth"),
            Mix(-22.5, pan=-0.15, width=0.3, reverb=0.12, delay=0.25, duck_db=3, low_cut_hz=250, hand_octaves=0.7),
            ("0.2.1.2.0.2.1.3.", "012.201.012.3012", "0121320121302132"),
            register=67,
            velocity=80,
        ),
        PartPlan(
            "lead",
            "melody",
            ("acid lead", "square lead", "synth lead"),
            Mix(-22, pan=0.1, width=0.2, reverb=0.15, delay=0.3, duck_db=3, low_cut_hz=220),
            register=67,
            velocity=86,
        ),
        PartPlan(
            "pad",
            "pad",
            ("sweep pad", "synth pad", "choir"),
            Mix(-24, width=0.7, reverb=0.45, chorus=0.3, duck_db=5, low_cut_hz=160),
            register=62,
            velocity=70,
        ),
        PartPlan("texture", "riser", ("noise riser",), Mix(-28, width=0.6, reverb=0.2), label="riser"),
    ),
    beats=(
        ({"kick": FOUR, "hat": "..x...x...x...x."},),
        (
            {"kick": FOUR, "hat": "oox.oox.oox.oox.", "clap": "....x.......x..."},
            {"kick": FOUR, "hat": "oox.oox.oox.oox.", "rim": "...x......x....."},
        ),
        (
            {
                "kick": FOUR,
                "open hat": "..X...X...X...X.",
                "hat": "ox.oox.oox.oox.o",
                "mute conga": "......x..x....x.",
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
    section_beats={
        "build": (
            {"kick": FOUR, "hat": "x.x.x.x.x.x.x.x.", "clap": "....x.......x..."},
            {"kick": FOUR, "hat": "xxxxxxxxxxxxxxxx", "clap": "x.x.x.x.xxxxrrrr"},
        ),
        "bridge": ({"hat": "..x...x...x...x.", "rim": "...o......o....."},),
    },
    fills=(
        {"kick": "X...X...X.......", "clap": "....X.......X.xX", "hat": "..x...x...x.xxxx"},
        {"kick": FOUR, "clap": "....X...x.x.xxXX"},
        {"kick": "X...X...", "low tom": "........x..x..x.", "hat": "..x...x...x...x."},
    ),
    pickups=({"clap": "............x.xX"},),
    ghosts=(("rim", 3), ("rim", 11), ("hat", 15), ("rim", 6), ("clap", 15)),
    motifs=("x-.x-.x-..x-.x-.", "x-x-..x-x-..x-..", "..x-..x-..x-x-x-", "x--x--x--x--x-x-", "x-----..x-x-...."),
    tune=Tune(reach=12, leaps=0.25, syncopation=0.3, pickups=0.0, rests=0.2, repeats=1.0, arcs=("wave",), lift=2),
    colours={"minor": (("phrygian", 0.08),)},
    same_bars=True,
    riser_bars=4,
    spread_s=0.0055,
    depth_db=5.0,
    room_s=1.8,
    endings=("ring", "hit"),
)

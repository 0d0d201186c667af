"""Who plays what: the genre's band, with the instruments asked for in and the excluded ones out. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harmonia_composer.engine import Kind, Unplayable
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS, ROLES, is_excluded
from harmonia_composer.engines.arranger.metre import FOUR_FOUR, METRES, fit
from harmonia_composer.engines.arranger.score import Section
from harmonia_composer.engines.arranger.sheet import Chair

# How a role is played in a genre whose own band does not have it; patterns in 4/4.
SPARE = {
    "drums": PartPlan("drums", "drums", (), Mix(-22, width=0.5, reverb=0.1), late_s=0.004),
    "bass": PartPlan(
        "bass", "bass", (), Mix(-20, width=0.0),
        ("R---------------", "R-------5-------", "R---..R-5---..R-"), register=38, velocity=82,
    ),
    "chords": PartPlan(
        "chords", "comp", (), Mix(-22, width=0.45, reverb=0.2, low_cut_hz=90),
        ("C---------------", "C-------C-------", "C---..C---C--.C-"), register=60, velocity=74,
    ),
    "arp": PartPlan(
        "arp", "comp", (), Mix(-25, pan=0.25, width=0.3, reverb=0.2, low_cut_hz=200),
        ("0---2---1---3---", "0-2-1-3-0-2-1-2-", "0-213-2-0-213-2-"), register=68, velocity=74,
    ),
    "lead": PartPlan("lead", "melody", (), Mix(-22, width=0.2, reverb=0.25, low_cut_hz=180), register=72, velocity=80),
    "pad": PartPlan("pad", "pad", (), Mix(-25, width=0.7, reverb=0.35, low_cut_hz=150), register=62, velocity=64),
    "texture": PartPlan("texture", "texture", (), Mix(-30, width=0.6)),
}  # fmt: skip
ACCOMPANIES = {"comp", "pad"}
HOOKS = ("lead", "arp", "chords", "pad")


def plan_of(genre: Genre, role: str) -> PartPlan:
    return next((plan for plan in genre.parts if plan.role == role), None) or spare(role, genre)


def spare(role: str, genre: Genre) -> PartPlan:
    """Written in the genre's metre, as its own parts are."""
    plan = SPARE[role]
    return replace(plan, patterns=tuple(fit(pattern, FOUR_FOUR, METRES[genre.metre]) for pattern in plan.patterns))


def label_of(plan: PartPlan) -> str:
    return plan.label or plan.role


def cast(
    genre: Genre, *, instruments: Sequence[str], suggested: Sequence[str], excluded: Sequence[str], seed: int,
    kind: Kind = Kind.SONG,
) -> list[Chair]:  # fmt: skip
    """Each chair is drawn apart, so that one that changes leaves the others as they are."""
    barred = tuple(name.strip().lower() for name in excluded if name.strip())
    asked = {name.strip().lower(): True for name in instruments}
    wanted = asked | {name: False for name in suggested if name not in asked and not is_excluded(name, barred)}
    chairs: list[Chair] = []
    for name, by_user in wanted.items():
        if name not in INSTRUMENTS:
            raise Unplayable(f"no instrument {name!r}: there are {', '.join(INSTRUMENTS)}", field="instruments")
        if is_excluded(name, barred):
            raise Unplayable(f"{name!r} is both asked for and excluded", field="excluded_instruments")
        chairs.append(seated(name, genre, {chair.label for chair in chairs}, asked=by_user))
    own = regulars(genre, chairs, barred, seed=seed)
    chairs += own if kind is not Kind.BEAT else beat_makers(own, chairs)
    chairs = chairs if sounding(chairs) else substitutes(barred, genre)
    if not chairs:
        raise Unplayable("every instrument is excluded: leave one", field="excluded_instruments")
    return sorted(chairs, key=lambda chair: (ROLES.index(chair.plan.role), chair.label != chair.plan.role, chair.label))


def sounding(chairs: Iterable[Chair]) -> bool:
    return any(chair.plan.style not in {"texture", "riser"} for chair in chairs)


def beat_makers(own: Sequence[Chair], asked: Sequence[Chair]) -> list[Chair]:
    """Drums, bass and one hook: whatever was asked for, else the tune, else what there is."""
    rhythm = [chair for chair in own if chair.label in {"drums", "bass"}]
    if any(chair.plan.role in HOOKS for chair in asked):
        return rhythm
    hooks = sorted((chair for chair in own if chair.label in HOOKS), key=lambda chair: HOOKS.index(chair.label))
    return rhythm + hooks[:1]


def regulars(genre: Genre, seated: Sequence[Chair], barred: Sequence[str], *, seed: int) -> list[Chair]:
    """The genre's own players, but those excluded and those whose chair is taken, on something else where they can."""
    chairs = []
    taken, played = {chair.label for chair in seated}, {chair.instrument for chair in seated}
    for plan in genre.parts:
        label, dice = label_of(plan), Dice(seed, "cast", label_of(plan))
        comes, drawn = dice.chance(plan.chance), dice.unit()
        options = [name for name in plan.instruments if not is_excluded(name, barred)]
        if label not in taken and comes and plan.role not in barred and options:
            others = [name for name in options if name not in played] or options
            chairs.append(Chair(label, plan, others[int(drawn * len(others))], asked=False))
    return chairs


def substitutes(barred: Sequence[str], genre: Genre) -> list[Chair]:
    """The whole band is excluded: whoever is left plays alone, a tune or chords before a bass or a drum."""
    order = ("chords", "lead", "arp", "pad", "bass", "drums")
    left = [
        (order.index(instrument.roles[0]), name)
        for name, instrument in INSTRUMENTS.items()
        if not is_excluded(name, barred) and instrument.roles[0] in order and instrument.roles[0] not in barred
    ]
    return [Chair(order[place], spare(order[place], genre), name, asked=False) for place, name in sorted(left)[:1]]


def seated(name: str, genre: Genre, taken: set[str], *, asked: bool) -> Chair:
    roles = INSTRUMENTS[name].roles
    own = [plan for role in roles for plan in genre.parts if plan.role == role and label_of(plan) not in taken]
    fond = [plan for plan in own if name in plan.instruments]
    for plan in fond or own:
        return Chair(label_of(plan), plan, name, asked)
    for role in (role for role in roles if role not in taken):
        return Chair(role, plan_of(genre, role), name, asked)
    plan = plan_of(genre, roles[0])
    return Chair(name.replace(" ", "-"), replace(plan, register=plan.register + 5), name, asked)


def layered(
    genre: Genre, sections: Sequence[Section], chairs: Sequence[Chair], *, kind: Kind = Kind.SONG,
    intense: Sequence[float | None] = (), sung: frozenset[int] = frozenset(),
) -> list[Section]:  # fmt: skip
    """Who plays in which section; one that comes back has one more than before, and nobody sits idle asked.

    Where words are sung (`sung`, places of sections) the tune plays. `intense`: what was asked for, section by section.
    """
    found = []
    for place, section in enumerate(sections):
        entries = set(section.of(genre.layers) or genre.layers["verse"])
        wish = intense[place] if intense else None
        if wish is not None:
            entries = intensified(entries, wish, genre, section)
        elif section.times > 1 and section.character == "verse" and not {"verse 2", "verse last"} & set(genre.layers):
            more = sorted(set(genre.layers["chorus"]) - entries)
            entries |= set(more[: section.times - 1])
        if kind is Kind.BEAT:
            entries = beat_layers(section, chairs)
        if place in sung:
            entries = {entry for entry in entries if entry.rstrip("<>") != "lead"} | {"lead"}
        found.append(with_layers(section, entries, chairs))
    return [awake(section, found, chairs) for section in found]


def with_layers(section: Section, entries: Iterable[str], chairs: Sequence[Chair]) -> Section:
    names = {entry.rstrip("<>"): entry[-1] for entry in entries}
    playing: dict[str, str] = {}
    for chair in chairs:
        free = chair.plan.style == "riser" or chair.plan == SPARE["texture"]
        key = next((name for name in (chair.label, label_of(chair.plan), chair.plan.role) if name in names), None)
        if free or key is not None:
            playing[chair.label] = "" if key is None or section.bars < 4 else names[key]
    return replace(
        section, roles=frozenset(playing),
        late=frozenset(label for label, mark in playing.items() if mark == ">"),
        early=frozenset(label for label, mark in playing.items() if mark == "<"),
    )  # fmt: skip


def intensified(entries: set[str], wish: float, genre: Genre, section: Section) -> set[str]:
    """More than is usual: the chorus joins in. Less: only who plays in the intro, and the tune."""
    low, high = section.of(genre.energies) or (0.5, 0.5)
    usual = (low + high) / 2
    if wish > usual + 0.2:
        return entries | set(genre.layers["chorus"])
    if wish < usual - 0.3:
        calm = {entry.rstrip("<>") for entry in genre.layers.get("intro", ())} | {"lead"}
        return {entry for entry in entries if entry.rstrip("<>") in calm} or entries
    return entries


def beat_layers(section: Section, chairs: Sequence[Chair]) -> set[str]:
    """The hook comes and goes; in the break the rhythm makes room for it."""
    rhythm = {chair.label for chair in chairs if chair.plan.role in {"drums", "bass"}}
    hook = {chair.label for chair in chairs} - rhythm
    match section.character:
        case "verse":
            return rhythm | {f"{label}>" for label in hook}
        case "bridge" if hook:
            return hook | {"drums>"}
        case _:
            return rhythm | hook


def awake(section: Section, sections: Sequence[Section], chairs: Sequence[Chair]) -> Section:
    """Nobody plays here: all do. Somebody asked for plays nowhere: here, if this is the loudest section."""
    pitched = {chair.label for chair in chairs if chair.plan.style not in {"texture", "riser"}}
    held = {chair.label for chair in chairs if chair.plan.style in ACCOMPANIES}
    roles, late, early = set(section.roles), section.late, section.early
    if not (roles - late) & pitched:
        late = frozenset()
    if not (roles - early) & pitched:
        early = frozenset()
    if not roles & pitched:
        roles |= held or pitched
    loudest = max(sections, key=lambda one: one.energy)
    if section.name == loudest.name:
        used = frozenset().union(*(one.roles for one in sections))
        roles |= {chair.label for chair in chairs if chair.asked and chair.label not in used}
    return replace(section, roles=frozenset(roles), late=late, early=early)

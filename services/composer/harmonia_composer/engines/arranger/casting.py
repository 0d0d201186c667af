"""Who plays what: the genre's band, with the instruments asked for in and the excluded ones out. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from harmonia_composer.engine import Unplayable
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.form import character
from harmonia_composer.engines.arranger.genres.genre import Genre, Mix, PartPlan
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS, ROLES, is_excluded
from harmonia_composer.engines.arranger.score import Section
from harmonia_composer.engines.arranger.sheet import Chair

# How a role is played in a genre whose own band does not have it.
SPARE = {
    "arp": PartPlan(
        "arp", "comp", (), Mix(-25, pan=0.25, width=0.3, reverb=0.2, low_cut_hz=200),
        ("0---2---1---3---", "0-2-1-3-0-2-1-2-", "0-213-2-0-213-2-"), register=68, velocity=74,
    ),
    "texture": PartPlan("texture", "texture", (), Mix(-30, width=0.6)),
}  # fmt: skip


def plan_of(genre: Genre, role: str) -> PartPlan:
    return next((plan for plan in genre.parts if plan.role == role), None) or SPARE[role]


def cast(
    genre: Genre, *, instruments: Sequence[str], suggested: Sequence[str], excluded: Sequence[str], dice: Dice
) -> list[Chair]:
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
    taken = {chair.label for chair in chairs}
    for plan in genre.parts:
        options = [name for name in plan.instruments if not is_excluded(name, barred)]
        if plan.role not in taken and plan.role not in barred and options:
            chairs.append(Chair(plan.role, plan, dice.choice(options), asked=False))
    if not any(chair.plan.style != "texture" for chair in chairs):
        raise Unplayable("every instrument of the band is excluded: leave one", field="excluded_instruments")
    return sorted(chairs, key=lambda chair: (ROLES.index(chair.plan.role), chair.label != chair.plan.role, chair.label))


def seated(name: str, genre: Genre, taken: set[str], *, asked: bool) -> Chair:
    roles = INSTRUMENTS[name].roles
    free = [role for role in roles if role not in taken]
    own = [role for role in free if any(plan.role == role for plan in genre.parts)]
    for role in own or free:
        return Chair(role, plan_of(genre, role), name, asked)
    plan = plan_of(genre, roles[0])
    return Chair(name.replace(" ", "-"), replace(plan, register=plan.register + 5), name, asked)


def layered(genre: Genre, sections: Sequence[Section], chairs: Sequence[Chair]) -> list[Section]:
    """Who plays in which section; a section that comes back has one more than before, and nobody sits idle asked."""
    seen: dict[str, int] = {}
    found = []
    for section in sections:
        kind = character(section.name, genre)
        times = seen[kind] = seen.get(kind, 0) + 1
        roles = set(genre.layers[kind])
        if times > 1 and kind == "verse":
            roles |= set(sorted(set(genre.layers["chorus"]) - roles)[: times - 1])
        playing = {chair.label for chair in chairs if chair.plan.role in roles}
        playing |= {chair.label for chair in chairs if chair.plan.role == "texture" and chair.plan is SPARE["texture"]}
        found.append(replace(section, roles=frozenset(playing)))
    return [awake(section, found, chairs) for section in found]


def awake(section: Section, sections: Sequence[Section], chairs: Sequence[Chair]) -> Section:
    """Nobody plays here: all do. Somebody asked for plays nowhere: here, if this is the loudest section."""
    pitched = {chair.label for chair in chairs if chair.plan.style != "texture"}
    held = {chair.label for chair in chairs if chair.plan.style in {"comp", "pad"}}
    roles = set(section.roles)
    if not roles & (held or pitched):
        roles |= held or pitched
    loudest = max(sections, key=lambda one: one.energy)
    if section.name == loudest.name:
        used = frozenset().union(*(one.roles for one in sections))
        roles |= {chair.label for chair in chairs if chair.asked and chair.label not in used}
    return replace(section, roles=frozenset(roles))

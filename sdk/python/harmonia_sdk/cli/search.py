"""Finding songs again: by their words, or by another song that they sound like."""

from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.cli.songs import FILTER
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.song.v1 import song_pb2

ALIKE = 0.8  # nearness from which on a feature is worth a word


def register(app: typer.Typer) -> None:
    add_command(app, "search", search)


async def search(
    common: Common,
    text: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help='rain* "by the sea"')] = None,
    like: Annotated[str, typer.Option(metavar="NAME", help="What sounds like this song.")] = "",
    filter: Annotated[str, FILTER] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1)] = 20,
) -> None:
    """Finds songs by words of title, prompt, lyrics and labels, or by how another sounds; the best first."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import NO_SONGS, as_dict, print_json, say
    from harmonia_sdk.spec import checked_text

    if bool(text) == bool(like):
        raise InvalidInput("say what to look for: either TEXT or --like NAME", reason=Reason.MISSING, field="query")
    query, where = checked_text(" ".join(text or []), "query"), checked_text(filter, "filter")
    async with session(common) as mesh:
        found = await mesh.client.search(query, like=like, filter=where, limit=limit)
    if common.json:
        print_json({"matches": [], "next_page_token": "", "total_size": 0} | as_dict(found))
        return
    for match in found.matches:
        for line in _lines(match):
            say(line)
    if not found.matches:
        say(NO_SONGS)
    if found.total_size > len(found.matches):
        say(f"{len(found.matches)} of {found.total_size}: --limit shows more")


def _lines(match: "song_pb2.SongMatch") -> list[str]:
    song = match.song
    title = song.resolved.title or song.spec.title or song.spec.prompt[:60]
    lines = [f"{song.name}  {match.score:.2f}  {title}"]
    for passage in match.passages:
        text = "".join(f"[{part.text}]" if part.found else part.text for part in passage.parts)
        lines.append(f"    {passage.field}: {' '.join(text.split())}")
    alike = [f"{one.feature} {one.here}, {one.there}" for one in match.likenesses if one.nearness >= ALIKE]
    return [*lines, f"    {'; '.join(alike)}"] if alike else lines

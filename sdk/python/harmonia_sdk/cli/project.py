"""`harmonia project …`: songs that belong together."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import Conflict, InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.project.v1 import project_pb2

NAME = Annotated[str, typer.Argument(metavar="NAME", help='"projects/…", as `harmonia project list` shows it.')]
SONGS = Annotated[list[str], typer.Argument(metavar="SONG...", help='"songs/…", as `harmonia list` shows it.')]


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="project", help="Songs that belong together, in an order.", no_args_is_help=True)
    for name, command in (
        *(("create", create), ("list", list_projects), ("show", show), ("add", add), ("remove", remove)),
        *(("order", order), ("export", export), ("delete", delete)),
    ):
        add_command(group, name, command)
    app.add_typer(group)


async def create(
    common: Common,
    title: Annotated[str, typer.Argument(metavar="TITLE")],
    songs: Annotated[list[str] | None, typer.Argument(metavar="[SONG]...")] = None,
    description: Annotated[str, typer.Option(metavar="TEXT")] = "",
) -> None:
    """Makes a project, with songs or without, and prints its name."""
    from uuid import uuid4

    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json
    from harmonia_sdk.spec import checked_text

    called, told = checked_text(title, "title"), checked_text(description, "description")
    async with session(common) as mesh:
        made = await mesh.client.projects.create(called, description=told, songs=songs or [], request_id=uuid4().hex)
    print_json(made) if common.json else print(made.name)


async def list_projects(common: Common, limit: Annotated[int, typer.Option(metavar="N", min=1)] = 50) -> None:
    """Lists projects, the newest first."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json, say

    async with session(common) as mesh:
        found = await mesh.client.projects.list(limit=limit)
    if common.json:
        print_json({"projects": [], "next_page_token": "", "total_size": 0} | as_dict(found))
        return
    for project in found.projects:
        made = project.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        say(f"{project.name}  {made}  {counted(project.song_count):>9}  {project.title}")
    if not found.projects:
        say("no projects: harmonia project create TITLE makes one")
    if found.total_size > len(found.projects):
        say(f"{len(found.projects)} of {found.total_size}: --limit shows more")


async def show(common: Common, name: NAME) -> None:
    """Shows a project with its songs, in order."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.client.projects.get(name), as_json=common.json)


async def add(
    common: Common,
    name: NAME,
    songs: SONGS,
    at: Annotated[int | None, typer.Option(metavar="N", min=1, help="Place of the first, from 1.")] = None,
) -> None:
    """Puts songs in; those that are in already are moved."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        position = None if at is None else at - 1
        _print(await mesh.client.projects.add(name, songs, position=position), as_json=common.json)


async def remove(common: Common, name: NAME, songs: SONGS) -> None:
    """Takes songs out; they themselves stay."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.client.projects.remove(name, songs), as_json=common.json)


async def order(common: Common, name: NAME, songs: SONGS) -> None:
    """Puts these first, in this order; the others keep theirs behind them."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.client.projects.order(name, songs), as_json=common.json)


async def export(
    common: Common,
    name: NAME,
    out: Annotated[Path | None, typer.Option(metavar="FILE.zip", help="Default: ./<title>.zip")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Saves a project as a zip file with a folder for each song; goes on where an earlier try broke off."""
    from harmonia_chassis.file_names import slug
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json, say
    from harmonia_sdk.folder import check_writable, unwritable

    async with session(common) as mesh:
        to = out or Path(f"{slug((await mesh.client.projects.get(name)).title)}.zip")
        if to.is_dir():
            raise InvalidInput(f"{to} is a folder, not a file", reason=Reason.MALFORMED, field="out")
        if to.exists() and not force:
            message = f"{to} is there already: name another file, or say --force to replace it"
            raise Conflict(message, reason=Reason.NAME_TAKEN, field="out")
        check_writable(to.parent)
        try:
            exported = await mesh.client.projects.export(name, to)
        except OSError as exc:
            raise unwritable(to, exc) from exc
    if common.json:
        print_json({"file": str(to)} | {"export": as_dict(exported)})
        return
    for song in exported.left_out:
        say(f"left out: {song}")
    say(f"{counted(exported.songs)}, {exported.size_bytes} bytes, every file as its digest says")
    print(to)


def counted(songs: int) -> str:
    return f"{songs} song{'s' * (songs != 1)}"


async def delete(common: Common, name: NAME) -> None:
    """Deletes a project; its songs stay."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json

    async with session(common) as mesh:
        gone = await mesh.client.projects.delete(name)
    print_json(gone) if common.json else print(gone.name, "DELETED")


def _print(project: "project_pb2.Project", *, as_json: bool) -> None:
    from harmonia.song.v1 import song_pb2
    from harmonia_sdk.cli.show import print_json, say

    if as_json:
        print_json(project)
        return
    say(f"{project.name}  {project.title}")
    for place, entry in enumerate(project.songs, start=1):
        state = "DELETED" if entry.deleted else song_pb2.Song.State.Name(entry.state)
        say(f"{place:>3}  {entry.song}  {state:<10}  {entry.seconds:>5.0f} s  {entry.title}")

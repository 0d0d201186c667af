"""Commands of a later release: known by name, refused by name."""

from pathlib import Path
from typing import Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import InvalidInput, Reason


def register(app: typer.Typer) -> None:
    add_command(app, "play", play)
    add_command(app, "revise", revise)


def play(common: Common, name: Annotated[str, typer.Argument(metavar="[NAME]")] = "") -> None:  # noqa: ARG001
    """Later: plays a song."""
    raise _later("play")


def revise(
    common: Common,  # noqa: ARG001
    name: Annotated[str, typer.Argument(metavar="NAME")],  # noqa: ARG001
    set: Annotated[list[str] | None, typer.Option(metavar="FIELD=VALUE")] = None,  # noqa: ARG001
    out: Annotated[Path | None, typer.Option(metavar="DIR")] = None,  # noqa: ARG001
    force: Annotated[bool, typer.Option("--force")] = False,  # noqa: ARG001
) -> None:
    """Later: makes another song out of one, keeping what you do not change."""
    raise _later("revise")


def _later(command: str) -> InvalidInput:
    message = f"harmonia {command} comes in a later release"
    return InvalidInput(message, reason=Reason.NOT_YET_SUPPORTED, field=command)

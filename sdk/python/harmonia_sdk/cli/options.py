"""The options that every command has, and how a command becomes one."""

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from harmonia_sdk.cli.signals import run_to_end


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    home: Annotated[Path | None, typer.Option(help="Where the local mesh keeps its state ($HARMONIA_HOME).")] = None
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="A mesh elsewhere, instead of the local one.")] = ""
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate of --server.")] = None
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Your token for --server.")] = None
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False


COMMON = tuple(field.name for field in fields(Common))
# Any: what a command is given is its own affair; typer checks it against the signature.
Command = Callable[..., Coroutine[Any, Any, None]] | Callable[..., None]


def add_command(app: typer.Typer, name: str, command: Command) -> None:
    """`command` takes a Common first; its own parameters become options and arguments, its docstring the help."""

    def run(**values: object) -> None:
        common = Common(**{name: values.pop(name) for name in COMMON})  # type: ignore[arg-type]  # by the signature below
        work = command(common, **values)
        if work is not None:
            run_to_end(work)

    run.__doc__ = command.__doc__
    run.__signature__ = _signature(command)  # type: ignore[attr-defined]  # as PEP 362 has it
    run.__annotations__ = {
        parameter.name: parameter.annotation for parameter in _signature(command).parameters.values()
    }
    app.command(name)(run)


def _signature(command: Command) -> inspect.Signature:
    _, *own = inspect.signature(command).parameters.values()
    common = inspect.signature(Common).parameters.values()
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *common)]
    return inspect.Signature(keyword)

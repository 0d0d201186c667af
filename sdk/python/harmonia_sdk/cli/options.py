"""The options that every command has, and how a command becomes one."""

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, fields, is_dataclass
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


# Any: what a command is given is its own affair; typer checks it against the signature.
Command = Callable[..., Coroutine[Any, Any, None]] | Callable[..., None]


def add_command(app: typer.Typer, name: str, command: Command) -> None:
    """`command` takes a Common first; its own parameters become options and arguments, its docstring the help.

    A parameter that is a dataclass stands for the options that are its fields, as Common does."""

    # Any: classes of which only this module makes something.
    groups: dict[str, Any] = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(command).parameters.values()
        if is_dataclass(parameter.annotation)
    }

    def run(**values: object) -> None:
        gathered = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        work = command(*gathered.values(), **values)
        if work is not None:
            run_to_end(work)

    run.__doc__ = command.__doc__
    run.__signature__ = _signature(command, groups)  # type: ignore[attr-defined]  # as PEP 362 has it
    run.__annotations__ = {
        parameter.name: parameter.annotation for parameter in _signature(command, groups).parameters.values()
    }
    app.command(name)(run)


def _signature(command: Command, groups: Mapping[str, Any]) -> inspect.Signature:
    own = [one for one in inspect.signature(command).parameters.values() if one.name not in groups]
    common, *others = groups.values()
    given = [parameter for group in (*others, common) for parameter in inspect.signature(group).parameters.values()]
    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *given)]
    return inspect.Signature(keyword)

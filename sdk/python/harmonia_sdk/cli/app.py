"""All commands under one name, and what becomes of every error: one line, one exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from harmonia_sdk.cli import audio, compose, garbage, mesh, models, play, project, search, share, songs, token, words
from harmonia_sdk.cli.faults import EXIT_CODES, SongEnded, error_of, exit_code_of, print_error, unexpected, usage_error
from harmonia_sdk.errors import Cancelled, HarmoniaError

TYPER_INTERRUPTED = 130  # what typer makes of ctrl-C before a command runs


def build() -> typer.Typer:
    app = typer.Typer(
        name="harmonia",
        no_args_is_help=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for group in (mesh, compose, play, songs, search, words, audio, models, project, share, token, garbage):
        group.register(app)
    return app


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=mesh.print_version, help="Print the version.")
    ] = False,
) -> None:
    """Music from a sentence, made on your own machines."""


def run(arguments: Sequence[str], *, as_json: bool) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # both are TextIOWrapper in a process
    try:
        code = build()(args=arguments or ["--help"], prog_name="harmonia", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Whoever read has read enough, as typer says by SystemExit. The flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TyperException as exc:
        error: HarmoniaError | SongEnded = usage_error(exc)
    except (HarmoniaError, SongEnded) as exc:
        error = exc
    except Exception as exc:  # main: a traceback on a user's terminal is a defect
        error = unexpected(exc)
    else:
        return EXIT_CODES[Cancelled] if code == TYPER_INTERRUPTED else 0
    print_error(error_of(error), as_json=as_json)
    return exit_code_of(error)

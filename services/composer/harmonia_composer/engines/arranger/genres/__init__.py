"""The genres the arranger plays, by their canonical names: one for every file of this room but genre.py.

Adding a genre is adding its file; nothing else names it.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from harmonia_composer.engines.arranger.genres.genre import Genre


def _found() -> Iterator[Genre]:
    for file in iter_modules(__path__):
        module = import_module(f"{__name__}.{file.name}")
        yield from (value for value in vars(module).values() if isinstance(value, Genre))


GENRES: dict[str, Genre] = {genre.name: genre for genre in _found()}

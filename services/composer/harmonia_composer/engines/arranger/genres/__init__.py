"""The genres the arranger plays, by their canonical names."""

from harmonia_composer.engines.arranger.genres.folk import FOLK
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.genres.lofi_hip_hop import LOFI_HIP_HOP
from harmonia_composer.engines.arranger.genres.techno import TECHNO

GENRES: dict[str, Genre] = {genre.name: genre for genre in (LOFI_HIP_HOP, TECHNO, FOLK)}

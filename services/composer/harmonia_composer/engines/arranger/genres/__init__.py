"""The genres the arranger plays, by their canonical names."""

from harmonia_composer.engines.arranger.genres.ambient import AMBIENT
from harmonia_composer.engines.arranger.genres.bossa_nova import BOSSA_NOVA
from harmonia_composer.engines.arranger.genres.cinematic import CINEMATIC
from harmonia_composer.engines.arranger.genres.drum_and_bass import DRUM_AND_BASS
from harmonia_composer.engines.arranger.genres.folk import FOLK
from harmonia_composer.engines.arranger.genres.funk import FUNK
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.genres.house import HOUSE
from harmonia_composer.engines.arranger.genres.jazz import JAZZ
from harmonia_composer.engines.arranger.genres.lofi_hip_hop import LOFI_HIP_HOP
from harmonia_composer.engines.arranger.genres.metal import METAL
from harmonia_composer.engines.arranger.genres.pop import POP
from harmonia_composer.engines.arranger.genres.reggae import REGGAE
from harmonia_composer.engines.arranger.genres.rock import ROCK
from harmonia_composer.engines.arranger.genres.synthwave import SYNTHWAVE
from harmonia_composer.engines.arranger.genres.techno import TECHNO
from harmonia_composer.engines.arranger.genres.trap import TRAP
from harmonia_composer.engines.arranger.genres.waltz import WALTZ

GENRES: dict[str, Genre] = {
    genre.name: genre
    for genre in (
        POP, ROCK, LOFI_HIP_HOP, TRAP, HOUSE, TECHNO, DRUM_AND_BASS, SYNTHWAVE, AMBIENT, JAZZ, BOSSA_NOVA, FUNK,
        REGGAE, FOLK, CINEMATIC, WALTZ, METAL,
    )
}  # fmt: skip

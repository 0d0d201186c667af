"""What the composer needs besides what every service needs."""

from pathlib import Path

from pydantic import Field, Json

from harmonia_chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    scratch_dir: Path = Field(description="where songs lie while they are made; emptied by whoever made them")
    models_dir: Path | None = Field(
        None, description="where the weights lie, for the engines that have some; none: those engines are not offered"
    )
    models_bytes: int = Field(
        64 << 30, ge=1, description="what all models together may take; beyond it the one played longest ago goes"
    )
    hub_url: str = Field("https://huggingface.co", description="where repositories of models are read")
    musicgen_slots: int = Field(4, ge=1, le=64, description="songs that musicgen draws at once")
    soundfonts: Json[dict[str, str]] = Field(
        {},
        description="sound fonts in place of the arranger's own sounds: an instrument and its file, bank and program, "
        'as in `{"piano": "/fonts/grand.sf2:0:0"}`',
    )

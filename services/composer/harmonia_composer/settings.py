"""What the composer needs besides what every service needs."""

from pathlib import Path

from pydantic import Field

from harmonia_chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    scratch_dir: Path = Field(description="where songs lie while they are made; emptied by whoever made them")

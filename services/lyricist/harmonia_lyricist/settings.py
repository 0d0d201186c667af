"""What the lyricist needs besides what every service needs."""

from pydantic import Field

from harmonia_chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    slots: int = Field(16, ge=1, le=256, description="prompts read and lyrics written at once")

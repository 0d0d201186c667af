"""What mastering needs besides what every service needs."""

from pydantic import Field

from harmonia_chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    slots: int = Field(default=1, ge=1, le=64, description="songs mastered at once; one keeps two cores busy")

"""What artifacts needs besides what every service needs: a folder, or an S3 bucket."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harmonia_chassis.settings import ServiceSettings


class S3Settings(BaseModel):
    """Where the bucket is. Of its own, because the doctor asks for no more."""

    model_config = ConfigDict(frozen=True)

    s3_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="https://host:port of an S3 server"
    )
    s3_public_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="where clients reach that server; default the same"
    )
    s3_region: str = Field(default="us-east-1", description="region that requests are signed for")
    s3_bucket: str = Field(default="harmonia", description="made at start where there is none")
    s3_access_key_file: Path | None = Field(default=None, description="file with the access key")
    s3_secret_key_file: Path | None = Field(default=None, description="file with the secret key")
    s3_ca: Path | None = Field(
        default=None, description="authority of the S3 server's certificate, PEM; default the system's"
    )


class Settings(ServiceSettings, S3Settings):
    state_dir: Path | None = Field(default=None, description="folder of the objects; or else s3_endpoint")
    scratch_dir: Path | None = Field(default=None, description="where arriving objects wait for S3")
    storage_bytes: int = Field(default=50 << 30, gt=0, description="most that the files of a tenant may take")
    link_base: str = Field(
        default="",
        pattern=r"^$|^https?://.*/$",
        description="address of the REST door's links, ending in /; absent: no links",
    )

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if (self.state_dir is None) == (self.s3_endpoint is None):
            raise ValueError("set either HARMONIA_STATE_DIR or HARMONIA_S3_ENDPOINT")
        if self.s3_endpoint and not (self.s3_access_key_file and self.s3_secret_key_file and self.scratch_dir):
            raise ValueError("S3 needs HARMONIA_S3_ACCESS_KEY_FILE, HARMONIA_S3_SECRET_KEY_FILE, HARMONIA_SCRATCH_DIR")
        return self

"""What the lyricist needs besides what every service needs."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from harmonia_chassis.settings import Seconds, ServiceSettings


class Settings(ServiceSettings):
    slots: int = Field(16, ge=1, le=256, description="prompts read and lyrics written at once")
    llm: Literal["none", "openai", "ollama", "gguf"] = Field(
        "none", description="the language model: none, openai (any server that speaks its API), ollama, gguf (a file)"
    )
    llm_url: str = Field(
        "", pattern=r"^(https?://.*)?$", description="of the server; Ollama's default: http://127.0.0.1:11434"
    )
    llm_model: str = Field("", description="its name, for gguf the file; absent: the server's first, Ollama's largest")
    llm_brief_model: str = Field("", description="another one of Ollama's, for reading prompts")
    llm_key_file: Path | None = Field(None, description="holds the key that the server wants")
    llm_pull: bool = Field(False, description="whether a model that Ollama lacks is pulled")
    llm_threads: int = Field(2, ge=1, le=256, description="of a gguf model")
    llm_timeout: Seconds = Field(
        timedelta(seconds=30), description="what one question may take; a song asks three at most"
    )

    @model_validator(mode="after")
    def _names_what_it_needs(self) -> Self:
        if self.llm == "openai" and not self.llm_url:
            raise ValueError("HARMONIA_LLM=openai needs HARMONIA_LLM_URL, such as http://127.0.0.1:8080")
        if self.llm == "gguf" and not self.llm_model:
            raise ValueError("HARMONIA_LLM=gguf needs HARMONIA_LLM_MODEL, the path of a GGUF file")
        return self

"""The language model that the settings name."""

import time
from pathlib import Path

from harmonia_lyricist.llm import Guarded, LanguageModel, Task
from harmonia_lyricist.llm_gguf import Gguf
from harmonia_lyricist.llm_ollama import Ollama
from harmonia_lyricist.llm_openai import OpenAI
from harmonia_lyricist.settings import Settings

OLLAMA_URL = "http://127.0.0.1:11434"


def language_model(settings: Settings) -> LanguageModel | None:
    model = _model(settings)
    return Guarded(model, timeout=settings.llm_timeout, clock=time.monotonic) if model else None


def _model(settings: Settings) -> LanguageModel | None:
    match settings.llm:
        case "none":
            return None
        case "openai":
            key = settings.llm_key_file.read_text().strip() if settings.llm_key_file else ""
            return OpenAI(settings.llm_url, model=settings.llm_model, key=key)
        case "ollama":
            named = {Task.LYRICS: settings.llm_model, Task.BRIEF: settings.llm_brief_model or settings.llm_model}
            return Ollama(settings.llm_url or OLLAMA_URL, models=named, pulls=settings.llm_pull)
        case "gguf":
            return Gguf(Path(settings.llm_model), threads=settings.llm_threads)

"""Any server that speaks OpenAI's chat completions: llama.cpp, vLLM and others."""

import httpx

from harmonia_lyricist.llm import NoAnswer, Question, at, exchange, parsed, unfenced


class OpenAI:
    """`base_url` ends before /v1. Without a `model` the server's first is asked."""

    def __init__(self, base_url: str, *, model: str = "", key: str = "", label: str = "openai") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._base_url = base_url.rstrip("/").removesuffix("/v1")
        self._model = model
        self._label = label
        # Guarded limits the time; redirects would carry the key elsewhere.
        self._http = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(None, connect=5.0), trust_env=False)

    @property
    def name(self) -> str:
        return f"{self._label} {self._model}".strip()

    async def answer(self, question: Question) -> object:
        self._model = self._model or await self._first()
        reply = await exchange(
            self._http,
            "POST",
            f"{self._base_url}/v1/chat/completions",
            body={
                "model": self._model,
                "messages": question.messages(),
                "max_tokens": question.most_tokens,
                "seed": question.seed % 2**31,
                "temperature": 0.8,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": question.task.value, "schema": question.schema, "strict": True},
                },
            },
        )
        if at(reply, "choices", 0, "finish_reason") == "length":
            raise NoAnswer(f"its answer was not finished after {question.most_tokens} tokens")
        content = at(reply, "choices", 0, "message", "content")
        if not isinstance(content, str) or not content.strip():
            raise NoAnswer("its answer is empty", again=True)
        return parsed(unfenced(content), "its answer")

    async def close(self) -> None:
        await self._http.aclose()

    async def _first(self) -> str:
        name = at(await exchange(self._http, "GET", f"{self._base_url}/v1/models"), "data", 0, "id")
        if not isinstance(name, str):
            raise NoAnswer(f"{self._base_url} offers no model")
        return name

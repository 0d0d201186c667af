"""What operators see of the batch."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_STEP_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_FILL = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1)
_FACTOR = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50)
_FIRST_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """tokens/s is the rate of `harmonia_musicgen_tokens_total`."""

    def __init__(self, registry: CollectorRegistry, *, codebooks: int = 4) -> None:
        self._codebooks = codebooks
        self._fill = Histogram(
            "harmonia_musicgen_batch_fill", "share of the slots that a step drew for", buckets=_FILL, registry=registry
        )
        self._step = Histogram(
            "harmonia_musicgen_step_seconds", "one step of the batch", buckets=_STEP_S, registry=registry
        )
        self._tokens = Counter("harmonia_musicgen_tokens", "tokens drawn", registry=registry)
        self._factor = Histogram(
            "harmonia_musicgen_realtime_factor",
            "seconds of music made in a second, by song",
            buckets=_FACTOR,
            registry=registry,
        )
        self._first = Histogram(
            "harmonia_musicgen_first_audio_seconds",
            "from the start of a song to its first samples",
            buckets=_FIRST_S,
            registry=registry,
        )

    def step(self, seated: int, slots: int, seconds: float) -> None:
        self._fill.observe(seated / slots)
        self._step.observe(seconds)
        self._tokens.inc(seated * self._codebooks)

    def song(self, music_s: float, took_s: float) -> None:
        self._factor.observe(music_s / took_s)

    def first_audio(self, seconds: float) -> None:
        self._first.observe(seconds)

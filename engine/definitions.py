"""The name, the meaning and the source of each metric of an answer.

timing.py computes the metrics. If sources use one name for different metrics, the meaning says so.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """The name and the meaning of a metric, and where the meaning comes from."""

    name: str
    meaning: str
    source: str


DEFINITIONS = {
    "ttft": Definition(
        "time to first token (TTFT)",
        "From submit to the first non-empty text, including queueing, retrieval and prefill. "
        "Without streaming, the first text is the whole answer.",
        "NVIDIA NIM, AIPerf",
    ),
    "predicted_ttft": Definition(
        "predicted first token",
        "When the first token was expected, predicted after the search from the tokens to be read "
        "and from how fast this model has read them here. The budget of the first token relies on "
        "it.",
        "First Token",
    ),
    "e2el": Definition(
        "end-to-end latency (E2EL)", "From submit until the reader has the last token.", "vLLM"
    ),
    "tpot": Definition(
        "time per output token (TPOT)",
        "(E2EL − TTFT) / (N − 1) for the N output tokens of one request: the pace after the "
        "first token.",
        "vLLM",
    ),
    "itl": Definition(
        "inter-token latency (ITL)",
        "The time between two tokens computed one after the other. Sources differ: AIPerf calls "
        "TPOT by this name, and LLMPerf's ITL includes TTFT.",
        "vLLM",
    ),
    "longest_stall": Definition(
        "longest stall", "The longest time between two tokens.", "First Token"
    ),
    "prefill_rate": Definition(
        "prefill rate",
        "Prompt tokens evaluated / duration of the prefill. Cached tokens do not count.",
        "llama-server, timings",
    ),
    "decode_rate": Definition(
        "decode rate",
        "Output tokens after the first / time from the first token to the last.",
        "llama-server, timings",
    ),
    "reused_tokens": Definition(
        "cached tokens",
        "Prompt tokens that were not evaluated again, because their state was kept from an "
        "earlier question. If you ask the same question twice, the second run reuses almost the "
        "whole prompt.",
        "llama-server, cache_n",
    ),
    "streaming_tax": Definition(
        "streaming tax",
        "How much longer the whole answer takes when it streams: E2EL streaming / E2EL "
        "non-streaming − 1, in pairs of runs.",
        "First Token",
    ),
    "waiting": Definition(
        "seconds spent waiting",
        "How long a person who reads at a steady pace waits for text: before the first token, "
        "and whenever they catch up with the stream.",
        "First Token; 238 words a minute: Brysbaert 2019",
    ),
}

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
        "The time from the question to the first text, including queueing, retrieval and prefill. "
        "Without streaming, the first text is the whole answer.",
        "NVIDIA NIM, AIPerf",
    ),
    "predicted_ttft": Definition(
        "predicted first token",
        "The expected time to the first token. It is predicted after the search, from the number "
        "of tokens to read and the measured speed of this model on this machine. The budget of "
        "the first token uses it.",
        "First Token",
    ),
    "e2el": Definition(
        "end-to-end latency (E2EL)",
        "The time from the question until the reader has the last token.",
        "vLLM",
    ),
    "tpot": Definition(
        "time per output token (TPOT)",
        "(E2EL − TTFT) / (N − 1) for an answer of N tokens: the average time for each token after "
        "the first.",
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
        "The speed of reading the prompt: evaluated prompt tokens / duration of the prefill. "
        "Cached tokens do not count.",
        "llama-server, timings",
    ),
    "decode_rate": Definition(
        "decode rate",
        "The speed of writing the answer: output tokens after the first / time from the first "
        "token to the last.",
        "llama-server, timings",
    ),
    "reused_tokens": Definition(
        "cached tokens",
        "Prompt tokens that the model did not read again, because it has kept their state from an "
        "earlier question. If you ask the same question twice, the second run reuses almost the "
        "whole prompt.",
        "llama-server, cache_n",
    ),
    "streaming_tax": Definition(
        "extra time of streaming",
        "How much longer the whole answer takes when it streams: E2EL streaming / E2EL "
        "non-streaming − 1. The range is the 95 % confidence interval over pairs of runs.",
        "First Token",
    ),
    "waiting": Definition(
        "seconds spent waiting",
        "How long a person who reads at a steady speed waits for text: before the first token, "
        "and whenever the person has read all the text so far.",
        "First Token; 238 words a minute: Brysbaert 2019",
    ),
    "goodput": Definition(
        "goodput",
        "The answers that keep a waiting budget: their first words and their last word come in "
        "time. Here as a share of all answers; vLLM counts them per second.",
        "vLLM, GenAI-Perf",
    ),
}

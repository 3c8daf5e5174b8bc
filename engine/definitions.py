"""What each metric of an answer is called and means, and who defined it so. Text, no figures.

The figures are computed in timing.py. Where the field disagrees on a name, it is said here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric is called and means, and where that meaning comes from."""

    name: str
    meaning: str
    source: str


DEFINITIONS = {
    "ttft": Definition(
        "time to first token (TTFT)",
        "From submit to the first non-empty text, queueing, retrieval and prefill included. Not "
        "streaming, the first text is the whole.",
        "NVIDIA NIM, AIPerf",
    ),
    "e2el": Definition(
        "end-to-end latency (E2EL)", "From submit to the last token, handed to its reader.", "vLLM"
    ),
    "tpot": Definition(
        "time per output token (TPOT)",
        "(E2EL − TTFT) / (N − 1) for N output tokens of one request: the pace after the first.",
        "vLLM",
    ),
    "itl": Definition(
        "inter-token latency (ITL)",
        "The gaps between one token computed and the next, pooled. Not standard: AIPerf's ITL is "
        "what is TPOT here, and LLMPerf's includes TTFT.",
        "vLLM",
    ),
    "longest_stall": Definition(
        "longest stall", "The largest gap between one token and the next.", "First Token"
    ),
    "prefill_rate": Definition(
        "prefill rate",
        "Prompt tokens evaluated / time of the prefill. Tokens whose state was kept do not count.",
        "llama-server, timings",
    ),
    "decode_rate": Definition(
        "decode rate",
        "Output tokens after the first / time from the first to the last.",
        "llama-server, timings",
    ),
    "reused_tokens": Definition(
        "cached tokens",
        "Prompt tokens whose state was kept from an earlier question, so that they were not "
        "evaluated again. Asking twice finds everything kept: the second run is not like the "
        "first.",
        "llama-server, cache_n",
    ),
    "streaming_tax": Definition(
        "streaming tax",
        "How much longer the whole answer takes because it streams: E2EL streaming / E2EL not "
        "streaming − 1, in pairs of runs.",
        "First Token",
    ),
    "waiting": Definition(
        "seconds spent waiting",
        "When somebody reads at a steady pace and has to wait for text: before the first token, "
        "and wherever they catch up with the stream.",
        "First Token; 238 words a minute: Brysbaert 2019",
    ),
}

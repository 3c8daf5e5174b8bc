"""A conversation that may be too long → one that fits, at the cost of what tools returned.

What a person or the model said stays whole; where that alone is too long, the model says so.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.llm.base import LLM
from engine.run import Run
from engine.schema import ChatMessage

_CUT = " […]"
_SHORTEST = 200  # characters of a tool's text, below which cutting gains nothing


def fitted(
    messages: Sequence[ChatMessage], llm: LLM, max_tokens: int, run: Run
) -> list[ChatMessage]:
    """The messages with the longest tool results halved until the prompt leaves room."""
    fitting = list(messages)
    window = llm.metadata.context_window
    room = min(max_tokens, window // 4)
    while llm.count_tokens(fitting) + room > window:
        lengths = [len(m.content) if m.role == "tool" else 0 for m in fitting]
        longest = max(range(len(fitting)), key=lambda at: lengths[at])
        if lengths[longest] < _SHORTEST:
            break
        kept = fitting[longest].content.removesuffix(_CUT)[: lengths[longest] // 2]
        fitting[longest] = replace(fitting[longest], content=kept + _CUT)
    if fitting != list(messages):
        run.note("Of long tool results only the beginnings fitted into the prompt.")
    return fitting

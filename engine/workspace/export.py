"""A conversation as a file to keep: Markdown to read, JSON to compute with. Pure."""

import json
from collections.abc import Sequence

from engine.workspace.conversations import Conversation, Turn


def as_json(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Every turn whole: text, sources with their scores and evidence, settings, trace."""
    record = {
        "title": conversation.title,
        "collection": conversation.collection,
        "turns": [turn.to_dict() for turn in turns],
    }
    return json.dumps(record, indent=2, ensure_ascii=False)


def as_markdown(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """Questions, answers, sources and timings, to read or print."""
    return "\n\n".join([f"# {conversation.title}", *(_turn(turn) for turn in turns)]) + "\n"


def _turn(turn: Turn) -> str:
    lines = [f"## {turn.question}"]
    if turn.searched_for:
        lines.append(f"*Searched for: {turn.searched_for}*")
    lines.append(turn.text or f"({turn.phase})")
    if turn.error:
        lines.append(f"**{turn.error}**")
    lines += [f"{n}. {source.node.label}" for n, source in enumerate(turn.sources, start=1)]
    timing = _timing(turn)
    return "\n\n".join([*lines, timing] if timing else lines)


def _timing(turn: Turn) -> str:
    if turn.trace is None:
        return ""
    metrics = turn.trace.metrics
    if metrics.ttft is None or metrics.e2el is None:
        return ""
    return (
        f"*First token after {metrics.ttft:.2f} s, {metrics.e2el:.2f} s in all, "
        f"{metrics.output_tokens} tokens.*"
    )

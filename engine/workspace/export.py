"""Export: a conversation as Markdown, to read, and as JSON, to compute with.

Exports carry no secrets and no folders of this machine. Texts of questions, answers and passages
are exported unchanged.
"""

import json
from collections.abc import Sequence

from engine.redacting import redact, redact_values
from engine.workspace.conversations import Conversation, Turn


def as_json(conversation: Conversation, turns: Sequence[Turn]) -> str:
    """All turns with their sources, scores, evidence, settings and traces."""
    records = [turn.to_dict() for turn in turns]
    for record in records:
        for name in ("error", "settings", "trace"):
            record[name] = redact_values(record[name])
        for source in record["sources"]:
            source["node"]["metadata"] = redact_values(source["node"]["metadata"])
    record = {
        "title": conversation.title,
        "collection": conversation.collection,
        "turns": records,
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
        lines.append(f"**{redact(turn.error)}**")
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

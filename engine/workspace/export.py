"""Export: a conversation as Markdown, to read, and as JSON, to compute with.

Exports contain no secrets and no folders of this machine. Texts of questions, answers and passages
are exported unchanged.
"""

import json
from collections.abc import Sequence

from engine.redacting import redact, redact_values
from engine.run import Phase
from engine.schema import NodeWithScore
from engine.workspace.conversations import Conversation, Turn

QUOTED = 1  # sentence of each source: the sentence that the page quotes


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
    if turn.text:
        lines.append(turn.text)
    elif turn.phase is not Phase.DONE:
        lines.append(f"(The answer {turn.phase} before its first word.)")
    elif not turn.notes:
        lines.append("(No passage was found.)")
    lines += [f"({note})" for note in turn.notes]
    if turn.error:
        lines.append(f"**{redact(turn.error)}**")
    lines += [_source(number, source) for number, source in enumerate(turn.sources, start=1)]
    if turn.trace and turn.trace.metrics.ttft is not None and turn.trace.metrics.e2el is not None:
        metrics = turn.trace.metrics
        lines.append(
            f"*First token after {metrics.ttft:.2f} s, {metrics.e2el:.2f} s in all, "
            f"{metrics.output_tokens} tokens.*"
        )
    return "\n\n".join(lines)


def _source(number: int, source: NodeWithScore) -> str:
    """The file and page of a source, with its best sentences as quotations."""
    quotes = [" ".join(source.sentence(each).split()) for each in source.evidence[:QUOTED]]
    return "\n".join([f"{number}. {source.node.label}", *(f"   > “{quote}”" for quote in quotes)])

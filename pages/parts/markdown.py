"""Untrusted text → Markdown that shows it and does nothing else. Pure.

An answer or a document may carry an image whose address leaks the question, a link that hides
where it leads, HTML, or Streamlit's own markup ($…$, :name:). Each character that begins one is
escaped by itself, so a chunk may end anywhere. Emphasis, lists, tables and code stay.
"""

_ESCAPED = str.maketrans({c: "\\" + c for c in "[]<>$:~"} | {"&": "&amp;"})


def answer_markdown(text: str) -> str:
    """For text a model wrote: its lists and emphasis show, links and images as their source."""
    return text.translate(_ESCAPED)


_PLAIN = str.maketrans({c: "\\" + c for c in "\\`*_{}[]<>()#+-.!|$:~"} | {"&": "&amp;"})


def plain_markdown(text: str) -> str:
    """For text of a document: every character shows as itself, line ends as spaces."""
    return " ".join(text.split()).translate(_PLAIN)

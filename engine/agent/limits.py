"""Tasks that no tool of First Token can do: messages, bookings, files, devices, and facts of the
present world. They are recognised by their verbs and topics (limits.toml), and declined in one
sentence."""

import re

from engine.agent.forms import read_forms
from engine.agent.wording import plain

_CAN = "my tools search your documents, calculate, convert units, and work with dates."

_FORMS = read_forms(__file__)


def _patterns(name: str) -> list[tuple[re.Pattern[str], str]]:
    """(pattern of the whole task, what is said) of a table in limits.toml."""
    return [
        (re.compile(_FORMS.filled(pattern), re.I | re.S), each["says"])
        for each in _FORMS.data[name]
        for pattern in each["patterns"]
    ]


_ACTION, _FACT = _patterns("action"), _patterns("fact")


def declined(question: str, web: str = "") -> str:
    """The sentence for a task that cannot be done here; empty for others.

    web: why there is no web search; empty if there is one. Facts of the present world are only
    declined without it.
    """
    text = plain(question[:500]).rstrip(" ?.!")
    text = re.sub(r"^(?:i want you to|i need you to|i'd like you to|go and|help me(?: to)?|try to|"
                  r"you should|you must|let's|start to) ", "", text, flags=re.I)  # fmt: skip
    for pattern, what in _ACTION:
        if pattern.fullmatch(text):
            return f"I cannot {what}; {_CAN}"
    if not web:
        return ""
    if _FORMS.match("exchange", text):
        return "I cannot convert currencies, because I do not know exchange rates."
    for pattern, what in _FACT:
        if pattern.fullmatch(text):
            return what
    if _FORMS.match("web", text):
        return f"I cannot search the web. {web}"
    return ""

"""Calculating: a calculation that the model writes from the passages, checked and computed by code.

    question, passages → the model's calculation → its numbers are looked up → its value

A model of a few billion parameters finds the two amounts of a difference, but subtracts them
wrongly. So it is asked for the calculation first, and gets the result with the question.
"""

import re
from collections.abc import Sequence

from engine.arithmetic import evaluate
from engine.checking import SCALES, Known, missing_numbers, ungrouped
from engine.errors import ToolError

# Questions whose answer is computed from amounts of the text
_WANTED = re.compile(
    r"\bby how (?:much|many)\b|"
    r"\bhow (?:much|many|far|long|old)\b[^?]*?\b(?:more|less|fewer|\w+er)\b|"
    r"\bdifference\b|\b(?:altogether|in total|in all|total|sum|average|on average|mean)\b|"
    r"\bper (?:cent|person|head|month|year|day|week|hour)\b|\bpercent|\btimes (?:as|more)\b",
    re.IGNORECASE,
)
CALCULATION = (
    "Write only the calculation that this needs, with numbers of the text, such as 120 - 45. "
    "Write no words."
)
CALCULATION_LENGTH = 40  # tokens, at most
_CALCULATION = re.compile(r"[-+*/().\d\s]*\d\s*[-+*/]\s*[-+*/().\d\s]*\d\)*")

_SCALED = re.compile(rf"(\d+(?:\.\d+)?) ({'|'.join(SCALES)})\b", re.IGNORECASE)


def needs_calculation(question: str) -> bool:
    return _WANTED.search(question) is not None


def calculated(written: str, question: str, texts: Sequence[str]) -> str:
    """The calculation that a model wrote, with its value: "598 - 481 = 117".

    Empty if it is none, if a number is in neither the texts nor the question, or if it has no
    value. Two numbers at least come from the texts.
    """
    plain = ungrouped(written).replace("×", "*").replace("÷", "/").replace("−", "-")
    plain = _SCALED.sub(lambda match: f"{float(match[1]) * SCALES[match[2].lower()]:.0f}", plain)
    found = _CALCULATION.search(re.sub(r"[A-Za-z£$€%]+", "", plain).split("=")[0])
    if found is None:
        return ""
    expression = " ".join(found[0].split())
    if missing_numbers(expression, Known.of(question, *texts)):
        return ""
    try:
        return evaluate(expression)
    except ToolError:
        return ""

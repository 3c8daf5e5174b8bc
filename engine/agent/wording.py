"""What the readers of questions share: polite words are dropped, and a message is parted into its
questions."""

import re

PARTS = 4  # at most, of one message

# Where a question is to be answered from, which is no part of it
_FROM_DOCUMENTS = re.compile(
    r"(?:according to|going by|from|in|using|based on|search(?: in| through)?|look (?:up )?in|"
    r"check) "
    r"(?:my|the|these|our|all(?: my)?) (?:documents?|files?|notes|papers|library|collection)"
    r"(?: for| and (?:tell me|find out|say))?[,:;]? +|"
    r"(?:please )?(?:look up|find out|search for|find|check)"
    r"(?: in (?:my|the) (?:documents?|files?))?"
    r"[,:]? +(?=(?:who|whom|whose|what|which|when|where|why|how|if|whether)\b)",
    re.IGNORECASE,
)


def of_documents(question: str) -> str:
    """A question for the document search, without "according to my documents" before it."""
    text = " ".join(question.split())
    rest = text
    while match := _FROM_DOCUMENTS.match(rest):
        rest = rest[match.end() :]
    return rest if len(rest.split()) > 2 else text


_IN_DOCUMENTS = re.compile(
    r",? (?:in|from|according to|based on) (?:my|these|our|the) "
    r"(?:documents?|files?|notes|papers|library|collection)\b",
    re.IGNORECASE,
)


def without_documents(question: str) -> str:
    """A question without "in my documents" in it: "What does X cost in my documents, times 3?"."""
    return _IN_DOCUMENTS.sub("", question)


_POLITE = re.compile(
    r"(?:please|pls|kindly|hi there|hi|hello|hey|ok|okay|so|well|um|oh|thanks|thank you|"
    r"quick question|quickly|and|now|then|also|can you|could you|would you|will you|"
    r"can i ask you|tell me|i want to know|i would like to know|i'd like to know|"
    r"i need to know|do you know|you tell me|let me know|say me|me|just|my question is|"
    r"question|can you say|i wonder|you know|help me|find out)\b[,:.!]? *+",
    re.I,
)
_BEHIND = tuple(
    f" {each}" for each in ("please", "pls", "thanks", "thank you", "thx", "for me", "exactly")
)
# The border between two questions. The text has single spaces, so the search is linear.
_ASKING = (
    "what|which|who|whom|whose|when|where|why|how|is|are|compute|calculate|tell|search|find|look|"
    "convert"
)
_BORDER = re.compile(
    rf"(?<=\?) |(?:,? and (?:then |also )?(?:please )?|; ?(?:and )?)(?=(?:{_ASKING})\b)", re.I
)


def plain(question: str) -> str:
    """The question with single spaces, and without polite words around it."""
    text = " ".join(question.split())
    start = 0
    while (match := _POLITE.match(text, start)) and match.end() < len(text):
        start = match.end()
    text = text[start:]
    end = len(text)
    while end:
        last = text[max(0, end - 12) : end]
        behind = next((each for each in _BEHIND if last.lower().endswith(each)), "")
        if not behind and last[-1] not in " ?.!=,;":
            break
        end -= len(behind) or 1
    return text[:end] or text


def parts_of(question: str) -> list[str]:
    """The questions in a message: "What time is it, and who built the mill?" has two."""
    parts = [part.strip() for part in _BORDER.split(" ".join(question.split()))]
    return [part for part in parts if part][:PARTS]


_FURTHER = re.compile(r"(?:and|then|now|what about|how about|the same),? ", re.I)
_IT = re.compile(r"\b(?:it|that|this|them|they|he|she|there|his|her|its|their)\b", re.I)
_PLACE = re.compile(
    r"(?:until|till|in|to|into|from|since|of|for|on|at|by|with|between|after|before) ", re.I
)
_AMOUNT = re.compile(r"(?P<number>[€$£]?\d[\d.,]*) ?(?P<word>[^\W\d]+|%)?", re.I)


def continued(question: str, before: str) -> str:
    """A follow-up as a whole question: "And until Easter?" after "How many days until Christmas?"
    → "How many days until Easter?". Empty if it is none.

    It has what the question before it had in the same place: behind the same preposition, or a
    number with the same word.
    """
    start = _FURTHER.match(question)
    if start is None or not before:
        return ""
    rest, asked = question[start.end() :].rstrip(" ?.!"), before.rstrip(" ?.!")
    if preposition := _PLACE.match(rest):
        at = asked.lower().rfind(f" {preposition[0].lower()}")
        return f"{asked[:at]} {rest}?" if at > 0 else ""
    amount = _AMOUNT.fullmatch(rest)
    if amount is None:
        return ""
    same = [m for m in _AMOUNT.finditer(asked) if m["word"] == amount["word"]]
    if len(same) != 1:
        return ""
    return f"{asked[: same[0].start()]}{rest}{asked[same[0].end() :]}?"


def goes_on(question: str) -> bool:
    """Whether a question leans on the one before it: "And 20 percent?", "now paint it"."""
    start = _FURTHER.match(question)
    rest = question[start.end() :] if start else ""
    leans = _PLACE.match(rest) or _AMOUNT.match(rest) or _IT.search(rest)
    return bool(leans) and len(question.split()) <= 6


def refers_back(question: str) -> bool:
    """Whether a question about documents has a pronoun for what the one before it was about."""
    return _IT.search(question) is not None and len(question.split()) <= 10

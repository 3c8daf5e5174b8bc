"""Words that were broken at the end of a line → words. Pure."""

import re
from collections.abc import Set as AbstractSet

_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_HEAD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*$")
_TAIL = re.compile(r"^[^\W\d_]+")


def words_of(text: str) -> set[str]:
    """The words as they stand, small, compounds with their hyphens."""
    return set(_WORDS.findall(text.lower()))


def join_broken(before: str, after: str, words: AbstractSet[str]) -> str:
    """`before`, without its hyphen, and `after`: "sec" + "tion" is "section", and "well" +
    "known" is "well-known" where the text has that elsewhere. `words` are the text's.
    """
    head, tail = _HEAD.search(before), _TAIL.search(after)
    if not head or not tail or not tail.group().islower():  # "Anglo" + "Saxon", "COVID" + "19"
        return f"{before}-{after}"
    parts = head.group().lower(), tail.group()
    if "-".join(parts) in words and "".join(parts) not in words:
        return f"{before}-{after}"
    return before + after

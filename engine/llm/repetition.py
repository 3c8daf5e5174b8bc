"""Repetition: where a text begins to repeat itself. Pure: no model, no clock.

A small model sometimes repeats a word, a line or a list until it reaches the limit of tokens.
`RepetitionGuard` stops that while the text is written.
"""

import re
from collections.abc import Callable

# A text repeats itself if it ends with the same unit at least TIMES times, and the repetitions
# after the first have at least LEAST characters. So a word of 5 letters is repeated 7 times, and a
# sentence of 40 characters 3 times. "Ha ha ha" and a chorus that is sung twice are allowed.
TIMES = 3
LEAST = 30
# The longest unit, in characters: about four lines
LONGEST_UNIT = 400
# The guard looks at the text again after this many characters. One look takes 0.2 ms for a long
# text (2-core AMD EPYC), a fortieth of the time for one token.
STEP = 16

NOTE = "The model began to repeat itself, so it was stopped."

# What may differ between repetitions: spaces, line breaks, and the numbers and marks of list items
_IGNORED = re.compile(r"(?m)^[ \t]*(?:[-*•>]|\d{1,3}[.):])[ \t]*|\s+")

_CLOSING = ".,;:!?)]\"'”’»"


def repeats_from(text: str) -> int | None:
    """Where the end of a text begins to repeat itself: `text[:place]` has the unit once.

    None if it does not. Only a repetition at the very end counts. A unit has a letter or a digit,
    so a rule or the line below a table's head does not count.
    """
    start = max(0, len(text) - 2 * TIMES * LONGEST_UNIT)
    compared = _IGNORED.sub("", text[start:]).lower()
    for unit in range(1, min(LONGEST_UNIT, len(compared) // 2) + 1):
        length = max(TIMES * unit, unit + LEAST)
        tail = compared[-length:]
        if len(tail) == length and tail[unit:] == tail[:-unit]:
            if not any(map(str.isalnum, tail[:unit])):
                return None
            first = len(compared) - length
            while first > 0 and compared[first - 1] == compared[first - 1 + unit]:
                first -= 1
            return start + _place(text[start:], first + unit)
    return None


def _place(text: str, count: int) -> int:
    """The end of the first `count` characters that are compared."""
    place = 0
    for match in _IGNORED.finditer(text):
        between = len(text[place : match.start()].lower())  # "İ" is two characters in lower case
        if between >= count:
            break
        count -= between
        place = match.end()
    # A full stop before the first unit looks like the one at its end, which is kept
    return len(text) - len(text[place + count :].lstrip(_CLOSING))


class RepetitionError(Exception):
    """Raised while a model writes, to stop it. A person sees `NOTE` instead."""


class RepetitionGuard:
    """Passes the chunks of a text on to `write` until the text repeats itself.

    It is the `write` of `LLM.write_chat`, which stops the model when `write` raises:

        guard = RepetitionGuard(write)
        try:
            llm.write_chat(guard, messages, options, run)
        except RepetitionError:
            run.note(NOTE)

    `text`: the text so far; after a repetition, only what was before it. Without `watching`,
    everything is passed on.

    Raises:
        RepetitionError: with a chunk that completes a repetition. It is not passed on.
    """

    def __init__(
        self, write: Callable[[str], None] = lambda _: None, watching: bool = True
    ) -> None:
        self._write, self._watching = write, watching
        self._unseen = 0
        self.text = ""

    def __call__(self, chunk: str) -> None:
        text = self.text + chunk
        self._unseen += len(chunk)
        if self._watching and self._unseen >= STEP:
            self._unseen = 0
            place = repeats_from(text)
            if place is not None:
                self.text = text[:place].rstrip()
                raise RepetitionError
        self.text = text
        self._write(chunk)

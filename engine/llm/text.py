"""Token bytes → chunks of text that never split a character, and end before a stop string.

The time is linear in the length of the text.
"""

import codecs
from collections.abc import Sequence

import regex

_CHARACTER = regex.compile(r"\X")  # a grapheme cluster: one character as a reader sees it
COMBINING = regex.compile(r"\p{M}")


class TextAssembler:
    """Gets bytes as they arrive. Each call returns the text that can be shown, which may be empty.

    It holds back the bytes of an unfinished character; the last character, if the next bytes may
    extend it (a combining mark, the second half of an emoji; after ASCII only with `combining`);
    and text that may be the beginning of a stop string. When a stop string is found, `ended` is
    true, and the stop string and the text after it are dropped.
    """

    def __init__(self, stop: Sequence[str] = (), combining: bool = False) -> None:
        self._stop = tuple(text for text in stop if text)
        self._combining = combining
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.ended = False

    def feed(self, data: bytes) -> str:
        if self.ended:
            return ""
        self._held += self._decoder.decode(data)
        self._cut_at_stop()
        if self.ended:
            return self._release(len(self._held))
        return self._release(min(self._before_stop(), self._before_open_character()))

    def finish(self) -> str:
        """The rest. An unfinished character becomes U+FFFD."""
        if self.ended:
            return ""
        self._held += self._decoder.decode(b"", final=True)
        self._cut_at_stop()
        return self._release(len(self._held))

    def _release(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text

    def _cut_at_stop(self) -> None:
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._held, self.ended = self._held[: min(found)], True

    def _before_stop(self) -> int:
        """The start of the text that may be the beginning of a stop string."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return len(self._held) - length
        return len(self._held)

    def _before_open_character(self) -> int:
        if not self._held or (self._held[-1].isascii() and not self._combining):
            return len(self._held)
        return len(self._held) - len(_CHARACTER.findall(self._held)[-1])

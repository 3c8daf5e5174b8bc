"""Calculations in plain words → expressions: "Add 17 and 25, then double it" → "(17 + 25) * 2".

The whole text is read or nothing: a word that the reader does not know ends the reading, so a
calculation that it has not understood has no expression. The time is linear in the length of the
text, and the depth of nested phrases is limited.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.agent.expressions import (
    DATA,
    DEPTH,
    FUNCTIONS,
    IT,
    TWO_WAYS,
    ExpressionReader,
    NotASum,
    Part,
    phrases,
)
from engine.agent.numbers import tokens

QUESTION = 1000  # characters; longer texts are not read

_LEAD, _END, _SEPARATORS = map(phrases, ("leads", "ends", "separators"))
_INFIX = frozenset(DATA["infix"].split())
_OF_TWO = frozenset(["add up", "subtract", "take", "multiply", "divide", "increase", "decrease"])
_PLACES = {
    "integer": 0, "whole": 0, "unit": 0, "one": 0, "1": 0, "ten": -1, "10": -1, "tens": -1,
    "hundred": -2, "100": -2, "hundreds": -2, "thousand": -3, "1000": -3, "thousands": -3,
    "tenth": 1, "hundredth": 2, "cent": 2, "thousandth": 3,
}  # fmt: skip

# 2026-11-21 and 24/12/2026, which would be read as a subtraction and as a division
_DATE = re.compile(r"\b(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{4})\b")


@dataclass(frozen=True, slots=True)
class Sum:
    """A calculation. `unit` is "%" if the result is a percentage.

    references: texts such as "the price of the rover", whose values the expression calls
    value_1, value_2 and so on.
    """

    expression: str
    unit: str = ""
    references: tuple[str, ...] = ()


def read_sum(
    text: str, earlier: Sequence[str] = (), *, references: bool = False, single: bool = False
) -> Sum | None:
    """The calculation that a text states, or None.

    "What is 15% of 240?" → "15 / 100 * 240"; "If 6 pens cost 9 euros…" → None.

    earlier: the messages before it, to whose result "double it" refers. references: other words
    between the signs stand for values: "twice the price of the rover". single: a number alone is a
    calculation too.

    Raises:
        NotASum: the text is a calculation with two readings. The message asks for another wording.
    """
    if len(text) > QUESTION or _DATE.search(text):
        return None
    stated = _read(_Reader(text, tokens(text), references), single)
    if stated is None and earlier and (before := read_sum(earlier[-1], earlier[:-1])):
        reader = _Reader(text, tokens(text), False, it=Part(before.expression, False, worked=True))
        stated = _read(reader, single)
        return stated if reader.it_used else None
    return stated


def _read(reader: "_Reader", single: bool) -> Sum | None:
    try:
        part, unit = reader.whole()
    except NotASum as reason:
        if str(reason):
            raise
        return None
    if single or (part.worked and (reader.numbers or reader.references or reader.it_used)):
        return Sum(part.text, unit, tuple(reader.references))
    return None


class _Reader(ExpressionReader):
    # The whole text

    def whole(self) -> tuple[Part, str]:
        self._strip_end()
        self._strip_lead(keep=self.it is not None)
        if self.ended:
            raise NotASum
        result, unit = self._statement()
        while not self.ended:
            before = self.at
            while self.take_any(_SEPARATORS):
                pass
            if self.at == before and not result.worked:
                raise NotASum
            self._strip_lead(keep=True)
            if self.ended:
                break
            self.it, self.it_used = result, False
            result, unit = self._statement()
            if not self.it_used:
                raise NotASum
        if len(self.labels) > 1:
            raise NotASum
        return result, unit

    def _strip_end(self) -> None:
        """Drop the words after the calculation, except a factorial's sign."""
        shorter = True
        while shorter and self.words:
            shorter = False
            for phrase in _END:
                if tuple(self.words[-len(phrase) :]) != phrase or len(self.words) == len(phrase):
                    continue
                last = len(self.words) - 1
                behind = self.words[last - 1] == ")" or self.tokens[last - 1].is_number
                if phrase == ("!",) and self.tokens[last].joined and behind:
                    continue
                del self.words[-len(phrase) :]
                shorter = True
                break

    def _strip_lead(self, keep: bool = False) -> None:
        """Step over the words before the calculation. keep: not over those of a further step."""
        while not self.ended:
            if self.peek() == "-" and (keep or self.at == 0):
                return
            if keep and any(
                tuple(self.words[self.at : self.at + len(each)]) == each for each in IT
            ):
                return
            if self._question_form() or not self.take_any(_LEAD):
                return

    def _question_form(self) -> bool:
        """Whether words come that `_statement` reads, although they look like a lead."""
        rest = " ".join(self.words[self.at : self.at + 8])
        return bool(
            re.match(
                r"(?:the |a )?(?:by )?(?:what|how many) (?:per ?cent|percentages?)\b"
                r"|how (?:many|often) (?:times|[\d.]+ s )|how often |how much (?:more|less|bigger|"
                r"larger|greater|smaller) |by how much",
                rest,
            )
        )

    # Statements: verbs with their operands, or an expression

    def _statement(self) -> tuple[Part, str]:
        self.depth += 1
        if self.depth > DEPTH:
            raise NotASum
        for read in (self._percentage, self._verb, self._comparison):
            if (part := read()) is not None:
                self.depth -= 1
                return part
        goes_on = self.it is not None and self.peek() in _INFIX  # "…, times 3"
        result = self._expression(self._the_result() if goes_on else None)
        if self.take(
            "is what percent of", "is what percentage of", "are what percent of",
            "as a percentage of", "as percentage of", "as a percent of", "is how many percent of",
            "is how much percent of", "in percent of", "are what percentage of",
            "is what per cent of",
        ):  # fmt: skip
            whole = self._expression()
            self.depth -= 1
            return self._ratio(result, whole)
        if self.take("out of"):
            whole = self._expression()
            self.expect("in percent", "as a percentage", "as a percent", "in %", "as percentage")
            self.depth -= 1
            return self._ratio(result, whole)
        self.depth -= 1
        return result, ("%" if result.percent else "")

    def _ratio(self, part: Part, whole: Part) -> tuple[Part, str]:
        return Part(f"{part} / {whole} * 100", False, worked=True), "%"

    def _percentage(self) -> tuple[Part, str] | None:
        """ "what percentage of 80 is 20", "the percentage increase from 40 to 50"."""
        start = self.at
        self.take("by")
        self.take("the", "a")
        if self.take(
            "what percentage is", "what percent is", "what per cent is", "how many percent is",
            "how many percent are", "how many percent more is", "what percentage more is",
        ):  # fmt: skip
            compared = self.peek(1) in ("more", "higher", "larger", "greater", "less", "lower")
            part = self._number() if compared else self._power()
            if self.take("more than", "higher than", "larger than", "greater than", "above"):
                base = self._power()
                return Part(f"({part} - {base}) / {base} * 100", False, worked=True), "%"
            if self.take("less than", "lower than", "smaller than", "below", "cheaper than"):
                base = self._power()
                return Part(f"({base} - {part}) / {base} * 100", False, worked=True), "%"
            self.expect("of", "out of")
            return self._ratio(part, self._expression())
        if self.take(
            "what percent of", "what percentage of", "what per cent of", "how many percent of",
            "percentage of",
        ):  # fmt: skip
            whole = self._expression()
            self.expect("is", "are", "does", "represents", "makes")
            return self._ratio(self._expression(), whole)
        if self.take(
            "percentage increase", "percentage decrease", "percentage change", "percent increase",
            "percent decrease", "percent change", "increase in percent", "change in percent",
            "percentage rise", "percentage drop", "what percentage increase is it",
        ):  # fmt: skip
            self.take("is it", "when going", "if a price goes", "if something goes")
            self.expect("from", "between")
            old = self._power()
            self.expect("to", "and")
            new = self._power()
            return Part(f"({new} - {old}) / {old} * 100", False, worked=True), "%"
        self.at = start
        return None

    def _comparison(self) -> tuple[Part, str] | None:
        """ "how much more is 50 than 20", "how many times does 7 go into 84"."""
        start = self.at
        if self.take("how many times does", "how many times do", "how many times", "how often does",
                     "how often"):  # fmt: skip
            if self.tokens[self.at].is_number if not self.ended else False:
                part = self._power()
                if self.take("go into", "goes into", "fit into", "fits into", "fit in", "go in",
                             "divide into"):  # fmt: skip
                    return self._binary("/", self._power(), part), ""
            self.at = start
            return None
        if self.take("how many"):
            if not self.ended and self.tokens[self.at].is_number and self.peek(1) == "s":
                part = self._number()
                self.at += 1
                if self.take("are there in", "are in", "go into", "fit into", "make"):
                    return self._binary("/", self._power(), part), ""
            self.at = start
            return None
        more = self.take("how much more is", "how much bigger is", "how much larger is",
                         "how much greater is")  # fmt: skip
        if more or self.take("how much less is", "how much smaller is"):
            first = self._power()
            self.expect("than")
            second = self._power()
            return self._binary("-", *((first, second) if more else (second, first))), ""
        return None

    def _verb(self) -> tuple[Part, str] | None:
        """ "subtract 3 from 10", "add 3, 4 and 5", "increase 80 by 15%", "divide it by 2"."""
        start = self.at
        if self.peek(1) == "(" and self.peek() in FUNCTIONS:
            return None
        for names, read in self._verbs():
            if self.take(*names):
                if self.peek() in ("of", "root", "roots"):  # "the sum of", "square root": nouns
                    self.at = start
                    return None
                part = read()
                if self.peek() in _INFIX and names[0] in _OF_TWO:
                    raise NotASum(TWO_WAYS)
                return part, ""
        return None

    def _verbs(self) -> list[tuple[tuple[str, ...], Callable[[], Part]]]:
        return [
            (("add up", "sum up", "add together", "add", "sum"), self._add),
            (("subtract", "deduct", "take away", "remove", "take off"), self._subtract),
            (("take",), self._take),
            (("start with", "start from", "start at", "begin with", "think of", "i have"),
             self._expression),
            (("multiply",), lambda: self._with("*", "by", "with", "and")),
            (("divide", "split", "share"), lambda: self._with("/", "by", "among", "between")),
            (("increase", "raise", "grow"), self._raise),
            (("decrease", "reduce", "lower", "cut", "shrink"), lambda: self._change("-")),
            (("halve",), lambda: self._binary("/", self._operand_or_it(), Part("2"))),
            (("double",), lambda: self._binary("*", self._operand_or_it(), Part("2"))),
            (("triple", "treble"), lambda: self._binary("*", self._operand_or_it(), Part("3"))),
            (("quadruple",), lambda: self._binary("*", self._operand_or_it(), Part("4"))),
            (("square",), lambda: self._binary("**", self._operand_or_it(), Part("2"))),
            (("cube",), lambda: self._binary("**", self._operand_or_it(), Part("3"))),
            (("round",), self._round),
        ]  # fmt: skip

    def _add(self) -> Part:
        """ "add 3, 4 and 5", "add 5 to 10", "add 20% to 50"; in a further step "add 5"."""
        self.take("up", "together", "of", "the numbers", ":")
        self._enter("to")
        parts = [self._operand_or_it()]
        self._leave()
        if parts[0].percent:
            base = self._last_or_it() if self.take("to") else self._the_result()
            return self._percent_more("+", base, parts[0])
        while True:
            at = self.at
            comma = self.take(", and", ",", "and", "to", "with", "plus")
            if not comma or not (self._operand_comes() or self._reference_comes()):
                self.at = at
                break
            parts.append(self._power())
        if self.it is not None and not self.it_used:
            parts.insert(0, self._the_result())
        if len(parts) < 2:
            raise NotASum
        return Part(" + ".join(map(str, parts)), False, worked=True)

    def _subtract(self) -> Part:
        """ "subtract 3 from 10", "subtract 10% from it", "subtract it from 100"."""
        self._enter("from", "off")
        amount = self._operand_or_it()
        while self.peek() == "and" and self._operand_comes(1):  # "subtract 3 and 4 from 20"
            self.at += 1
            more = self._product()
            amount = Part(f"{amount} + {more}", False, worked=True)
        self._leave()
        base = self._last_or_it() if self.take("from", "off") else self._the_result()
        if amount.percent:
            return self._percent_more("-", base, amount)
        return self._binary("-", base, amount)

    def _take(self) -> Part:
        """ "take 15 from 90", "take 12" (and add 8), "take half of it", "take 10% off"."""
        if self.take("away"):
            return self._subtract()
        self.take("the number", "the")
        self._enter("from", "off", "away")
        amount = self._operand_or_it()
        self._leave()
        if self.take("away from", "from", "off of", "off"):
            base = self._last_or_it() if self._operand_or_it_comes() else self._the_result()
        elif self.take("away"):
            base = self._the_result()
        else:
            return amount  # "take 12, add 8", "take half of it", "take the square root"
        if amount.percent:
            return self._percent_more("-", base, amount)
        return self._binary("-", base, amount)

    def _with(self, sign: str, *between: str) -> Part:
        self._enter(*between)
        if self.peek() in between and self.it is not None:
            first = self._the_result()
        else:
            first = self._operand_or_it()
        self._leave()
        self.take("equally", "evenly")
        self.expect(*between)
        second = self._last_or_it()
        result = self._binary(sign, first, second)
        while sign == "*" and self.take("and by"):
            result = self._binary(sign, result, self._operand())
        return result

    def _raise(self) -> Part:
        start = self.at
        first = self._the_result() if self.peek() in ("by", "to") else self._operand_or_it()
        if self.take("to the power of", "to the power", "to power"):
            return self._binary("**", first, self._unary())
        self.at = start
        return self._change("+")

    def _change(self, sign: str) -> Part:
        """ "increase 80 by 15%", "reduce it by 5"."""
        self._enter("by")
        base = self._the_result() if self.peek() == "by" else self._operand_or_it()
        self._leave()
        self.expect("by")
        amount = self._operand()
        if amount.percent:
            return self._percent_more(sign, base, amount)
        return self._binary(sign, base, amount)

    def _round(self) -> Part:
        """ "round 3.14159 to 2 decimals", "round it to the nearest ten"."""
        self._enter("to", "up", "down")
        value = self._the_result() if self.peek() in ("to", "") else self._operand_or_it()
        self._leave()
        if self.take("up"):
            return Part(f"ceil({value.text})", worked=True)
        if self.take("down"):
            return Part(f"floor({value.text})", worked=True)
        digits = 0
        if self.take("to", "off to"):
            if self.take("the nearest", "nearest", "a", "an", "the closest"):
                name = self.peek()
                if name not in _PLACES:
                    raise NotASum
                self.at += 1
                self.take("number", "integer")
                digits = _PLACES[name]
            else:
                places = self._number().text
                if not places.isdecimal() or int(places) > 12:
                    raise NotASum
                self.take("decimal", "significant") and None
                self.expect("places", "place", "decimals", "digits", "digit", "decimal")
                self.take("after the decimal point", "after the point")
                digits = int(places)
        inner = f"{value.text}, {digits}" if digits else value.text
        return Part(f"round({inner})", worked=True)

    def _operand_or_it_comes(self) -> bool:
        return self._operand_comes() or any(
            tuple(self.words[self.at : self.at + len(each)]) == each for each in IT
        )

    def _operand_or_it(self) -> Part:
        """An operand; the result so far, if it is meant or nothing is named."""
        if self.it is not None and (self.ended or self.peek() in (",", ".", ";", "and", "then")):
            return self._the_result()
        return self._product()

    def _last_or_it(self) -> Part:
        """The second operand of a verb. A sign behind it could belong to it or to the whole."""
        if self.it is not None and (self.ended or self.peek() in (",", ".", ";", "and", "then")):
            return self._the_result()
        return self._power()

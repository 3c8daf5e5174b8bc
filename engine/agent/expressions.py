"""Expressions in plain words: numbers, signs, and phrases such as "the square root of 81".

A recursive-descent parser. Each method reads one kind of phrase at the present word and steps over
it, or raises NotASum. sums.py reads whole texts with it.
"""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from engine.agent.numbers import Token

DEPTH = 40  # nested phrases and brackets

DATA = tomllib.loads(Path(__file__).with_name("sums.toml").read_text(encoding="utf-8"))


def phrases(name: str) -> list[tuple[str, ...]]:
    """Phrases of sums.toml as tuples of words, the longest first."""
    return sorted({tuple(each.split()) for each in DATA[name].split("|")}, key=len, reverse=True)


IT = phrases("it")
_FRACTIONS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4,
    "fourths": 4, "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7,
    "eighth": 8, "eighths": 8, "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10,
    "hundredth": 100, "hundredths": 100,
}  # fmt: skip
_ORDINALS = {
    "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10,
}  # fmt: skip
_TIMES = {"twice": 2, "double": 2, "triple": 3, "thrice": 3, "treble": 3, "quadruple": 4}
FUNCTIONS = frozenset(DATA["functions"].split())
CONSTANTS = frozenset(DATA["constants"].split())
_LABELS = frozenset(DATA["labels"].split())
CURRENCY_SIGNS = frozenset("$€£")


TWO_WAYS = "This can be read in two ways. Write it with brackets, such as (100 - 17) / 2."


class NotASum(Exception):  # noqa: N818 - it is no error: other readings are tried
    """The text is no calculation, or cannot be read with certainty. The message says so to the
    user if it is a calculation that has two readings; else it is empty."""


@dataclass(frozen=True, slots=True)
class Part:
    """An expression. atom: it needs no brackets. percent: the number before "%".

    worked: it has an operation.
    """

    text: str
    atom: bool = True
    percent: str = ""
    worked: bool = False

    def __str__(self) -> str:
        return self.text if self.atom else f"({self.text})"


@dataclass
class ExpressionReader:
    """`allowed`: other words stand for values of the documents, and become `references`. `it`: the
    result so far, for "then double it". `stops`: words that end a reference."""

    source: str
    tokens: list[Token]
    allowed: bool
    references: list[str] = field(default_factory=list)
    at: int = 0
    depth: int = 0
    numbers: int = 0
    it: Part | None = None
    it_used: bool = False
    labels: set[str] = field(default_factory=set)
    stops: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = [token.text for token in self.tokens]

    # Steps over words

    def peek(self, by: int = 0) -> str:
        index = self.at + by
        return self.words[index] if index < len(self.words) else ""

    def take(self, *phrases: str) -> bool:
        """Step over the first of these phrases that comes next."""
        for phrase in phrases:
            words = phrase.split()
            if self.words[self.at : self.at + len(words)] == words:
                self.at += len(words)
                return True
        return False

    def take_any(self, phrases: list[tuple[str, ...]]) -> bool:
        for phrase in phrases:
            if tuple(self.words[self.at : self.at + len(phrase)]) == phrase:
                self.at += len(phrase)
                return True
        return False

    def expect(self, *phrases: str) -> None:
        if not self.take(*phrases):
            raise NotASum

    @property
    def ended(self) -> bool:
        return self.at >= len(self.words)

    # Expressions, from the loosest sign to the tightest

    def _expression(self, left: Part | None = None) -> Part:
        left = self._product(left)
        while True:
            if self.take("+", "plus", "added to", "and add"):
                left = self._plus("+", left)
            elif self.take("-", "minus", "less", "take away"):
                left = self._plus("-", left)
            elif self.take("increased by"):
                left = self._plus("+", left)
            elif self.take("decreased by", "reduced by", "discounted by"):
                left = self._plus("-", left)
            elif self._with_percent():
                sign = "+"
                self.at += 1  # with, including
                amount = self._operand()
                if self.take("off", "discount", "less", "taken off"):
                    sign = "-"
                else:
                    self.take("added", "on top", "more")
                    self._tax()
                if not amount.percent:
                    raise NotASum
                left = self._percent_more(sign, left, amount)
            else:
                return left

    def _with_percent(self) -> bool:
        return (
            self.peek() in ("with", "including", "plus", "at")
            and self.peek(2) in ("%", "percent")
            and not self.references
        )

    def _tax(self) -> None:
        self.take("vat", "tax", "sales tax", "tip", "interest", "service", "markup", "gst", "fee")

    def _plus(self, sign: str, left: Part) -> Part:
        right = self._product()
        self._tax() if right.percent else None
        if right.percent:  # as on a pocket calculator: "80 + 15%" is 80 and 15% of 80
            return self._percent_more(sign, left, right)
        return self._binary(sign, left, right)

    def _percent_more(self, sign: str, base: Part, amount: Part) -> Part:
        return Part(f"{base} {sign} {amount.percent} / 100 * {base}", False, worked=True)

    def _product(self, left: Part | None = None) -> Part:
        left = self._power(left)
        while True:
            if self.take("*", "times", "multiplied by", "multiplied with") or (
                self.peek() == "x" and self._operand_comes(1) and self.take("x")
            ):
                left = self._binary("*", left, self._power())
            elif self.take("/", "divided by", "over", "split by"):
                right = self._power()
                left = self._binary("/", left, right)
            elif self.take("//"):
                left = self._binary("//", left, self._power())
            elif self.take("mod", "modulo") or (
                self.peek() == "%" and self._operand_comes(1) and self.take("%")
            ):
                left = self._binary("%", left, self._power())
            elif self.peek() == "of" and re.fullmatch(r"[\d.]+ / [\d.]+", left.text):  # 3/4 of 20
                self.at += 1
                left = self._binary("*", left, self._power())
            else:
                return left

    def _power(self, base: Part | None = None) -> Part:
        base = base or self._unary()
        while True:
            if self.take("**", "^", "to the power of", "to the power", "to power", "raised to the "
                         "power of", "raised to"):  # fmt: skip
                base = self._binary("**", base, self._power())
            elif self.peek(2) in _ORDINALS and self.peek(3) == "power" and self.take("to the"):
                base = self._binary("**", base, Part(str(_ORDINALS[self.peek()])))
                self.at += 2
            elif self.peek() == "to" and self.peek(1) == "the" and self.peek(3) in (
                "th", "st", "nd", "rd"
            ):  # fmt: skip
                self.at += 2
                base = self._binary("**", base, self._number())
                self.at += 1
                self.take("power")
            elif self.take("squared"):
                base = self._binary("**", base, Part("2"))
            elif self.take("cubed"):
                base = self._binary("**", base, Part("3"))
            elif self.peek() == "!" and self.tokens[self.at].joined:
                if self.at + 1 == len(self.words) and self.numbers > 1:
                    raise NotASum("“!” can be a factorial or an exclamation mark. Leave it out, or "
                                  "write factorial(4).")  # fmt: skip
                self.at += 1
                base = Part(f"factorial({base.text})", worked=True)
            elif self.take("factorial"):
                base = Part(f"factorial({base.text})", worked=True)
            else:
                return base

    def _unary(self) -> Part:
        self.depth += 1
        if self.depth > DEPTH:
            raise NotASum
        try:
            if self.take("-", "minus", "negative"):
                return Part(f"-{self._power()}", False)
            if self.take("+"):
                return self._unary()
            return self._operand()
        finally:
            self.depth -= 1

    # Operands

    def _operand_comes(self, by: int = 0) -> bool:
        """Whether a number, a bracket or a phrase for a number comes next."""
        index = self.at + by
        if index >= len(self.words):
            return False
        word = self.words[index]
        if word in CURRENCY_SIGNS:
            return True
        if word in ("the", "a"):
            word = self.peek(by + 1)
            return word in ("square", "cube", "sum", "product", "difference") or (
                word in _FRACTIONS
            )
        if word == "-":  # a sign, and no operation
            following = self.tokens[index + 1] if index + 1 < len(self.words) else None
            return following is not None and following.is_number and following.joined
        return (
            self.tokens[index].is_number
            or word in ("(", "half", *_TIMES)
            or word in FUNCTIONS
            or word in CONSTANTS
        )

    def _reference_comes(self) -> bool:
        return self.allowed and self.peek() in ("the", "my", "our")

    def _the_result(self) -> Part:
        """The result so far."""
        if self.it is None:
            raise NotASum
        self.it_used = True
        return self.it

    def _operand(self) -> Part:
        if self.it is not None and self.take_any(IT):
            return self._the_result()
        if self.peek() in CURRENCY_SIGNS:
            self.labels.add(self.peek())
            self.at += 1
        if self.ended:
            raise NotASum
        if self.take("("):
            self.depth += 1
            if self.depth > DEPTH:
                raise NotASum
            inner = self._expression()
            self.depth -= 1
            self.expect(")")
            return Part(inner.text, inner.atom, worked=True)
        if self.tokens[self.at].is_number:
            return self._from_number()
        word = self.peek()
        if word in FUNCTIONS and self.peek(1) == "(":
            return self._call()
        for read in (self._prefix, self._list_form):
            if (part := read()) is not None:
                return part
        if word in CONSTANTS:
            self.at += 1
            return Part(word)
        if self.allowed:
            return self._reference()
        raise NotASum

    def _call(self) -> Part:
        name = self.peek()
        self.at += 2
        arguments = [self._expression()]
        while self.take(","):
            arguments.append(self._expression())
        self.expect(")")
        inner = ", ".join(part.text for part in arguments)
        return Part(f"{name}({inner})", worked=True)

    def _number(self) -> Part:
        if self.ended or not self.tokens[self.at].is_number:
            raise NotASum
        text = self.words[self.at]
        self.at += 1
        self.numbers += 1
        text = text if "." in text or "e" in text else text.lstrip("0") or "0"
        return Part(text)

    def _from_number(self) -> Part:
        """A number with what belongs to it: "15% of 80", "3 quarters of 20", "7 dozen"."""
        number = self._number()
        if self.peek() == "," and not self.ended:
            self._check_comma()
        percent = (self.peek() == "%" and not self._operand_comes(1)) and self.take("%")
        if percent or self.take("percent", "per cent", "percentage"):
            part = Part(f"{number} / 100", False, percent=number.text)
            between = 1 if self.peek(1) in ("of", "on", "for") and self.peek().isalpha() else 0
            if self.peek(between) in ("of", "on") and self.peek() not in ("off",):
                self.at += between + 1
                self.take("the number")
                return self._binary("*", part, self._power())
            if self.take("off of", "off", "less than"):
                if self.ended or self.peek() == ",":
                    self.at -= 1
                    return part
                return self._percent_more("-", self._power(), part)
            if self.take("more than", "greater than", "higher than", "above"):
                return self._percent_more("+", self._power(), part)
            return part
        if self.peek() in _FRACTIONS and self.peek(1) == "of":
            below = _FRACTIONS[self.peek()]
            self.at += 2
            return Part(f"{number} / {below} * {self._power()}", False, worked=True)
        if self.take("dozen", "dozens"):
            self._label()
            return Part(f"{number} * 12", False, worked=True)
        self._label()
        if self.take("more than"):
            return self._binary("+", self._power(), number)
        if self.take("less than", "fewer than"):
            return self._binary("-", self._power(), number)
        return number

    def _check_comma(self) -> None:
        """ "3,5" may be a decimal comma.

        Raises:
            NotASum: it may.
        """
        comma = self.tokens[self.at]
        after = self.tokens[self.at + 1] if self.at + 1 < len(self.words) else None
        if comma.joined and after is not None and after.is_number and after.joined:
            raise NotASum(
                "A comma between two digits can be read in two ways. Write decimals with a point, "
                "as in 3.5, and separate numbers with a comma and a space."
            )

    def _label(self) -> None:
        if self.peek() in _LABELS and not self.ended:
            self.labels.add(self.peek().rstrip("s"))
            self.at += 1

    def _prefix(self) -> Part | None:
        """ "the square root of 81", "half of 390", "a third of 750", "twice 12"."""
        start = self.at
        self.take("the", "a", "an", "one", "its")
        if self.take("square root of", "square root from", "root of", "sqrt of", "sqrt"):
            return Part(f"sqrt({self._power().text})", worked=True)
        if self.take("square root"):
            return Part(f"sqrt({self._the_result().text})", worked=True)
        if self.take("cube root of", "cubic root of", "third root of"):
            return Part(f"cbrt({self._power().text})", worked=True)
        if self.take("cube root"):
            return Part(f"cbrt({self._the_result().text})", worked=True)
        if self.take("square of"):
            return self._binary("**", self._power(), Part("2"))
        if self.take("cube of"):
            return self._binary("**", self._power(), Part("3"))
        if self.take("factorial of"):
            return Part(f"factorial({self._unary().text})", worked=True)
        if self.take("absolute value of"):
            return Part(f"abs({self._unary().text})", worked=True)
        if self.take("reciprocal of", "inverse of"):
            return self._binary("/", Part("1"), self._power())
        word = self.peek()
        if word in _FRACTIONS and self.peek(1) == "of":
            self.at += 2
            return self._binary("/", self._power(), Part(str(_FRACTIONS[word])))
        if word == "half" and (self._operand_comes(1) or (self.allowed and self.peek(1) == "the")):
            self.at += 1
            return self._binary("/", self._power(), Part("2"))
        alone = self.peek(1) in ("", ",", "and", "then")  # "…, then take half"
        if word in ("half", "quarter", "third") and self.it is not None and alone:
            self.at += 1
            return self._binary("/", self._the_result(), Part(str(_FRACTIONS[word])))
        if word in _TIMES:
            self.at += 1
            self.take("of")
            return self._binary("*", Part(str(_TIMES[word])), self._power())
        self.at = start
        return None

    def _list_form(self) -> Part | None:
        """ "the sum of 3, 4 and 5", "the average of 4, 8 and 15", "the remainder of 17 divided by
        5"."""
        start = self.at
        self.take("the", "a", "an", "their", "its")
        forms: list[tuple[tuple[str, ...], str]] = [
            (("sum total of", "sum of", "total of"), "+"),
            (("product of",), "*"),
            (("arithmetic mean of", "mean of", "average of", "average value of"), "mean"),
            (("median of",), "median"),
            (("maximum of", "largest of", "biggest of", "highest of", "max of"), "max"),
            (("minimum of", "smallest of", "lowest of", "least of", "min of"), "min"),
            (("greatest common divisor of", "greatest common factor of", "gcd of",
              "highest common factor of"), "gcd"),
            (("least common multiple of", "lowest common multiple of", "lcm of"), "lcm"),
        ]  # fmt: skip
        for names, sign in forms:
            if self.take(*names):
                self.take("the numbers", "the number", "these numbers", ":", "numbers")
                parts = self._list()
                if sign in FUNCTIONS:
                    inner = ", ".join(part.text for part in parts)
                    return Part(f"{sign}({inner})", worked=True)
                return Part(f" {sign} ".join(map(str, parts)), False, worked=True)
        if self.take("difference between", "difference of"):
            first, second = self._pair("and", "from")
            return Part(f"abs({first} - {second})", worked=True)
        if self.take("quotient of", "ratio of", "ratio between"):
            first, second = self._pair("and", "to", "divided by")
            return self._binary("/", first, second)
        if self.take("remainder of", "remainder when", "remainder if", "remainder when you divide",
                     "remainder from", "rest of"):  # fmt: skip
            self.take("dividing", "you divide", "i divide", "the division of")
            first, second = self._pair("is divided by", "divided by", "by", "and", "/")
            return self._binary("%", first, second)
        self.at = start
        return None

    def _list(self) -> list[Part]:
        """ "3, 4 and 5". What follows the last one, as in "the sum of 3 and 4 times 2", is not part
        of it."""
        self._enter(",", "and")
        parts = [self._product()]
        while True:
            at = self.at
            if not self.take(", and", ",", "and", "&") or not (
                self._operand_comes() or self._reference_comes()
            ):
                self.at = at
                break
            part = self._power()
            parts.append(self._product(part) if self._list_goes_on() else part)
        self._leave()
        if self.peek() in ("times", "*", "/", "divided", "multiplied") and any(
            re.search(" [*/] ", part.text) for part in parts
        ):
            raise NotASum(TWO_WAYS)
        if len(parts) < 2:
            raise NotASum
        return parts

    def _list_goes_on(self) -> bool:
        """Whether the next separator is followed by a further operand."""
        place = next((n for n, w in enumerate(self.words[self.at :]) if w in (",", "and")), None)
        return place is not None and self._operand_comes(place + 1)

    def _pair(self, *between: str) -> tuple[Part, Part]:
        self._enter(*(each.split()[0] for each in between))
        first = self._power()
        self._leave()
        self.expect(*between)
        return first, self._power()

    # References to values that are not in the text

    def _enter(self, *stops: str) -> None:
        self.stops.append(stops)

    def _leave(self) -> None:
        self.stops.pop()

    def _reference(self) -> Part:
        """The words up to the next sign, separator or stop word: "the price of the rover"."""
        first = self.at
        while not self.ended and not self._ends_reference():
            self.at += 1
        if self.at == first:
            raise NotASum
        start, end = self.tokens[first].start, self.tokens[self.at - 1].end
        text = self.source[start:end].strip(" ,")
        if not re.search(r"[^\W\d]{2}", text):
            raise NotASum
        if text not in self.references:
            self.references.append(text)
        return Part(f"value_{self.references.index(text) + 1}")

    def _ends_reference(self) -> bool:
        token, word = self.tokens[self.at], self.peek()
        if any(word in each for each in self.stops):
            return True
        if word in ("+", "*", "/", "-", "^", "**") and not token.joined:
            return True
        if word in (",", ";", "?", "."):
            return word != "." or not token.joined or self.at + 1 >= len(self.words) or (
                not self.tokens[self.at + 1].joined
            )  # fmt: skip
        if word == "x":
            return self._operand_comes(1)
        return word in ("times", "plus", "minus", "multiplied", "divided", "then", ")")

    def _binary(self, sign: str, left: Part, right: Part) -> Part:
        return Part(f"{left} {sign} {right}", False, worked=True)

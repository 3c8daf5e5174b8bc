"""The calculator: evaluates arithmetic in untrusted text, and finds expressions in questions.

    text → tokens → the tokens of a Python expression → a syntax tree → a number

The first pass splits the text into tokens, the second replaces words such as "plus" and "15% of".
The syntax tree is evaluated by this module and is never executed. Each pass takes linear time, and
the length of the text and the size of numbers are limited, so no input takes long.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from engine.errors import ToolError

LENGTH = 200  # characters of an expression
QUESTION = 1000  # characters of a question; longer ones are not searched for an expression
BITS = 4096  # of the largest whole number, which has about 1,200 digits
DIGITS = 30  # the largest second argument of round()

Number = int | float

_OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _round(value: Number, digits: int = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > DIGITS:
        raise ValueError(f"round() takes a whole number of digits, at most {DIGITS}")
    return round(value, digits) if digits else round(value)


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": math.sqrt,
    "abs": abs,
    "round": _round,
    "min": min,
    "max": max,
}
CONSTANTS: dict[str, Number] = {
    "pi": math.pi,
    "e": math.e,
    "days_per_week": 7,
    "hours_per_day": 24,
    "minutes_per_hour": 60,
    "seconds_per_minute": 60,
    "months_per_year": 12,
}


def calculator(expression: str) -> str:
    """Compute an arithmetic expression such as (2 + 3) * 4, 15% of 240 or sqrt(2).

    Use only numbers from the task or from tool results. Named constants: pi, e, days_per_week,
    hours_per_day, minutes_per_hour, seconds_per_minute, months_per_year.
    """
    if len(expression) > LENGTH:
        raise ToolError(f"The expression is longer than {LENGTH} characters. Shorten it.")
    tree = _parse(_as_python(_tokens(expression)), expression)
    try:
        value = _value(tree.body)
    except ZeroDivisionError:
        raise ToolError("Division by zero has no result.") from None
    except OverflowError:
        raise ToolError("The result is too large.") from None
    except (ValueError, TypeError) as error:
        raise ToolError(f"This cannot be computed: {error}.") from None
    return f"{ast.unparse(tree)} = {_written(value)}"


def plain_arithmetic(question: str) -> str | None:
    """The expression that a question states literally, or None if it states none.

    "What is 15% of 240?" → "15 / 100 * 240"; "If 6 pens cost 9 euros…" → None.
    """
    if len(question) > QUESTION or _NOT_A_SUM.search(question):
        return None
    fillers = set(_FILLERS.split())
    tokens = [token for token in _tokens(question.lower()) if token.text not in fillers]
    while tokens and tokens[-1].text in _ENDS:
        tokens.pop()
    try:
        tree = _parse(_as_python(tokens), question)
    except ToolError:
        return None
    if not isinstance(tree.body, ast.BinOp | ast.Call):
        return None  # one number alone
    if any(isinstance(node, ast.Tuple | ast.Starred) for node in ast.walk(tree)):
        return None
    return ast.unparse(tree) if any(isinstance(n, ast.Constant) for n in ast.walk(tree)) else None


def count_numbers(text: str) -> int:
    """How many numbers are in a text, in digits or in words."""
    return sum(token.is_number or token.text.lower() in _NAMED for token in _tokens(text))


def unknown_numbers(expression: str, sources: Iterable[str]) -> list[str]:
    """The numbers of an expression that occur in none of the source texts.

    A word stands for the numbers that it names: "dozen" for 12, "half" for 2 and 0.5. A percentage
    also stands for its hundredth. Constants such as pi are not numbers here.
    """
    known: set[Decimal] = set()
    for source in sources:
        tokens = _tokens(source.lower())
        for token, after in zip(tokens, [*tokens[1:], _END], strict=False):
            if token.is_number and len(token.text) <= LENGTH:
                known.add(Decimal(token.text))
                if after.text in ("%", "percent"):
                    known.add(Decimal(token.text) / 100)
            known.update(map(Decimal, _NAMED.get(token.text, ())))
    used = (token.text for token in _tokens(expression) if token.is_number)
    return [text for text in used if Decimal(text) not in known]


# Text → tokens


@dataclass(frozen=True, slots=True)
class _Token:
    """A number without separators, a word, or a sign. `joined`: no space precedes it."""

    text: str
    is_number: bool = False
    joined: bool = False


_END = _Token("")
# Possessive quantifiers (++, *+) do not backtrack: each character is read once.
_TOKEN = re.compile(
    r"(?P<space>\s++)|(?P<number>(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?:e[+-]?[0-9]++)?)"
    r"|(?P<word>[^\W\d]\w*+)|\*\*|//|.",
    re.I | re.S,
)
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
# Dates (2026-11-21, 24/12/2026) and factorials (5!), which would be read as other calculations.
_NOT_A_SUM = re.compile(
    r"\b(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{4})\b|[0-9)]!"
)
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_WORDS.split())}
# Words that name numbers, with the numbers that an expression may have in their place.
_NAMED: dict[str, tuple[str, ...]] = {
    **{word: (value,) for word, value in _NUMBER_WORDS.items()},
    "dozen": ("12",),
    "hundred": ("100",),
    "thousand": ("1000",),
    "million": ("1000000",),
    "half": ("2", "0.5"),
    "third": ("3",),
    "quarter": ("4", "0.25"),
    "twice": ("2",),
    "double": ("2",),
    "triple": ("3",),
    "square": ("2",),
    "squared": ("2",),
    "cube": ("3",),
    "cubed": ("3",),
    "%": ("100",),
    "percent": ("100",),
}


def _tokens(text: str) -> list[_Token]:
    """The tokens of a text. "1,240" is one number, except among a function's arguments."""
    tokens: list[_Token] = []
    joined = False
    for found in _TOKEN.finditer(text.translate(_SIGNS)):
        if found.lastgroup == "space":
            joined = False
            continue
        tokens.append(_Token(found[0], found.lastgroup == "number", joined))
        joined = True
    calls = any(
        token.text == "(" and token.joined and before.text in _FUNCTIONS
        for before, token in pairwise(tokens)
    )
    return tokens if calls else _without_separators(tokens)


def _without_separators(tokens: list[_Token]) -> list[_Token]:
    """Join groups of three digits that commas without spaces separate to one number."""
    result: list[_Token] = []
    at = 0
    while at < len(tokens):
        end = at + 1
        groups = [tokens[at].text]
        while (
            tokens[at].is_number
            and end + 1 < len(tokens)
            and tokens[end].text == ","
            and tokens[end].joined
            and tokens[end + 1].is_number
            and tokens[end + 1].joined
        ):
            groups.append(tokens[end + 1].text)
            end += 2
        whole = [group.partition(".")[0] for group in groups[1:]]
        decimals = any("." in group for group in groups[:-1])
        if whole and len(groups[0]) <= 3 and not decimals and all(len(g) == 3 for g in whole):
            result.append(_Token("".join(groups), True, tokens[at].joined))
        else:
            result += tokens[at:end]
        at = end
    return result


# Tokens → the tokens of a Python expression

_FILLERS = (
    "what whats is calculate compute evaluate how much many work out tell me please for do does "
    "you get if the result equal equals can could when i we a s : ' ’"
)
_ENDS = frozenset("?!=.")  # what a question may end with
_PHRASES: list[tuple[tuple[str, ...], str]] = [
    (("to", "the", "power", "of"), "**"),
    (("to", "power", "of"), "**"),
    (("raised", "to"), "**"),
    (("multiplied", "by"), "*"),
    (("divided", "by"), "/"),
    (("times",), "*"),
    (("x",), "*"),
    (("over",), "/"),
    (("plus",), "+"),
    (("minus",), "-"),
    (("^",), "**"),
]
# A word before an operand → the expression, with the operand in its place.
_BEFORE: dict[tuple[str, ...], str] = {
    ("square", "root", "of"): "sqrt ( {} )",
    ("square", "of"): "{} ** 2",
    ("half", "of"): "{} / 2",
    ("half",): "{} / 2",
    ("third", "of"): "{} / 3",
    ("quarter", "of"): "{} / 4",
    ("twice",): "2 * {}",
    ("double",): "2 * {}",
    ("triple",): "3 * {}",
}
_AFTER = {"squared": "** 2", "cubed": "** 3"}
# A verb, its two operands, and a word between them.
_VERBS = {
    ("subtract", "from"): "{1} - {0}",
    ("take", "from"): "{1} - {0}",
    ("deduct", "from"): "{1} - {0}",
    ("divide", "by"): "{0} / {1}",
    ("multiply", "by"): "{0} * {1}",
}
_LISTS = {"add": "+", "sum": "+", "product": "*"}
_SYMBOLS = frozenset(["+", "-", "*", "/", "**", "//", "%", "(", ")", ","])


def _as_python(tokens: list[_Token]) -> list[str]:
    """The tokens in Python's syntax. Unknown words are kept, and `_parse` refuses them."""
    words = [token.text if token.is_number else token.text.lower() for token in tokens]
    words = [_NUMBER_WORDS.get(word, word) for word in words]
    python: list[str] = []
    at = 0
    while at < len(words):
        done = _phrase(words, at) or _verb(words, at) or _list(words, at) or _percent(words, at)
        new, at = done or (_AFTER.get(words[at], words[at]).split(), at + 1)
        python += new
    return python


_Read = tuple[list[str], int] | None  # the Python tokens, and the index of the next word


def _phrase(words: list[str], at: int) -> _Read:
    for phrase, sign in _PHRASES:
        if tuple(words[at : at + len(phrase)]) == phrase:
            return [sign], at + len(phrase)
    for phrase, form in _BEFORE.items():
        after = at + len(phrase)
        if tuple(words[at:after]) == phrase and (operand := _operand(words, after)):
            return form.format(operand).split(), after + 1
    return None


def _verb(words: list[str], at: int) -> _Read:
    if at + 3 < len(words) and (form := _VERBS.get((words[at], words[at + 2]))):
        first, second = _operand(words, at + 1), _operand(words, at + 3)
        if first and second:
            return f"( {form.format(first, second)} )".split(), at + 4
    return None


def _list(words: list[str], at: int) -> _Read:
    """ "add 3, 4 and 5", "the sum of 3 and 4"."""
    if not (sign := _LISTS.get(words[at])):
        return None
    end = at + 1
    while end < len(words) and words[end] in ("of", "up"):
        end += 1
    operands: list[str] = []
    while operand := _operand(words, end):
        operands.append(operand)
        end += 1
        after = end
        while after < len(words) and words[after] in (",", "and", "to", "with"):
            after += 1
        if after == end or not _operand(words, after):
            break
        end = after
    if len(operands) < 2:
        return None
    return f"( {f' {sign} '.join(operands)} )".split(), end


def _percent(words: list[str], at: int) -> _Read:
    """ "15% of", "15 percent tip on" and "15%". "17 % 5" is a remainder.

    Raises:
        ToolError: "100 + 5%", which can mean 105 or 100.05.
    """
    number = _operand(words, at)
    signs = 1 if words[at + 1 : at + 2] in (["%"], ["percent"]) else 0
    signs = signs or (2 if words[at + 1 : at + 3] == ["per", "cent"] else 0)
    if not number or not signs:
        return None
    after = at + 1 + signs
    of = next((n for n in (after, after + 1) if words[n : n + 1] in (["of"], ["on"])), None)
    if of is not None and (of == after or words[after].isalpha()):
        return ["(", number, "/", "100", ")", "*"], of + 1
    if after < len(words) and (words[after] == "(" or _operand(words, after)):
        return None
    if at and words[at - 1] in ("+", "-", "plus", "minus"):
        raise ToolError(
            f"“{words[at - 1]} {number}%” can be read in two ways. Write the percentage of what "
            f"you mean, such as {number}% of 100."
        )
    return ["(", number, "/", "100", ")"], after


def _operand(words: list[str], at: int) -> str:
    """The number at this index, or an empty string."""
    return words[at] if at < len(words) and words[at][0].isdecimal() else ""


def _parse(python: list[str], original: str) -> ast.Expression:
    """The syntax tree of an expression of known names, numbers and signs.

    Raises:
        ToolError: it contains other words, or its syntax is wrong.
    """
    for word in python:
        known = word in _SYMBOLS or word in _FUNCTIONS or word in CONSTANTS or word[0] in _NUMERIC
        if not known:
            raise ToolError(f"“{word}” is not arithmetic. The calculator takes expressions only.")
    text = " ".join(w.lstrip("0") or "0" if w.isdecimal() else w for w in python)
    try:
        return ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = original if len(original) <= 80 else f"{original[:79]}…"
        raise ToolError(f"“{shown}” is not an arithmetic expression.") from None


_NUMERIC = frozenset("0123456789.")


# Tree → number


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value):
            return _bounded(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _bounded(_OPERATORS[type(sign)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(each) for each in args)))
    raise ToolError(f"“{ast.unparse(node)}” is not arithmetic.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and abs(base) > 1 and abs(exponent) * base.bit_length() > BITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ToolError("This has no real result.")
    return _bounded(result)


def _bounded(value: Number) -> Number:
    too_large = value.bit_length() > BITS if isinstance(value, int) else not math.isfinite(value)
    if too_large:
        raise OverflowError
    return value


def _written(value: Number) -> str:
    """The number as text. Fractions have 12 digits, which hides the rounding of binary floats."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole or isinstance(value, int) else f"{value:.12g}"

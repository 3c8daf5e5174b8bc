"""The calculator: arithmetic from untrusted text, and the arithmetic in a plain question. Pure.

An expression is parsed, never executed, and every step is bounded, so no input takes long or
much memory.
"""

import ast
import math
import operator
import re
from collections.abc import Callable

from engine.errors import ToolError

LENGTH = 200  # characters of an expression
BITS = 4096  # of a whole number: about 1,200 digits

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
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": math.sqrt,
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"})


def calculator(expression: str) -> str:
    """Compute an arithmetic expression such as (2 + 3) * 4, 15% of 240 or sqrt(2)."""
    tree = _parse(_as_python(expression))
    try:
        value = _value(tree.body)
    except ZeroDivisionError:
        raise ToolError("That divides by zero.") from None
    except OverflowError:
        raise ToolError("The result is too large.") from None
    except (ValueError, TypeError) as error:
        raise ToolError(f"That cannot be computed: {error}.") from None
    return f"{ast.unparse(tree)} = {_written(value)}"


def _parse(text: str) -> ast.Expression:
    if len(text) > LENGTH:
        raise ToolError(f"The expression is longer than {LENGTH} characters. Shorten it.")
    try:
        return ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ToolError(f"{text!r} is no arithmetic expression.") from None


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _bounded(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _bounded(_OPERATORS[type(sign)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(each) for each in args)))
    raise ToolError(f"The calculator does not know {ast.unparse(node)!r}: it does arithmetic only.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and abs(base) > 1 and abs(exponent) * base.bit_length() > BITS:
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ToolError("That has no real result.")
    return _bounded(result)


def _bounded(value: Number) -> Number:
    too_large = value.bit_length() > BITS if isinstance(value, int) else not math.isfinite(value)
    if too_large:
        raise OverflowError
    return value


def _written(value: Number) -> str:
    """Whole numbers in full, others to 12 digits, which hides what binary fractions cannot say."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole or isinstance(value, int) else f"{value:.12g}"


# What people write, as Python writes it

_N = r"(\d+(?:\.\d+)?)"
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_REWRITES = [
    (rf"{_N}\s*(?:%|per\s?cent)\s+(?:\w+\s+)?(?:of|on)\s+{_N}", r"\1 / 100 * \2"),
    (rf"{_N}\s*(?:%|per\s?cent)(?!\s*[\w(])", r"(\1 / 100)"),
    (rf"square root of {_N}", r"sqrt(\1)"),
    (rf"(?:a )?half of {_N}", r"\1 / 2"),
    (rf"a third of {_N}", r"\1 / 3"),
    (rf"a quarter of {_N}", r"\1 / 4"),
    (rf"(?:twice|double) {_N}", r"2 * \1"),
    (rf"{_N} squared", r"\1 ** 2"),
    (rf"{_N} cubed", r"\1 ** 3"),
    (rf"(?:subtract|take|deduct) {_N} from {_N}", r"\2 - \1"),
    (rf"divide {_N} by {_N}", r"\1 / \2"),
    (rf"multiply {_N} by {_N}", r"\1 * \2"),
    (r"(?:to the power of|raised to)", "**"),
    (r"(?:multiplied by|times)", "*"),
    (r"(?:divided by|over)", "/"),
    (r"plus", "+"),
    (r"minus", "-"),
]
_SUM = re.compile(rf"(?:add|sum)(?: up)? ({_N}(?:(?:,? and |, | to | with ){_N})+)")
_FILLERS = re.compile(
    r"\b(?:what|whats|is|calculate|compute|evaluate|how|much|many|work|out|tell|me|please|for|do|"
    r"does|you|get|if|the|result|equal|equals|can|could|when|i|we|a|s)\b|[?!=:']|\.(?!\d)"
)

_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|score|hundred|"
    r"thousand|million|half|third|quarter|twice|double|triple|pi)\b",
    re.I,
)


def _as_python(text: str) -> str:
    """Thousands without commas, where no function's arguments could be meant; signs and words."""
    text = text.strip().translate(_SIGNS)
    if not re.search(r"[a-z]\(", text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    for pattern, python in _REWRITES:
        text = re.sub(pattern, python, text, flags=re.I)
    return text


def names_a_number(text: str) -> bool:
    """Whether there is anything to compute with: "How many dogs were there?" has nothing."""
    return bool(_NUMBER.search(text))


def plain_arithmetic(question: str) -> str | None:
    """The expression that a question states in so many words; None where one must think.

    "What is 15% of 240?" → "15 / 100 * 240"; "If 6 pens cost 9 euros…" → None.
    """
    text = _as_python(question.lower())
    text = _SUM.sub(lambda found: " + ".join(re.findall(_N, found[1])), text)
    text = " ".join(_FILLERS.sub(" ", text).split())
    if re.search(r"[^\d\s.+*/()%-]", text.replace("sqrt(", "(")) or not re.search(r"\d", text):
        return None
    try:
        tree = _parse(text)
    except ToolError:
        return None
    return None if isinstance(tree.body, ast.Constant) else text

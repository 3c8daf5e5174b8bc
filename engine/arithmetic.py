"""Arithmetic: the value of an expression in untrusted text.

The syntax tree is evaluated by this module and is never executed. Values are exact fractions as
long as their operations allow it. The size of numbers is limited, so no input of limited length
takes long.
"""

import ast
import math
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from statistics import median

from engine.errors import ToolError

BITS = 4096  # of the largest whole number, which has about 1,200 digits
DIGITS = 30  # the largest second argument of round()
SHOWN = 12  # digits of a result that has more

Number = int | Fraction | float

_OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _round(value: Number, digits: int = 0) -> Number:
    """Halves are rounded away from zero, as at school."""
    if not isinstance(digits, int) or abs(digits) > DIGITS:
        raise ValueError(f"round() takes a whole number of digits, at most {DIGITS}")
    scale: Fraction = Fraction(10) ** int(digits)
    exact = Fraction(value if isinstance(value, int | Fraction) else repr(value))
    whole = math.floor(abs(exact) * scale + Fraction(1, 2))
    return Fraction(whole if value >= 0 else -whole) / scale


def _sqrt(value: Number) -> Number:
    if value >= 0 and isinstance(value, int | Fraction):
        exact = Fraction(value)
        above, below = math.isqrt(exact.numerator), math.isqrt(exact.denominator)
        if above * above == exact.numerator and below * below == exact.denominator:
            return Fraction(above, below)
    if value < 0:
        raise ValueError("the square root of a negative number is no real number")
    return math.sqrt(value)


def _cbrt(value: Number) -> Number:
    root = round(math.cbrt(value))
    return root if root**3 == value else math.cbrt(value)


def _whole(values: tuple[Number, ...]) -> list[int]:
    if not all(Fraction(value).denominator == 1 for value in values):
        raise ValueError("whole numbers are needed")
    return [int(value) for value in values]


def _factorial(value: Number) -> Number:
    (number,) = _whole((value,))
    if number > 400:
        raise OverflowError
    return math.factorial(number)


_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "sqrt": _sqrt,
    "cbrt": _cbrt,
    "abs": abs,
    "round": _round,
    "floor": math.floor,
    "ceil": math.ceil,
    "min": min,
    "max": max,
    "mean": lambda *values: sum(values) / Fraction(len(values)),
    "median": lambda *values: median(values),
    "gcd": lambda *values: math.gcd(*_whole(values)),
    "lcm": lambda *values: math.lcm(*_whole(values)),
    "factorial": _factorial,
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


def evaluate(expression: str) -> str:
    """An expression in Python's syntax → "expression = value", or "≈" where digits were cut off.

    Raises:
        ToolError: it is not arithmetic, or has no value.
    """
    try:
        tree = ast.parse(expression, mode="eval")
        value = _value(tree.body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ToolError(f"“{expression}” is not an arithmetic expression.") from None
    except ZeroDivisionError:
        raise ToolError("Division by zero has no result.") from None
    except OverflowError:
        raise ToolError("The result is too large.") from None
    except (ValueError, TypeError) as error:
        raise ToolError(f"This cannot be computed: {error}.") from None
    sign, text = written(value)
    return f"{ast.unparse(tree)} {sign} {text}"


def written(value: Number) -> tuple[str, str]:
    """("=", the value), or ("≈", the value to SHOWN digits)."""
    exact = Fraction(value) if isinstance(value, int | Fraction) else None
    if exact is not None and exact.denominator == 1:
        return "=", str(exact.numerator)
    if exact is not None:
        rest = exact.denominator
        while rest % 2 == 0:
            rest //= 2
        while rest % 5 == 0:
            rest //= 5
        decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
        if rest == 1 and Fraction(decimal) == exact:
            return "=", f"{decimal.normalize():f}"
    number = float(value)
    if number.is_integer() and abs(number) < 1e15:
        return "≈", str(int(number))
    return "≈", f"{number:.{SHOWN}g}"


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() as value):
            return _bounded(value)
        case ast.Constant(value=float() as value):
            return _bounded(Fraction(repr(value)) if math.isfinite(value) else value)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            above, below = _value(left), _value(right)
            exact = isinstance(above, int | Fraction) and isinstance(below, int | Fraction)
            return _bounded(Fraction(above) / below if exact else above / below)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _bounded(_OPERATORS[type(sign)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            arguments = [_value(each) for each in args]
            if name == "round":
                arguments[1:] = _whole(tuple(arguments[1:]))
            return _bounded(_FUNCTIONS[name](*arguments))
    raise ToolError(f"“{ast.unparse(node)}” is not arithmetic.")


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(exponent, int) or (
        isinstance(exponent, Fraction) and exponent.denominator == 1
    )
    if whole and isinstance(base, int | Fraction):
        exact, times = Fraction(base), int(exponent)
        bits = max(exact.numerator.bit_length(), exact.denominator.bit_length())
        if abs(exact) != 1 and exact != 0 and abs(times) * (bits - 1) > BITS:
            raise OverflowError
        return _bounded(exact**times)
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ToolError("This has no real result.")
    return _bounded(result)


def _bounded(value: Number) -> Number:
    if isinstance(value, float):
        too_large = not math.isfinite(value)
    else:
        parts = (Fraction(value).numerator, Fraction(value).denominator)
        too_large = max(part.bit_length() for part in parts) > BITS
    if too_large:
        raise OverflowError
    return value

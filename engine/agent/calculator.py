"""The calculator: text → expression (sums.py) → its value (engine/arithmetic.py)."""

from engine.agent.expressions import NotASum
from engine.agent.sums import read_sum
from engine.arithmetic import evaluate
from engine.errors import ToolError

LENGTH = 200  # characters of an expression


def calculator(expression: str) -> str:
    """Compute an arithmetic expression such as (2 + 3) * 4, 15% of 240 or sqrt(2).

    Use only numbers from the task or from tool results. Named constants: pi, e, days_per_week,
    hours_per_day, minutes_per_hour, seconds_per_minute, months_per_year. Functions: sqrt, cbrt,
    abs, round, floor, ceil, min, max, mean, median, gcd, lcm, factorial.
    """
    if len(expression) > LENGTH:
        raise ToolError(f"The expression is longer than {LENGTH} characters. Shorten it.")
    try:
        read = read_sum(expression, single=True)
    except NotASum as reason:
        raise ToolError(str(reason)) from None
    if read is None:
        shown = expression if len(expression) <= 80 else f"{expression[:79]}…"
        raise ToolError(
            f"“{shown}” is not an arithmetic expression. The calculator takes numbers, + - * / // "
            "% **, brackets, and its functions."
        )
    return evaluate(read.expression)

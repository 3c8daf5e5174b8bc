"""English: the words for numbers and months, and a number with its noun."""

# ruff: noqa: SIM905 - a word list is easier to read as one text

# In order: the place of a word is its number.
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # from 20 on
MONTHS = (
    "january february march april may june july august september october november december"
).split()


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 pair, 6 pairs."""
    return f"{number:,} {noun}{'s' * (number != 1)}"

"""Word problems: only what the units or a known form prove is computed."""

import pytest

from engine.agent.problems import looks_like_a_problem, read_problem
from engine.arithmetic import evaluate


@pytest.mark.parametrize(
    ("problem", "result", "unit"),
    [
        ("If a ticket costs 12 and I buy 7, how much is it?", "84", ""),
        ("A ticket costs 14 crowns. What do 3 tickets cost?", "42", "crowns"),
        ("If 6 pens cost 9 euros, what do 10 pens cost?", "15", "euros"),
        ("A box holds 24 eggs. How many eggs are in 15 boxes?", "360", "eggs"),
        ("a bottle holds 0.75 litres. how many bottles do i need for 9 litres", "12", "bottles"),
        ("A train travels at 80 km/h for 3 hours. How far does it get?", "240", "kilometres"),
        ("If I drive 300 km in 4 hours, what is my average speed?", "75", "kilometres per hour"),
        ("A car uses 6 litres per 100 km. How much does it use for 250 km?", "15", "litres"),
        ("I earn 2,400 euros a month. How much is that a year?", "28800", "euros per year"),
        ("Three friends share a bill of 86.40 euros equally. How much does each pay?", "28.8",
         "euros"),
        ("Share 96 apples among 8 children: how many does each get?", "12", "apples"),
        ("A class of 28 children is split into groups of 4. How many groups are there?", "7",
         "groups"),
        ("119 euros incl. 19 % VAT, how much is that without the tax?", "100", "euros"),
        ("A shirt costs 40 euros. It is reduced by 25%. How much is it now?", "30", "euros"),
        ("Tom has 12 apples. He gives 5 to Anna and buys 3 more. How many apples does he have?",
         "10", "apples"),
        ("A book has 300 pages. I read 25 pages a day. How many days do I need?", "12", "days"),
    ],
)  # fmt: skip
def test_a_problem_that_its_units_prove_is_computed(problem: str, result: str, unit: str) -> None:
    read = read_problem(problem)
    assert read
    assert evaluate(read.expression).rpartition(" ")[2] == result
    assert read.unit == unit


@pytest.mark.parametrize(
    "problem",
    [
        "If 3 workers need 6 days, how long do 2 workers need?",
        "If it takes 5 minutes to boil an egg, how long does it take to boil 3 eggs?",
        "A farmer has 17 sheep and all but 9 die. How many are left?",
        "Anna is 8 years older than Ben. Together they are 42. How old is Ben?",
        "Tom has 12 apples. He gives 5 to Anna. How many apples does Anna have?",
        "I have 3 apples and 4 oranges. How many apples do I have?",
        "A dog eats 2 cans a day. How many cans do 3 dogs eat in 7 days?",
        "A jacket costs 80 euros with 20% discount. What was the original price?",
        "A bus has 40 seats and 27 people get on. How many seats are free?",
        "A class of 29 children is split into groups of 4. How many groups are there?",
    ],
)
def test_a_problem_that_nothing_proves_is_not_computed_but_recognised(problem: str) -> None:
    assert read_problem(problem) is None
    assert looks_like_a_problem(problem)


@pytest.mark.parametrize(
    "question", ["How many dogs are there?", "Who built the mill in 1684?", "2 + 2", ""]
)
def test_other_questions_are_no_problems(question: str) -> None:
    assert read_problem(question) is None
    assert not looks_like_a_problem(question)

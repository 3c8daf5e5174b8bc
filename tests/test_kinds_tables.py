"""Tables that are read back from passages, and questions that are computed over their rows."""

from collections.abc import Sequence

import pytest

from engine.kinds.computing import answer_of
from engine.kinds.querying import Query, query_of
from engine.kinds.tables import Piece, Table, tables_of
from engine.reading.tables import row_line
from engine.schema import Node

FARES = """\
Fare: Adult; Price: 14 crowns; Conditions: valid: one day
Fare: Child; Price: 7 crowns; Conditions: under fourteen
Fare: Dog; Price: free; Conditions: on a lead; no more than two
Fare: Car; Price: 48 crowns; Conditions: book ahead"""
STOCK = [
    [*("no", "item", "kind", "quantity", "unit_price_eur", "weight_kg"), "bought", "back", "spare"],
    ["T-1", "Long ladder", "tool", "4", "120", "9.5", "2022-03-01", "2024-01-09", "yes"],
    ["T-2", "Hammer", "tool", "12", "18.50", "0.8", "2019-06-11", "", "no"],
    ["R-1", "Static rope", "rope", "6", "80", "6", "2021-05-05", "2023-02-02", "no"],
    ["R-2", "Thin rope", "rope", "2", "45", "3", "2022-07-30", "", "yes"],
    ["R-22", "Rope bag", "bag", "0", "15", "0.4", "2022-11-02", "", "no"],
]
LOG = """\
MISSION LOG

No. 1 - 6 January 2024, Code Amber
A skier with a broken leg. Leader: Jorn Halle. Six members.

No. 2 - 19 January 2024, Code Red
An avalanche. Leader: Maren Tveit. Nineteen members.

No. 3 - 3 February 2024, Code Amber
A walker, tired. Leader: Maren Tveit. Twelve members.

END OF THE YEAR: 3 missions."""


def tables(text: str, name: str = "file.csv", heading: str = "") -> list[Table]:
    return tables_of([Piece(Node(text, {"file_name": name, "heading": heading}))])


def stock() -> Table:
    header, *rows = STOCK
    (table,) = tables("\n".join(row_line(header, row) for row in rows), "equipment.csv")
    return table


def cells(table: Table, column: str) -> list[str]:
    return [row.cells.get(column, "") for row in table.rows]


# ---- Tables


def test_rows_are_read_back_with_signs_of_cells_inside_of_cells() -> None:
    (table,) = tables(FARES)
    assert table.columns == ("Fare", "Price", "Conditions")
    assert cells(table, "Conditions")[0] == "valid: one day"
    assert cells(table, "Conditions")[2] == "on a lead; no more than two"
    row = table.rows[2]
    assert row.node.text[row.start : row.end].startswith("Fare: Dog")


def test_a_row_that_two_passages_share_is_one_row() -> None:
    whole = FARES.splitlines()
    first = "\n".join([whole[0], "Fare: Child; Price:"])
    second = "\n".join(["7 crowns; Conditions: under fourteen", *whole[2:]])
    pieces = [Piece(Node(text, {"heading": "rows 2–5"})) for text in (first, second)]
    (table,) = tables_of(pieces)
    assert cells(table, "Price") == ["14 crowns", "7 crowns", "free", "48 crowns"]


def test_a_table_that_goes_on_in_the_next_section_is_one_table() -> None:
    lines = FARES.splitlines()
    pieces = [
        Piece(Node("\n".join(part), {"heading": heading}))
        for part, heading in ((lines[:2], "rows 2–3"), (lines[2:], "rows 4–5"))
    ]
    (table,) = tables_of(pieces)
    assert len(table.rows) == 4


def test_bars_lists_and_pairs_are_tables() -> None:
    (bars,) = tables("Signal | Meaning\n\nBall | gale\n\nFlag | doctor\n\nCross | post")
    assert (bars.columns, len(bars.rows)) == (("Signal", "Meaning"), 3)
    (bullets,) = tables("You need\n\n- flour\n- water\n- salt")
    assert cells(bullets, "item") == ["flour", "water", "salt"]
    (pairs,) = tables("Prices\n\nTea: 2 crowns\nCoffee: 3 crowns\nMilk: 1 crown")
    assert cells(pairs, "detail") == ["2 crowns", "3 crowns", "1 crown"]


def test_prose_is_no_table() -> None:
    assert tables("He said: no. Then he left.\n\nThe mill stands by the creek; it is old.") == []


def test_entries_of_a_log_have_the_fields_that_all_of_them_state() -> None:
    (log,) = tables(LOG, "mission_log.txt")
    assert cells(log, "Code") == ["Amber", "Red", "Amber"]
    assert cells(log, "Leader") == ["Jorn Halle", "Maren Tveit", "Maren Tveit"]
    assert cells(log, "members") == ["6", "19", "12"]
    assert "END OF THE YEAR" not in cells(log, "text")[-1]


# ---- Questions


def asked(question: str, table: Table) -> Query:
    query = query_of(question, table)
    assert query is not None and not query.unexplained, query
    return query


def items(query: Query) -> list[str]:
    return [row.cells["no"] for row in query.rows]


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("List all equipment", ["T-1", "T-2", "R-1", "R-2", "R-22"]),
        ("Which items are tools?", ["T-1", "T-2"]),
        ("Which items cost more than 50 euros?", ["T-1", "R-1"]),
        ("Which ropes are cheaper than 50 euros?", ["R-2"]),
        ("Which items weigh at most three kg?", ["T-2", "R-2", "R-22"]),
        ("List the items that were bought in 2022", ["T-1", "R-2", "R-22"]),
        ("Which items were bought before June 2021?", ["T-2", "R-1"]),
        ("Which items are not back yet?", ["T-2", "R-2", "R-22"]),
        ("Which items have a spare?", ["T-1", "R-2"]),
        ("Which items have no spare?", ["T-2", "R-1", "R-22"]),
        ("What does R-2 cost?", ["R-2"]),  # and not R-22
        ("Who bought the static rope?", ["R-1"]),
        ("List everything that costs more than 100 euros", ["T-1"]),
    ],
)
def test_conditions_choose_rows(question: str, rows: list[str]) -> None:
    assert items(asked(question, stock())) == rows


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("How many items are in the equipment list?", "**5** of 5 rows"),
        ("How many ropes are there?", "**8**"),  # 6 and 2
        ("How many different kinds are there?", "**3** different values of kind"),
        ("What is the average weight?", "**3.94**"),
        ("What do all ropes cost together?", "**570**"),  # 6 × 80 + 2 × 45
        ("What is the cheapest item?", "**15**"),
        ("What is the heaviest tool?", "**9.5**"),
        ("Which item was bought last?", "**2022-11-02**"),
        ("Which kind has the most items?", "**tool, rope**"),
        ("How many hammers do we have?", "quantity: **12**"),
        ("Which kinds do we have?", "**3** different values of kind"),
        ("total weight of the static rope", "weight_kg: **6**"),
        ("What are the two most expensive items?", "**120** (T-1, Long ladder)"),
    ],
)
def test_counts_sums_and_extremes_are_computed(question: str, said: str) -> None:
    treated = answer_of(asked(question, stock()))
    assert treated is not None and said in treated.text[0], treated


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is the total duration of all recordings?", "**33:20**"),
        ("What is the average duration?", "**11:07**"),
        ("Which recording has the longest duration?", "**30:05** (Fog horn)"),
        ("What is the total size of all recordings?", "**300,002,749.75**"),
        ("What is the total tape of all recordings?", "**3.25 m**"),  # 2.5 m + 1/2 m + 25 cm
        ("Which recordings have a weight of less than 900 g?", "2 of 3 rows"),
    ],
)
def test_durations_fractions_powers_of_ten_and_mixed_units_are_computed(
    question: str, said: str
) -> None:
    header = ["recording", "duration", "size", "tape", "weight_kg"]
    rows = [
        ["Fog horn", "30:05", "3.00E+08", "2½ m", "1.5"],
        ["Mill wheel", "1:10", "2 3/4", "1/2 m", "0.8"],
        ["Tide bell", "2:05", "2.747E+03", "25 cm", "0.3"],
    ]
    (table,) = tables("\n".join(row_line(header, row) for row in rows), "recordings.xlsx")
    treated = answer_of(asked(question, table))
    assert treated is not None and said in treated.text[0], treated


def test_the_rows_that_were_used_are_shown_and_quoted() -> None:
    treated = answer_of(asked("What are the two most expensive items?", stock()))
    assert treated is not None
    text = "".join(treated.text)
    assert text.count("\n| ") == 4 and "Long ladder" in text and "Static rope" in text
    (source,) = treated.sources
    assert {source.sentence(each)[:7] for each in source.evidence} == {"no: T-1", "no: R-1"}
    assert treated.did == "2 of 5 rows of equipment.csv, computed"


@pytest.mark.parametrize(
    "question",
    [
        "Who invented the ladder?",
        "How many ladders broke last winter?",
        "Which items are insured?",
        "What is the colour of the hammer?",
    ],
)
def test_words_that_nothing_in_the_table_explains_are_not_ignored(question: str) -> None:
    query = query_of(question, stock())
    assert query is None or query.unexplained


def test_a_year_that_is_not_in_the_table_is_not_answered_with_nought() -> None:
    treated = answer_of(asked("How many items were bought in 1999?", stock()))
    assert treated is not None and treated.missing


def test_questions_about_entries_are_counted() -> None:
    (log,) = tables(LOG, "mission_log.txt")
    count = answer_of(asked("How many missions did Maren Tveit lead?", log))
    assert count is not None and count.text[0].startswith("**2** of 3 rows")
    most = answer_of(asked("Which mission had the most members?", log))
    assert most is not None and "**19** (No. 2" in most.text[0]


def test_a_list_of_many_rows_is_cut_and_says_so() -> None:
    lines = "\n".join(f"Town: T{n}; Height: {n} m; Water: lake" for n in range(300))
    (table,) = tables(lines, "towns.csv")
    treated = answer_of(asked("List all towns", table))
    assert treated is not None
    text: Sequence[str] = treated.text
    assert "300 of 300 rows" in text[0] and "The first 100 of 300" in text[-1]

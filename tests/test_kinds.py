"""Kinds of question: what a question is recognised as, and what code computes for it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from engine.kinds.amounts import pairs_of
from engine.kinds.between import nearest
from engine.kinds.central import Sentence, Vectors, central
from engine.kinds.dates import Moment, moment_of, moments, time_between
from engine.kinds.naming import books_named, part_named
from engine.kinds.recognising import Kind, recognise
from engine.kinds.row_answers import list_answer, row_answer
from engine.kinds.several import completed, parts_of, told_and_asked, without_tail
from engine.kinds.shelf import Book
from engine.kinds.tables import Piece
from engine.kinds.values import Value, comparable, value_of
from engine.kinds.yes_no import verdict
from engine.schema import Evidence, Node, NodeWithScore
from engine.store import Source


@pytest.mark.parametrize(
    ("question", "kind", "parts"),
    [
        ("Summarise the ice log", Kind.SUMMARY, {"about": "the ice log"}),
        ("Could you please sum up chapter 4?", Kind.SUMMARY, {"about": "chapter 4"}),
        ("What is this collection about?", Kind.SUMMARY, {"about": "this collection"}),
        (
            "What does the keeper's handbook say about fog?",
            Kind.OVERVIEW,
            {"document": "the keeper's handbook", "about": "fog"},
        ),
        ("Tell me everything about the cat.", Kind.OVERVIEW, {"about": "the cat"}),
        ("What was the winter like?", Kind.OVERVIEW, {"about": "the winter"}),
        ("Which documents do I have?", Kind.LIBRARY, {}),
        ("What was added last?", Kind.LIBRARY, {}),
        ("how many docs do i have", Kind.LIBRARY, {}),
        ("Which file is the longest one?", Kind.LIBRARY, {}),
        ("Is there a spreadsheet among my files?", Kind.LIBRARY, {}),
        ("Can you tell me which documents deal with fog?", Kind.LIBRARY, {"about": "fog"}),
        ("Does any file talk about fog?", Kind.LIBRARY, {"about": "fog"}),
        ("Which files mention the mill?", Kind.LIBRARY, {"about": "the mill"}),
        (
            "How many years between the storm and the closing of the mill?",
            Kind.BETWEEN,
            {"unit": "years", "about": "the storm", "other": "the closing of the mill"},
        ),
        ("Compare the three offers, please", Kind.OVERVIEW, {"about": "the three offers"}),
        ("Compare A5 and A6", Kind.COMPARISON, {"about": "A5", "other": "A6"}),
        (
            "Which is older, the mill or the light?",
            Kind.COMPARISON,
            {"unit": "older", "about": "the mill", "other": "the light"},
        ),
        ("List all fares", Kind.TABLE, {}),
        ("Is the bakery open on Mondays?", Kind.YES_NO, {}),
        ("Who built the tide mill?", Kind.TABLE, {}),  # a table may say it; else it is a fact
    ],
)
def test_a_question_is_recognised_by_its_words(
    question: str, kind: Kind, parts: dict[str, str]
) -> None:
    first, *_, last = recognise(question)
    assert first.kind is kind
    assert {name: part for name, part in first.parts.items() if part} == parts
    assert last.kind is Kind.FACT


def test_a_long_story_is_a_question_for_a_fact() -> None:
    kinds = [each.kind for each in recognise("What is the story of " + "x " * 300 + "about?")]
    assert kinds == [Kind.TABLE, Kind.FACT]


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How much does a bicycle cost on the ferry, and who built the mill?",
            ["How much does a bicycle cost on the ferry?", "Who built the mill?"],
        ),
        ("Who is the keeper? Where does she live?", ["Who is the keeper?", "Where does she live?"]),
        ("Who built the mill and when?", ["Who built the mill and when?"]),
        (
            "When is it open and do I have to book?",
            ["When is it open?", "Do I have to book?"],
        ),
        ("Who runs it? And when is it shut?", ["Who runs it?", "When is it shut?"]),
        ("Who lived here and was a miller?", ["Who lived here and was a miller?"]),
        ("What do bread and butter cost?", ["What do bread and butter cost?"]),
        (
            "How long between the storm and what came after?",
            ["How long between the storm and what came after?"],
        ),
        (
            "how long is the pier? and who painted it",
            ["How long is the pier?", "Who painted it?"],
        ),
        # A part without a topic of its own cannot be asked alone
        (
            "Which pier is the longer one, and by how much?",
            ["Which pier is the longer one, and by how much?"],
        ),
        (
            "What do I put on, also when I work on the mast?",
            ["What do I put on, also when I work on the mast?"],
        ),
    ],
)
def test_a_double_question_is_divided_where_a_new_question_begins(
    question: str, parts: list[str]
) -> None:
    assert parts_of(question) == parts


@pytest.mark.parametrize(
    ("message", "told", "asked"),
    [
        (
            "I lost my hat on the ferry. Where is lost property kept?",
            "I lost my hat on the ferry.",
            "Where is lost property kept?",
        ),
        (
            "Which sails need mending? I go to the sailmaker tomorrow.",
            "I go to the sailmaker tomorrow.",
            "Which sails need mending?",
        ),
        (
            "We have 3 bags, can we take them on board?",
            "We have 3 bags",
            "can we take them on board?",
        ),
        ("Summarise the log. What happened?", "", "Summarise the log. What happened?"),
        ("Is the No. 5 boat late?", "", "Is the No. 5 boat late?"),
    ],
)
def test_what_is_told_is_no_part_of_the_question(message: str, told: str, asked: str) -> None:
    assert told_and_asked(message) == (told, asked)


@pytest.mark.parametrize(
    ("part", "first", "whole"),
    [
        ("What does it cost?", "How old is the ferry?", "What does the ferry cost?"),
        ("What does a new one cost?", "How long does the belt last?", "What does a new belt cost?"),
        ("What does it cost?", "Who lives here?", "What does it cost?"),
    ],
)
def test_a_part_gets_the_subject_that_it_leans_on(part: str, first: str, whole: str) -> None:
    assert completed(part, first) == whole


# ---- Cells


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("14 crowns", Value(14, "crown")),  # type: ignore[arg-type]
        ("€ 1,250.50", Value("1250.50", "€")),  # type: ignore[arg-type]
        ("3,5 m", Value("3.5", "m")),  # type: ignore[arg-type]
        ("free", Value(0)),  # type: ignore[arg-type]
        ("2 h 30 min", Value(150, "minute")),  # type: ignore[arg-type]
        ("($1,234.50)", Value("-1234.50", "$")),  # type: ignore[arg-type]
        ("-$3", Value("-3", "$")),  # type: ignore[arg-type]
        ("3.00E+08", Value(300_000_000)),  # type: ignore[arg-type]
        ("-1.6e-19 C", Value("-1.6E-19", "c")),  # type: ignore[arg-type]
        ("2 3/4", Value("2.75")),  # type: ignore[arg-type]
        ("1/2 cups", Value("0.5", "cup")),  # type: ignore[arg-type]
        ("2½", Value("2.5")),  # type: ignore[arg-type]
        ("5/12", None),  # it may be a date
        ("30:05", Value(1805, ":")),  # type: ignore[arg-type]
        ("1:30:05", Value(5405, "::")),  # type: ignore[arg-type]
        ("(12 km)", None),
        ("A-1004", None),
        ("two of them", None),
        ("", None),
    ],
)
def test_a_cell_is_a_number_with_a_unit_or_none(cell: str, value: Value | None) -> None:
    found = value_of(cell)
    assert (found is None) == (value is None)
    if found and value:
        assert (found.number, found.unit) == (Decimal(value.number), value.unit)


def test_cells_are_compared_in_one_unit_or_not_at_all() -> None:
    assert comparable(["850 g", "1 kg", ""]) == [850, 1000, None]
    assert comparable(["850 g", "3 crowns"]) is None
    assert comparable(["2024-03-01", "17 June 2023"]) == [Moment(2024, 3, 1), Moment(2023, 6, 17)]
    assert comparable(["06:30", "7:45 pm"]) == [390, 1185]
    assert comparable(["6:30", "0:45", "30:05"]) == [390, 45, 1805], "durations, of more than a day"
    assert comparable(["3 €", "4 $"]) is None
    assert comparable(["Adult", "Child"]) is None


# ---- Dates


def test_dates_are_found_as_precisely_as_the_text_says_them() -> None:
    text = "Lit on 3 October 1867, rebuilt in May 1901, and closed in 1978 after 2,000 nights."
    found = [str(each) for each in moments(text)]
    assert found == ["3 October 1867", "May 1901", "1978"]
    assert moment_of("2024-02-30") is None
    assert moments("on 16 May", year=2009)[0] == Moment(2009, 5, 16)


@pytest.mark.parametrize(
    ("first", "last", "unit", "said"),
    [
        (Moment(1684), Moment(1926), "", "242 years"),
        (Moment(2024, 3, 12), Moment(2024, 6, 18), "days", "98 days"),
        (Moment(2024, 6, 18), Moment(2024, 3, 12), "days", "98 days"),
        (Moment(2020, 1, 31), Moment(2022, 3, 2), "", "2 years, 1 month and 2 days (761 days)"),
        (Moment(2021, 9), Moment(2023, 3), "months", "18 months"),
        (Moment(1684), Moment(1926, 5, 1), "days", "242 years"),  # the days are not known
    ],
)
def test_the_time_between_two_dates_is_as_precise_as_both(
    first: Moment, last: Moment, unit: str, said: str
) -> None:
    assert time_between(first, last, unit) == said


def test_of_several_dates_the_one_in_the_clause_of_the_event_is_meant() -> None:
    sentence = "Juno's repeat is due on 15 May 2025, Fenn's on 30 August 2025 and Pip's in 2026."
    assert str(nearest(sentence, moments(sentence), "Fenn's due")) == "30 August 2025"
    assert str(nearest(sentence, moments(sentence), "Juno's repeat test")) == "15 May 2025"


# ---- Names of documents


def books(*names: str) -> list[Book]:
    now = datetime.now(UTC).isoformat()
    titles = {"ice-log.txt": "LOG OF THE HALLOWAY SLEDGE PARTY"}
    return [Book(Source(each, each, added_at=now), titles.get(each, "")) for each in names]


@pytest.mark.parametrize(
    ("phrase", "named"),
    [
        ("the ice log", {"ice-log.txt"}),
        ("the keeper's handbook", {"keepers-handbook.pdf"}),
        ("the log of the sledge party", {"ice-log.txt"}),
        ("ferry-fares.csv", {"ferry-fares.csv"}),
        ("the PDF", {"keepers-handbook.pdf"}),
        ("the annual report", set()),
        ("the reports", {"report-2023.txt", "report-2024.txt"}),
    ],
)
def test_words_name_the_documents_that_have_them_in_name_or_title(
    phrase: str, named: set[str]
) -> None:
    others = ("ferry-fares.csv", "report-2023.txt", "report-2024.txt")
    there = books("ice-log.txt", "keepers-handbook.pdf", *others)
    assert {each.name for each in books_named(phrase, there).books} == named


def test_a_chapter_is_named_by_its_number_or_its_heading() -> None:
    pieces = [
        Piece(Node("a", {"heading": "Rules › Chapter 1: Noise"})),
        Piece(Node("b", {"heading": "Rules › Chapter 2: Pets"})),
    ]
    assert part_named("chapter 2", pieces) == pieces[1:]
    assert part_named("the chapter on noise", pieces) == pieces[:1]
    assert part_named("chapter 7", pieces) == []


# ---- Yes or no


@pytest.mark.parametrize(
    ("question", "sentence", "said"),
    [
        ("Is charcoal allowed on balconies?", "Charcoal is not allowed on balconies.", "No"),
        ("Is the bakery open on Mondays?", "The bakery is closed on Mondays.", "No"),
        ("Was anybody hurt in the storm?", "Nobody was hurt in the storm.", "No"),
        ("Does the stove burn all year?", "The stove in the kitchen burns all year.", "Yes"),
        ("Does the ferry take dogs?", "The ferry leaves at nine.", ""),
        ("Was the mill built in 1700?", "The mill was built in 1684.", ""),
        ("Are dogs allowed?", "Dogs are not allowed, with the exception of guide dogs.", ""),
        ("Is the east pier open?", "All piers are open except the east pier.", "No"),
        ("Are the boats insured?", "All boats are insured except the dinghy.", ""),
        ("Is cabin 4 let?", "Cabin 4 is kept as a store and is never let.", "No"),
        ("I have 3 bags, may I bring them?", "Up to two bags may be brought by a guest.", ""),
    ],
)
def test_yes_and_no_are_said_only_where_the_words_decide(
    question: str, sentence: str, said: str
) -> None:
    assert verdict(question, sentence) == said


@pytest.mark.parametrize(
    ("told", "said"), [("My girl is 9.", "Yes"), ("My girl is 4.", ""), ("We are 2 and 9.", "")]
)
def test_a_number_that_is_told_has_to_be_in_the_range_of_the_sentence(told: str, said: str) -> None:
    sentence = "Children from 6 to 12 may ride the pony."
    assert verdict("May she ride the pony?", sentence, told=told) == said


def test_the_sentence_before_says_what_it_is() -> None:
    before = "The ferry office is open from Tuesday to Friday."
    question, sentence = "Is the ferry office open on Mondays?", "It is closed on Mondays."
    assert verdict(question, sentence, before=before) == "No"
    assert verdict(question, sentence) == ""


# ---- Amounts in sentences


@pytest.mark.parametrize(
    ("question", "sentence", "pairs"),
    [
        (
            "How many more guests came in 2023 than in 2022?",
            "In 2023 we had 12 trips with 310 guests, against 9 trips and 250 guests in 2022.",
            [(12, 9), (310, 250)],
        ),
        (
            "How much more salt was in the well than a year ago?",
            "The well had a little more salt: 90 grams a litre, against 60 in 2022.",
            [(90, 60)],
        ),
        (
            "By how much does the berth go up?",
            "The berth goes up from 40 to 55 crowns.",
            [(40, 55)],
        ),
        (
            "How many more beds are there in the loft than in the cellar?",
            "There are 36 beds: 24 in the loft and 12 in the cellar.",
            [(24, 12)],
        ),
        (  # neither amount is the fee of today
            "By how much has the fee gone up since 2019?",
            "In 2019 the fee was 30 crowns from May to June and 45 crowns from July to August.",
            [],
        ),
        ("How much longer is the pier?", "On 3 May and 5 May the pier was measured.", []),
    ],
)
def test_two_amounts_are_compared_if_both_belong_to_the_question(
    question: str, sentence: str, pairs: list[tuple[int, int]]
) -> None:
    found = [(int(one.number), int(other.number)) for one, other in pairs_of(sentence, question)]
    assert found == pairs


# ---- Summaries


def test_the_sentences_that_are_like_many_others_are_central_and_in_order() -> None:
    about_mill = ["The mill stands at the creek.", "The mill grinds barley.", "A mill needs tide."]
    texts = [*about_mill[:2], "Penguins are birds.", about_mill[2], "Paris has a tower."]
    node = Node(" ".join(texts))
    places = [(node.text.find(text), node.text.find(text) + len(text)) for text in texts]
    sentences = [Sentence(node, *place, n, "", True) for n, place in enumerate(places)]

    def embed(said: Sequence[str]) -> Vectors:
        axes = np.eye(3, dtype=np.float32)
        return np.array([axes[0] if "mill" in each else axes[1 + len(each) % 2] for each in said])

    chosen = [each.text for each in central(sentences, 2, embed)]
    assert set(chosen) <= set(about_mill)
    assert chosen == sorted(chosen, key=texts.index)


@pytest.mark.parametrize(
    ("question", "head"),
    [
        ("Which is cheaper, Calder or Eastgate, and by how much?",
         "Which is cheaper, Calder or Eastgate?"),
        ("Were there fewer calls in March than in May? How many fewer?",
         "Were there fewer calls in March than in May?"),
        ("Which walk had the most people, and how many?", "Which walk had the most people?"),
        ("What is the cheapest bag and its price?", "What is the cheapest bag?"),
        ("What is the difference between the Heron and the Heron E?",
         "What is the difference between the Heron and the Heron E?"),
        ("Is the mill open?", "Is the mill open?"),
    ],
)  # fmt: skip
def test_a_tail_that_the_answer_shows_anyway_is_left_out(question: str, head: str) -> None:
    assert without_tail(question) == head


def test_dates_with_slashes_are_read_in_the_order_of_their_column() -> None:
    by_day = comparable(["06/06/2025", "13/06/2025", "04/07/2025"])
    by_month = comparable(["06/06/2025", "06/13/2025", "07/04/2025"])
    assert by_day == by_month == [Moment(2025, 6, 6), Moment(2025, 6, 13), Moment(2025, 7, 4)]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What does the compost cost for members?", "Member price: **6.50**"),
        ("Which item is in stock 42 times?", "Item"),
    ],
)
def test_the_row_that_comes_closest_is_shown_with_the_cell_that_is_asked(
    question: str, said: str
) -> None:
    one, other = "Item: Compost; Member price: 6.50; In stock: 42", "Item: Grit; Member price: 5"
    node = Node(f"{one}\n{other}; In stock: 9", {"file_name": "shop.csv"})
    row = NodeWithScore(node, 1.0, evidence=(Evidence(0, len(one), 5.0),))
    answer = row_answer(question, [row])
    assert answer is not None and said in "".join(answer.text) and "Grit" not in answer.text[-1]
    assert row_answer("What do all items cost in total?", [row]) is None


def test_a_question_for_several_things_gets_the_whole_list() -> None:
    text = (
        "The mate read out the crews that want to race:\n - Heron, of Quernsay\n - Puffin\n"
        " - Seal, of Port Merrow\nThe race is in May.\n"
    )
    start = text.index("The mate")
    found = NodeWithScore(Node(text), 1.0, evidence=(Evidence(start, text.index(":") + 1, 5.0),))
    answer = list_answer("Name the crews that want to race", [found])
    assert answer is not None
    assert "".join(answer.text).count("- “") == 3 and "May" not in "".join(answer.text)
    assert list_answer("When did the mate read?", [found]) is None

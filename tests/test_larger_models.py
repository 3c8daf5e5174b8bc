"""Models that read whole passages: they say what the passages do not answer, and code computes."""

import pytest

from engine.budget import Rate
from engine.calculating import calculated, needs_calculation
from engine.checking import stated
from engine.llm.base import ContextFormat
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.retrieving import NOT_FOUND, is_relevant
from engine.synthesis import ResponseSynthesizer
from tests.scripted import ScriptedLLM, ScriptedRetriever

FERRY = "A pub that keeps a barrel for more than eight weeks pays 85 euros. The ferry is red."
TOURS = "There were 46 tours with 598 visitors in 2025, against 39 tours and 481 visitors in 2024."


def ask(
    llm: ScriptedLLM, question: str, *texts: str, doubtful: bool = False, stream: bool = True
) -> StreamingResponse:
    synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=True)
    engine = RetrieverQueryEngine(
        ScriptedRetriever(*texts),
        synthesizer,
        lambda _: not doubtful,
        may_be_relevant=lambda _: True,
    )
    response = engine.start(question, stream=stream)
    list(response.response_gen)
    return response


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "pieces",
    [
        ["The", " text", " does not", " say", "."],
        ["The text does not say who painted the ferry."],
    ],
)
def test_where_the_model_says_that_the_text_does_not_say_it_nothing_was_found(
    pieces: list[str], stream: bool
) -> None:
    response = ask(ScriptedLLM(pieces), "Who painted the ferry?", FERRY, stream=stream)
    assert (list(response.response_gen), response.text) == ([], "")
    assert NOT_FOUND in response.notes
    assert [source.text for source in response.source_nodes] == [FERRY]


@pytest.mark.parametrize(
    "pieces",
    [
        ["The", " text", " says that the ferry is red."],
        ["The", " ferry", " is red."],
        ["The text does not say who.", " The ferry is red."],
    ],
)
def test_a_text_that_only_begins_like_that_is_shown_whole(pieces: list[str]) -> None:
    response = ask(ScriptedLLM(pieces), "What colour is the ferry?", FERRY)
    assert "".join(response.response_gen) == "".join(pieces)
    assert NOT_FOUND not in response.notes


def test_from_doubtful_passages_an_answer_is_shown_if_one_place_states_it() -> None:
    right = "A pub pays 85 euros for a barrel that it keeps for more than eight weeks."
    response = ask(ScriptedLLM([right]), "What does a lost barrel cost?", TOURS, FERRY,
                   doubtful=True)
    assert response.text == right
    assert [source.text for source in response.source_nodes] == [FERRY, TOURS]
    assert is_relevant(response.source_nodes)


@pytest.mark.parametrize(
    "wrong",
    [
        "Employees get 8 weeks of maternity leave.",  # the weeks are of a barrel
        "The turnover of the brewery was 85 euros.",
        "A pub that keeps a barrel for more than eight weeks pays 95 euros.",
        "A barrel of Nightwatch costs 85 euros.",
    ],
)
def test_from_doubtful_passages_an_answer_that_no_place_states_is_not_shown(wrong: str) -> None:
    response = ask(ScriptedLLM([wrong]), "What does it cost?", FERRY, doubtful=True)
    assert (list(response.response_gen), response.text) == ([], "")
    assert NOT_FOUND in response.notes


def test_a_sentence_of_two_places_is_stated_by_neither() -> None:
    both = "The ferry has 598 visitors."
    assert not stated(both, "How many visitors?", [FERRY, TOURS])
    right = "There were 598 visitors in 2025."
    assert stated(right, "How many visitors in 2025?", [FERRY, TOURS])
    assert not stated(right, "How many visitors in 2023?", [FERRY, TOURS])


def test_an_answer_that_was_calculated_is_stated_by_several_places() -> None:
    prices = ["The bottle costs 2.10 euros.", "There is a can. It costs 1.75 euros."]
    said = "The bottle costs 0.35 euros more than the can."
    assert stated(said, "By how much is it dearer?", prices, "2.10 - 1.75 = 0.35")
    assert not stated(said, "By how much is it dearer?", prices)


def test_a_model_that_has_no_time_for_a_passage_gets_sentences_and_is_not_asked_in_doubt() -> None:
    llm = ScriptedLLM(["85 euros"], rate=Rate(0.0, 0.01))  # 100 tokens/s
    reads = [
        ResponseSynthesizer.from_args(llm=llm, first_token_budget=budget).reads_passages
        for budget in (None, 1.0, 6.0)
    ]
    assert reads == [True, False, True]
    small = ResponseSynthesizer(llm, context_format=ContextFormat.SENTENCES)
    assert not small.reads_passages
    synthesizer = ResponseSynthesizer.from_args(llm=llm, first_token_budget=1.0, streaming=True)
    engine = RetrieverQueryEngine(
        ScriptedRetriever(FERRY), synthesizer, lambda _: False, may_be_relevant=lambda _: True
    )
    assert (str(engine.query("What does it cost?")), llm.prompts) == ("", [])


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Is the ferry red?", True),
        ("My son is four. does he travel free?", True),
        ("Is the ferry red or blue?", False),
        ("What is the ferry like?", False),
    ],
)
def test_the_model_is_asked_for_yes_or_no_where_the_question_wants_it(
    question: str, asked: bool
) -> None:
    llm = ScriptedLLM(["No, it is blue."])
    ask(llm, question, FERRY)
    assert ("yes or no" in llm.prompts[0][-1].content) is asked


def test_code_computes_what_the_model_wants_to_calculate() -> None:
    llm = ScriptedLLM(["598 - 481 = 119"], ["117 visitors more came in 2025."])
    response = ask(llm, "How many more visitors came in 2025 than in 2024?", TOURS)
    assert [prompt[-1].content.splitlines()[-1] for prompt in llm.prompts][1] == (
        "Calculated: 598 - 481 = 117"
    )
    assert response.check.passed  # 117 is in no passage
    assert "Calculated from numbers of the passages: 598 - 481 = 117." in response.notes


@pytest.mark.parametrize(
    ("written", "computed"),
    [
        ("4.31 million - 4.08 million", "4310000 - 4080000 = 230000"),
        ("4,310,000 − 4,080,000 = 1", "4310000 - 4080000 = 230000"),
        ("The result is 4310000 / 2 euros", "4310000 / 2 = 2155000"),
    ],
)
def test_a_calculation_is_read_however_it_is_written(written: str, computed: str) -> None:
    text = "The income was 4.31 million euros in 2 years, against 4.08 million."
    assert calculated(written, "How much more?", [text]) == computed


@pytest.mark.parametrize(
    "written", ["598 - 400", "no calculation", "598", "598 - ", "2 ** 9 ** 9", "598 / (481 - 481)"]
)
def test_a_calculation_with_other_numbers_or_without_a_value_is_not_used(written: str) -> None:
    assert calculated(written, "How many more?", [TOURS]) == ""
    llm = ScriptedLLM([written], ["598 visitors."])
    response = ask(llm, "How many more visitors came in 2025 than in 2024?", TOURS)
    assert "Calculated" not in llm.prompts[1][-1].content
    assert response.text == "598 visitors."


def test_the_model_is_asked_for_a_calculation_only_where_the_question_needs_one() -> None:
    for question in (
        "Which is cheaper, and by how much?",
        "How much more did we pay in 2025?",
        "What do three of them cost altogether?",
        "What is the difference in height?",
    ):
        assert needs_calculation(question)
    for question in ("Who built the mill?", "How much is a ticket?", "When does the ferry leave?"):
        assert not needs_calculation(question)
    llm = ScriptedLLM(["It is red."])
    ask(llm, "What colour is the ferry?", FERRY)
    assert len(llm.prompts) == 1

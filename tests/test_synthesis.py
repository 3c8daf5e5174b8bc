from collections.abc import Sequence

import pytest

from engine.errors import PromptTooLongError
from engine.llm.base import LLM, ContextFormat
from engine.prompting import answer_prompt, excerpts, pack, parts_that_fit, passage_prompt
from engine.run import Run
from engine.schema import Evidence, Node, NodeWithScore
from engine.synthesis import ResponseMode, ResponseSynthesizer
from tests.scripted import ScriptedLLM, found, words

PASSAGES = [f"Passage {number} says " + "word " * 150 + f"end{number}." for number in range(6)]


def written(llm: LLM, mode: str, texts: Sequence[str], run: Run | None = None) -> list[str]:
    synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=True, response_mode=mode)
    pieces: list[str] = []
    synthesizer.write("What is said?", found(*texts), run or Run(), pieces.append)
    return pieces


def prompts(llm: ScriptedLLM) -> list[str]:
    return [" ".join(message.content for message in prompt) for prompt in llm.prompts]


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize"])
def test_every_passage_reaches_the_model_though_they_do_not_fit_one_prompt(mode: str) -> None:
    llm = ScriptedLLM(["short"], context_window=600)
    written(llm, mode, PASSAGES)
    asked = " ".join(prompts(llm))
    assert len(llm.prompts) > 1
    assert all(f"Passage {n} says" in asked and f"end{n}." in asked for n in range(6))


@pytest.mark.parametrize("mode", list(ResponseMode))
def test_no_prompt_exceeds_the_context_window(mode: ResponseMode) -> None:
    llm = ScriptedLLM(["short"], context_window=400)
    written(llm, mode, PASSAGES)
    assert all(llm.count_tokens(prompt) < 400 for prompt in llm.prompts)


@pytest.mark.parametrize("mode", list(ResponseMode))
def test_only_the_last_call_reaches_the_reader(mode: ResponseMode) -> None:
    replies = [["reply", str(number)] for number in range(20)]
    llm = ScriptedLLM(*replies, context_window=600)
    run = Run()
    assert written(llm, mode, PASSAGES, run) == replies[len(llm.prompts) - 1]
    assert len(run.trace.calls) == len(llm.prompts)


def test_compact_makes_one_call_where_everything_fits() -> None:
    llm = ScriptedLLM(["yes"])
    written(llm, "compact", ["One.", "Two.", "Three."])
    assert len(llm.prompts) == 1
    assert "One.\n\nTwo.\n\nThree." in prompts(llm)[0]


def test_refine_makes_a_call_a_passage_and_hands_the_answer_on() -> None:
    llm = ScriptedLLM(["first"], ["second"], ["third"])
    assert written(llm, "refine", ["One.", "Two.", "Three."]) == ["third"]
    assert "first" in prompts(llm)[1]
    assert "second" in prompts(llm)[2]


def test_tree_summarize_answers_from_the_answers() -> None:
    llm = ScriptedLLM(["alpha"], ["beta"], ["whole"], context_window=700)
    assert written(llm, "tree_summarize", PASSAGES[:4]) == ["whole"]
    assert "alpha" in prompts(llm)[-1]
    assert "beta" in prompts(llm)[-1]
    assert "Passage" not in prompts(llm)[-1]


def test_tree_summarize_ends_though_replies_are_as_long_as_their_passages() -> None:
    llm = ScriptedLLM(words(140), context_window=600)
    assert written(llm, "tree_summarize", PASSAGES)


def test_simple_summarize_asks_once_with_a_share_of_each_passage() -> None:
    llm = ScriptedLLM(["short"], context_window=400)
    written(llm, "simple_summarize", PASSAGES)
    assert len(llm.prompts) == 1
    assert all(f"Passage {number} says" in prompts(llm)[0] for number in range(6))


def test_what_simple_summarize_leaves_out_is_said() -> None:
    run = Run()
    written(ScriptedLLM(["short"], context_window=400), "simple_summarize", PASSAGES, run)
    assert "beginnings" in " ".join(run.notes)


def test_a_question_that_leaves_no_room_is_said_with_its_numbers() -> None:
    llm = ScriptedLLM(["never"], context_window=100)
    synthesizer = ResponseSynthesizer.from_args(llm=llm)
    with pytest.raises(PromptTooLongError, match="context holds 100"):
        synthesizer.write("why " * 200, found("One."), Run(), print)


def test_no_passages_no_call() -> None:
    llm = ScriptedLLM()
    assert written(llm, "compact", []) == []
    assert llm.prompts == []


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="compact, refine"):
        ResponseSynthesizer.from_args(llm=ScriptedLLM(), response_mode="best")


FACTS = NodeWithScore(
    Node("First fact. Second fact. Third fact."),
    1.0,
    evidence=(Evidence(25, 36, 5.0), Evidence(0, 11, 3.0), Evidence(12, 24, -2.0)),
)
WEAK = NodeWithScore(Node("Weak."), 0.1, evidence=(Evidence(0, 5, -9.0),))


def test_only_the_sentence_that_bears_most_on_the_question_goes_into_the_prompt() -> None:
    assert excerpts([WEAK, FACTS], ContextFormat.SENTENCES) == ["Third fact."]
    assert excerpts([FACTS, WEAK], ContextFormat.PASSAGES) == [FACTS.text, "Weak."]


def test_where_each_passage_is_heard_each_gives_its_best_sentence() -> None:
    bare = NodeWithScore(Node("Never looked at."), 0.0)
    assert excerpts([WEAK, FACTS, bare], ContextFormat.SENTENCES, of_each=True) == [
        "Weak.",
        "Third fact.",
    ]


def test_several_sentences_stand_in_their_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.prompting.EVIDENCE_SENTENCES", 2)
    assert excerpts([FACTS, WEAK], ContextFormat.SENTENCES) == ["First fact. … Third fact."]


def test_a_prompt_of_whole_passages_begins_with_what_can_be_prepared() -> None:
    system, prepared = passage_prompt("One.")
    first, last = answer_prompt("Why?", "One.\n\nTwo.", context_format=ContextFormat.PASSAGES)
    assert first == system
    assert last.content.startswith(prepared.content)


def test_a_prompt_of_sentences_begins_with_the_question() -> None:
    prompt = answer_prompt("Why?", "One.", context_format=ContextFormat.SENTENCES)
    assert prompt[-1].content.startswith("Why?")


def test_packing_joins_in_order_and_drops_nothing() -> None:
    texts = ["a" * 30, "b" * 30, "c" * 90, "d"]
    packed = pack(texts, lambda text: len(text) <= 70)
    assert all(len(context) <= 70 for context in packed)
    assert "".join(packed).replace("\n\n", "") == "".join(texts)


def test_a_passage_is_cut_between_sentences_where_it_can() -> None:
    text = "One sentence here. Another one there. And a third one."
    parts = list(parts_that_fit(text, lambda part: len(part) <= 40))
    assert parts == ["One sentence here.", "Another one there. And a third one."]

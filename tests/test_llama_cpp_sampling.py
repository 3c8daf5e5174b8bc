"""Options and grammars: every answer fits, and no grammar can end the process."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import GenerationError, LLMError
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.sampling import Sampler
from engine.run import Run
from engine.schema import ChatMessage

STORY = [ChatMessage("user", "Write a long story about a dog.")]
CALL = [ChatMessage("user", "What is the weather in Paris? Call a tool.")]


def write(llm: LlamaCpp, messages: list[ChatMessage] = STORY, **options: Any) -> str:
    return llm.chat(messages, GenerationOptions(**{"max_tokens": 24, **options})).content


# Sampling


def test_a_seed_repeats_an_answer_and_another_changes_it(llm: LlamaCpp) -> None:
    first, again, other = (write(llm, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_zero_temperature_is_greedy_whatever_the_seed(llm: LlamaCpp) -> None:
    assert write(llm, seed=1) == write(llm, seed=2)


def test_the_narrowest_nucleus_is_greedy(llm: LlamaCpp) -> None:
    greedy = write(llm)
    assert write(llm, temperature=1.5, top_p=0.0, seed=5) == greedy
    assert write(llm, temperature=1.5, min_p=1.0, seed=5) == greedy


def test_a_repeat_penalty_repeats_less(llm: LlamaCpp) -> None:
    plain, penalised = (
        re.findall(r"\w+", write(llm, max_tokens=110, repeat_penalty=penalty))
        for penalty in (1.0, 1.5)
    )
    assert len(set(penalised)) / len(penalised) > len(set(plain)) / len(plain)


# Grammars

CALL_SCHEMA = {
    "type": "object",
    "properties": {
        "tool": {"enum": ["weather", "calculator"]},
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer"},
    },
    "required": ["tool", "city", "days"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 2.0, "seed": 3},
        {"temperature": 1.0, "min_p": 0.5, "repeat_penalty": 1.3},
    ],
    ids=["greedy", "hot", "penalised"],
)
def test_json_fits_its_schema_with_any_sampling(llm: LlamaCpp, options: dict[str, Any]) -> None:
    call = json.loads(write(llm, CALL, max_tokens=80, json_schema=CALL_SCHEMA, **options))
    assert call["tool"] in ("weather", "calculator")
    assert len(call["city"]) <= 12
    assert isinstance(call["days"], int)
    assert set(call) == {"tool", "city", "days"}


@pytest.mark.parametrize(
    ("grammar", "shape"),
    [
        ('root ::= "yes" | "no"', "yes|no"),
        ('root ::= [0-9]{3} "-" [a-f]+ "."', r"[0-9]{3}-[a-f]+\."),
        ('root ::= "日本語" "😀"? ("é" | "ü"){2}', "日本語😀?[éü]{2}"),
        ('root ::= ("a" | "b")* "."', r"[ab]*\."),
        ('root ::= "<|im_end|>" "x"', r"<\|im_end\|>x"),
    ],
)
def test_an_answer_fits_its_grammar(llm: LlamaCpp, grammar: str, shape: str) -> None:
    run = Run()
    options = GenerationOptions(max_tokens=60, grammar=grammar, temperature=1.0, seed=4)
    text = "".join(llm.stream_chat(STORY, options, run))
    cut = run.trace.calls[0].finish_reason == "length"
    assert cut or re.fullmatch(shape, text)


def test_an_empty_answer_fits_a_grammar_that_allows_one(llm: LlamaCpp) -> None:
    assert write(llm, grammar='root ::= ""') == ""


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        "no grammar at all",
        'start ::= "x"',
        "root ::= missing",
        'root ::= root "x"',
        'root ::= "unfinished',
        "root ::= [a-",
        'root ::= "a"{5,2}',
        'root ::= "a\0b"',
        "root ::= (((((",
    ],
)
def test_a_broken_grammar_is_refused_in_a_sentence(llm: LlamaCpp, grammar: str) -> None:
    with pytest.raises(LLMError, match="grammar cannot be used"):
        write(llm, grammar=grammar)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/nowhere"},
        {"type": "nonsense"},
        {"type": "string", "pattern": "[unclosed"},
        {"properties": 5},
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_in_a_sentence(
    llm: LlamaCpp, schema: dict[str, Any]
) -> None:
    with pytest.raises(LLMError, match="cannot be used"):
        write(llm, json_schema=schema)


def test_a_grammar_with_no_way_on_ends_the_answer_with_an_error(llm: LlamaCpp) -> None:
    """Ends are forbidden while the grammar allows nothing else."""
    options = GenerationOptions(max_tokens=10, grammar='root ::= "yes"', ignore_eos=True)
    text = ""
    with pytest.raises(GenerationError, match="no further token"):
        for piece in llm.stream_chat(STORY, options):
            text += piece
    assert text == "yes"
    assert write(llm)  # the next question works


def test_a_token_that_the_grammar_forbids_is_never_accepted(llm: LlamaCpp) -> None:
    """Logits that want forbidden tokens alone: llama.cpp would end the process at accepting one."""
    model = llm._model
    sampler = Sampler(model, GenerationOptions(grammar='root ::= "yes"'))
    logits = np.full(model.vocabulary_size, -50, np.float32)
    logits[model.tokenise("no")[0]] = 100
    text = b""
    while not model.is_end(token := sampler.next(logits)):
        text += model.piece(token)
    sampler.close()
    assert text == b"yes"


# Whether a hostile grammar hangs or kills is for a process of its own to find out.
HOSTILE = {
    "deep": '"root ::= " + "(" * 5000 + "\\"a\\"" + ")" * 5000',
    "empty loop": '\'root ::= ("")* "a"\'',
    "nested loops": "'root ::= (((\"a\"*)*)*)*'",
    "mutual recursion": "'root ::= a\\na ::= b\\nb ::= a | \"x\"'",
    "huge repetition": "'root ::= \"a\"{1000000}'",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grammar_does_not_end_the_process(name: str, chat_model_path: Path) -> None:
    program = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
from pathlib import Path
from engine.errors import FirstTokenError
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.tuning import Tuning
llm = LlamaCpp({str(chat_model_path)!r}, tuning=Tuning(contexts=1, sequences=1, window=256))
try:
    llm.complete("Hello", GenerationOptions(max_tokens=4, grammar={HOSTILE[name]}))
except FirstTokenError:
    pass
llm.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]

"""The snippets of the documents that First Token was made from, run as they stand.

Changed are only their imports, the lines that choose a model, and two slips of syntax: `...` as
an argument, and a loop whose body is a comment. The documents lie outside the repository; where
they are absent, the same calls are made by the tests in this file that need none.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import (
    Document,
    ResponseSynthesizer,
    RetrieverQueryEngine,
    Settings,
    StreamingResponse,
    VectorStoreIndex,
)

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
FACT = "What I worked on, before college, was writing and programming. I wrote short stories."
QUESTION = "What did the author do growing up?"

needs_seeds = pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed documents are not here")


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents([Document(FACT, {"file_name": "essay.txt"})])


def snippets(name: str) -> list[str]:
    """The Python blocks of a seed, their slips mended."""
    text = next(SEEDS.glob(f"{name}-*.md")).read_text()
    blocks = re.findall(r"```(?:python)?\n(.*?)```", text, re.DOTALL)
    return [_mended(block) for block in blocks if not block.startswith("{")]


def _mended(code: str) -> str:
    code = re.sub(r"^from llama_index.*\n", "", code, flags=re.MULTILINE)
    code = code.replace(", ...)", ")")
    return re.sub(r"(:\n    #[^\n]*\n)(?!    )", r"\1    pass\n", code)


def run(code: str, **names: Any) -> dict[str, Any]:
    namespace = {**{name: getattr(engine, name) for name in engine.__all__}, **names}
    exec(compile(code, "seed", "exec"), namespace)
    return namespace


@needs_seeds
def test_the_snippets_of_the_first_seed_run(index: VectorStoreIndex, capsys: Any) -> None:
    _, high, low, ask, loop, printing = snippets("1")[:6]
    names = run(high, index=index)
    engines = [names["query_engine"]]
    low = low.replace("RetrieverQueryEngine(", "RetrieverQueryEngine(retriever=retriever, ")
    engines.append(run(low, retriever=index.as_retriever())["query_engine"])
    for query_engine in engines:
        streaming_response = run(ask, query_engine=query_engine)["streaming_response"]
        assert isinstance(streaming_response, StreamingResponse)
        run(loop, streaming_response=streaming_response)
        capsys.readouterr()
        run(printing, streaming_response=streaming_response)
        assert capsys.readouterr().out == str(streaming_response) != ""


@needs_seeds
def test_the_query_engine_snippets_of_the_second_seed_run(
    index: VectorStoreIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    high, low, ask, loop, printing = snippets("2")[:5]
    engines = [
        run(high, index=index)["query_engine"],
        run(low, retriever=index.as_retriever())["query_engine"],
    ]
    for query_engine in engines:
        streaming_response = run(ask, query_engine=query_engine)["streaming_response"]
        run(loop, streaming_response=streaming_response)
        assert capsys.readouterr().out == str(streaming_response) != ""
        run(printing, streaming_response=streaming_response)
        assert capsys.readouterr().out == str(streaming_response)


@needs_seeds
def test_the_third_seed_runs_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = next(SEEDS.glob("3-*.md")).read_text()
    script = text[text.index("import asyncio") : text.index("asyncio.run(main())")]
    code = _mended(script + "asyncio.run(main())\n")
    code = re.sub(r"^Settings\.(llm|embed_model) = .*\n", "", code, flags=re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Settings, "node_parser", Settings.node_parser)
    run(code, __name__="__main__")
    streamed = capsys.readouterr().out
    assert "Streaming response:" in streamed
    assert len(streamed.split("Streaming response:")[1].split("--- End")[0].strip()) > 10


def test_the_high_and_the_low_level_engine_give_the_same_answer(index: VectorStoreIndex) -> None:
    high = index.as_query_engine(streaming=True, similarity_top_k=1)
    synthesizer = ResponseSynthesizer.from_args(streaming=True)
    low = RetrieverQueryEngine(index.as_retriever(1), response_synthesizer=synthesizer)
    assert str(high.query(QUESTION)) == str(low.query(QUESTION)) != ""


def test_sync_async_streamed_and_whole_answers_of_the_real_model_are_the_same(
    index: VectorStoreIndex,
) -> None:
    query_engine = index.as_query_engine()

    async def streamed() -> str:
        response = await query_engine.query(QUESTION, stream=True)
        return "".join([text async for text in response.async_response_gen()])

    async def whole() -> str:
        return str(await query_engine.aquery(QUESTION))

    expected = str(query_engine.query(QUESTION))
    assert expected
    assert "".join(query_engine.query(QUESTION, stream=True).response_gen) == expected
    assert asyncio.run(streamed()) == asyncio.run(whole()) == expected


@pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
def test_every_response_mode_answers_with_the_real_model(
    index: VectorStoreIndex, mode: str
) -> None:
    response = index.as_query_engine(streaming=True, response_mode=mode).query(QUESTION)
    assert isinstance(response, StreamingResponse)
    assert "".join(response.response_gen)
    assert all(call.finish_reason for call in response.trace.calls)


def test_chunks_never_split_a_character(index: VectorStoreIndex) -> None:
    text = "The sign reads: 東京タワー 👩‍👩‍👧 é naïve Ωμέγα."
    index = VectorStoreIndex.from_documents([Document(text)])
    response = index.as_query_engine(streaming=True).query(f"Repeat exactly: {text}")
    assert isinstance(response, StreamingResponse)
    chunks = list(response.response_gen)
    assert all("\ufffd" not in chunk for chunk in chunks)
    assert "".join(chunks).encode().decode() == str(response)


def test_ten_streams_of_the_real_model_on_one_loop_all_end_right(index: VectorStoreIndex) -> None:
    query_engine = index.as_query_engine(streaming=True)

    async def one() -> str:
        response = await query_engine.aquery(QUESTION)
        assert isinstance(response, StreamingResponse)
        return "".join([text async for text in response.async_response_gen()])

    async def ten() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(10)))

    answers = asyncio.run(ten())
    assert len(answers) == 10
    assert all(answers)

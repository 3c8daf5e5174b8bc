# mypy: disable-error-code="attr-defined"
# Whether `query` gives a stream is known when it runs: tests run every cell.
"""The walkthrough's cells, in their order: each a function, written as a learner would write it.

The docstring is the cell's title and prose, the body its code, and what it returns the names it
leaves to later cells. A parameter named like such a result is taken from there; any other is
filled in by the page. Each brings its own imports, since each is shown, and copied, alone.
"""

from engine import Document, RetrieverQueryEngine, VectorStoreIndex
from engine.llm import LLM, GenerationOptions


def load_documents(folder: str) -> list[Document]:
    """Load documents

    A reader turns each file of a folder into documents: text, and where it stands. A page of a
    PDF is one `Document`, a short text file another. A file that cannot be read stops no other.
    """
    from engine import SimpleDirectoryReader

    reader = SimpleDirectoryReader(folder)
    documents = reader.load_data()
    for document in documents[:8]:
        print(document.metadata["file_name"], len(document.text), "characters")
    print("documents in all:", len(documents))
    for problem in reader.problems:
        print(problem)
    return documents


def build_index(documents: list[Document], chunk_size: int) -> VectorStoreIndex:
    """Build an index

    Documents are split into passages of whole sentences; each passage becomes a vector, for its
    meaning, and a set of terms, for its words. The index is in memory: `path="…"` would keep it.
    """
    from engine import SentenceSplitter, VectorStoreIndex

    splitter = SentenceSplitter(chunk_size=chunk_size, chunk_overlap=20)
    index = VectorStoreIndex.from_documents(
        documents,
        node_parser=splitter,
        on_progress=lambda at: print(f"\r{at.stage} {at.done} of {at.total}", end=""),
    )
    passages = sum(source.passages for source in index.sources())
    print(f"\r{passages} passages can be searched")
    return index


def set_the_model(length: int, temperature: float) -> tuple[LLM, GenerationOptions]:
    """Set the model

    `Settings` holds the defaults: the model, the embedding, the splitter. Each is made on first
    use, and setting one replaces it everywhere. What is passed as an argument wins over them.
    """
    from engine import Settings
    from engine.llm import GenerationOptions

    # Settings.llm = LlamaCpp("models/qwen2.5-1.5b-instruct-q4_k_m.gguf")
    # Settings.llm = OpenAICompatible("http://localhost:8080/v1", "its-model")
    llm = Settings.llm
    options = GenerationOptions(max_tokens=length, temperature=temperature)
    print(llm.metadata.model_name)
    print("tokens of context:", llm.metadata.context_window)
    print("can stream:", llm.metadata.can_stream)
    return llm, options


def ask_for_the_whole(
    index: VectorStoreIndex, llm: LLM, options: GenerationOptions, passages: int, question: str
) -> None:
    """A query engine that waits: `streaming=False`

    `query` comes back when the last word is written. Until then there is nothing to show, so
    the first word comes as late as the last.
    """
    import time

    whole_engine = index.as_query_engine(
        streaming=False, similarity_top_k=passages, llm=llm, options=options
    )
    began = time.perf_counter()
    response = whole_engine.query(question)
    print(f"query() came back after {time.perf_counter() - began:.2f} s, with it all:")
    print(response)


def ask_for_a_stream(
    index: VectorStoreIndex, llm: LLM, options: GenerationOptions, passages: int, question: str
) -> RetrieverQueryEngine:
    """A query engine that streams: `streaming=True`

    Now `query` comes back when the model *begins* its answer, with a `StreamingResponse`. The
    passages are known by then. (Here the model has read this prompt a moment ago and kept its
    state, so it begins sooner still: an honest race is on the Compare page.)
    """
    import time

    query_engine = index.as_query_engine(
        streaming=True, similarity_top_k=passages, llm=llm, options=options
    )
    began = time.perf_counter()
    streaming_response = query_engine.query(question)
    print(f"query() came back after {time.perf_counter() - began:.2f} s")
    print(f"It is a {type(streaming_response).__name__}, with these sources:")
    for source in streaming_response.source_nodes:
        print(f"  {source.node.label} (score {source.score:.2f})")
    return query_engine


def iterate_the_stream(query_engine: RetrieverQueryEngine, question: str) -> None:
    """Iterate `response_gen`

    The stream is a generator of pieces of text. Do with each what you like as it arrives: here
    it is printed. Afterwards `str()` still gives the whole, and the trace says when what came.
    """
    streaming_response = query_engine.query(question)
    for text in streaming_response.response_gen:
        print(text, end="", flush=True)

    times = streaming_response.trace.chunk_times
    if times:
        print(f"\n\nfirst chunk after {times[0]:.2f} s, last after {times[-1]:.2f} s")


def print_the_stream(query_engine: RetrieverQueryEngine, question: str) -> None:
    """`print_response_stream`

    Printing the pieces as they arrive is so common that it has a method of its own.
    """
    streaming_response = query_engine.query(question)
    streaming_response.print_response_stream()


def compose_an_engine(
    index: VectorStoreIndex, llm: LLM, options: GenerationOptions, passages: int, question: str
) -> None:
    """Compose the engine yourself

    `as_query_engine` puts two parts together: a retriever, which finds passages, and a
    `ResponseSynthesizer`, which turns them into an answer and knows whether it streams. Made by
    hand, either can be replaced.
    """
    from engine import ResponseSynthesizer, RetrieverQueryEngine

    retriever = index.as_retriever(similarity_top_k=passages)
    synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=True, options=options)
    composed_engine = RetrieverQueryEngine(retriever, response_synthesizer=synthesizer)
    composed_engine.query(question).print_response_stream()


def stream_the_last_call(
    index: VectorStoreIndex,
    llm: LLM,
    options: GenerationOptions,
    response_mode: str,
    passages: int,
    question: str,
) -> None:
    """Several LLM calls, only the last one streamed

    `refine` answers from the first passage and betters that answer with each further one: a
    call a passage. Only the last call's text is the answer, so only that one streams, and
    `query` comes back when it begins. (`packing`: a small model is given sentences otherwise,
    and they all fit into one call.)
    """
    from engine import ResponseSynthesizer, RetrieverQueryEngine
    from engine.llm import Packing

    refining = ResponseSynthesizer(
        llm,
        streaming=True,
        response_mode=response_mode,
        options=options,
        packing=Packing.PASSAGES,
    )
    several_engine = RetrieverQueryEngine(index.as_retriever(passages), refining)
    streaming_response = several_engine.query(question)
    for number, call in enumerate(streaming_response.trace.calls, start=1):
        state = "has ended" if call.finish_reason else "begins now"
        print(f"call {number} ({call.purpose}) {state}")
    print()
    streaming_response.print_response_stream()


async def stream_async(query_engine: RetrieverQueryEngine, question: str) -> None:
    """Async: `async_response_gen`, while a clock keeps ticking

    Under an event loop nothing may block it. `await` the query, read the stream with
    `async for`, and everything else goes on: here a clock that ticks ten times a second.
    """
    import asyncio

    async def stream_query() -> str:
        streaming_response = await query_engine.query(question, stream=True)
        async for text in streaming_response.async_response_gen():
            print(text, end="", flush=True)
        return str(streaming_response)

    async def tick() -> None:
        for tenths in range(1, 10_000):
            await asyncio.sleep(0.1)
            print(f" [{tenths / 10:.1f} s] ", end="", flush=True)

    clock = asyncio.create_task(tick())
    full_response = await stream_query()
    clock.cancel()
    print(f"\n--- End of stream: {len(full_response)} characters ---")


def count_the_chunks(llm: LLM) -> None:
    """Chunks are not tokens

    A chunk is a piece of text, fit to be shown; a token is what the model computes with, and
    may be a third of a character. A chunk never splits a character, so it may take several
    tokens to make one. Rely on the text, never on the number of pieces.
    """
    from engine import ChatMessage
    from engine.llm import GenerationOptions
    from engine.run import Run

    run = Run.begin()
    text = "Ωμέγα, Привет, naïve, 👩‍🚀"
    forced = GenerationOptions(grammar=f'root ::= "{text}"')  # it can write nothing else
    chunks = list(llm.stream_chat([ChatMessage("user", "Write!")], forced, run))
    print(run.trace.calls[-1].output_tokens, "tokens,", len(chunks), "chunks:")
    print(" | ".join(chunks))


def survive_an_error(
    index: VectorStoreIndex, llm: LLM, options: GenerationOptions, pieces: int, question: str
) -> None:
    """An error in mid-stream, handled

    A server may hang up in the middle of a sentence. This model does so after some pieces. The
    error reaches you after every chunk that came before it, never instead of it, and the text
    so far is kept: show it, and offer to ask again.
    """
    from collections.abc import Iterator
    from typing import Any

    from engine.errors import FirstTokenError, GenerationError
    from engine.llm import LLM, LLMMetadata

    class BreaksOff(LLM):
        """The model, until it has written some pieces."""

        @property
        def metadata(self) -> LLMMetadata:
            return llm.metadata

        def count_tokens(self, messages: Any) -> int:
            return llm.count_tokens(messages)

        def stream_chat(self, *prompt: Any) -> Iterator[str]:
            for number, text in enumerate(llm.stream_chat(*prompt)):
                if number == pieces:
                    raise GenerationError("The connection was lost.")
                yield text

    broken_engine = index.as_query_engine(streaming=True, llm=BreaksOff(), options=options)
    streaming_response = broken_engine.query(question)
    try:
        for text in streaming_response.response_gen:
            print(text, end="", flush=True)
    except FirstTokenError as error:
        print(f"\n\n{error}\nKept: {streaming_response.text!r}")


async def watch_an_agent(index: VectorStoreIndex, llm: LLM, task: str) -> None:
    """An agent's events

    An agent takes several steps, and each is an event the moment it happens: what the model is
    given, which tool it calls and what that gives, and every piece of the answer. Without
    `stream_events` you would wait in the dark; with it, you watch.
    """
    from engine import AgentStream, AgentWorkflow, ToolCall, ToolCallResult
    from engine.agent.shipped import calculator_tool, search_tool

    tools = [search_tool(index.as_retriever()), calculator_tool()]
    agent = AgentWorkflow.from_tools(tools, llm=llm)
    handler = agent.run(user_msg=task)
    async for event in handler.stream_events():
        if isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)
        elif isinstance(event, ToolCallResult):
            print(f"  gave: {event.tool_output.content[:70]!r}\n")
        elif isinstance(event, ToolCall):
            print(f"\n{event.at:.2f} s  {event.tool_name}({dict(event.tool_kwargs)})")
    output = await handler
    print(f"\n\nThe answer, whole: {output.response!r}")


LESSONS = (
    load_documents,
    build_index,
    set_the_model,
    ask_for_the_whole,
    ask_for_a_stream,
    iterate_the_stream,
    print_the_stream,
    compose_an_engine,
    stream_the_last_call,
    stream_async,
    count_the_chunks,
    survive_an_error,
    watch_an_agent,
)

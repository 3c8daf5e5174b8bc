"""The cells of the Walkthrough and of the Models page, in their order.

The code of a cell is a template: `$name` stands for a value that the page sets. Each cell has its
own imports, because each can be copied by itself. A test runs every cell with the real model.
"""

from pages.cells.notebook import Cell

LESSONS = (
    Cell(
        "load_documents",
        "Load documents",
        "A reader turns each file of a folder into documents: text, and where it comes from. "
        "A page of a PDF is one `Document`, and so is a short text file. A file that cannot "
        "be read does not stop the others.",
        """
        from engine import SimpleDirectoryReader

        reader = SimpleDirectoryReader($folder)
        documents = reader.load_data()
        for document in documents[:8]:
            print(document.metadata["file_name"], len(document.text), "characters")
        print("documents in all:", len(documents))
        for problem in reader.problems:
            print(problem)
        """,
        makes=("documents",),
    ),
    Cell(
        "build_index",
        "Build an index",
        "Documents are split into passages of whole sentences. Each passage becomes a vector, "
        "which represents its meaning, and a set of terms, which are its words. The index is "
        'in memory. With `path="…"`, it is kept on disk.',
        r"""
        from engine import SentenceSplitter, VectorStoreIndex

        splitter = SentenceSplitter(chunk_size=$chunk_size, chunk_overlap=20)
        index = VectorStoreIndex.from_documents(
            documents,
            node_parser=splitter,
            on_progress=lambda at: print(f"\r{at.stage} {at.done} of {at.total}", end=""),
        )
        passages = sum(source.passages for source in index.sources())
        print(f"\r{passages} passages can be searched")
        """,
        needs=("documents",),
        makes=("index",),
    ),
    Cell(
        "set_the_model",
        "Set the model",
        "`Settings` holds the defaults: the model, the embedding, the splitter. Each is "
        "created on first use, and setting one replaces it everywhere. Arguments take "
        "precedence over them.",
        """
        from engine import Settings
        from engine.llm import GenerationOptions

        # Settings.llm = LlamaCpp("models/qwen2.5-1.5b-instruct-q4_k_m.gguf")
        # Settings.llm = OpenAICompatible("http://localhost:8080/v1", "its-model")
        llm = Settings.llm
        options = GenerationOptions(max_tokens=$length, temperature=$temperature)
        print(llm.metadata.model_name)
        print("tokens of context:", llm.metadata.context_window)
        print("can stream:", llm.metadata.can_stream)
        """,
        makes=("llm", "options"),
    ),
    Cell(
        "ask_for_the_whole",
        "A query engine that waits: `streaming=False`",
        "`query` returns when the last word is written. Until then there is nothing to show, "
        "so the first word appears as late as the last one.",
        """
        import time

        whole_engine = index.as_query_engine(
            streaming=False, similarity_top_k=$passages, llm=llm, options=options
        )
        began = time.perf_counter()
        response = whole_engine.query($question)
        print(f"query() came back after {time.perf_counter() - began:.2f} s, with it all:")
        print(response)
        """,
        needs=("index", "llm", "options"),
    ),
    Cell(
        "ask_for_a_stream",
        "A query engine that streams: `streaming=True`",
        "Now `query` returns when the model *begins* its answer. It returns a "
        "`StreamingResponse`, whose passages are known by then. (The model has just read this "
        "prompt in the cell above and kept its state, so it begins sooner here. The Compare "
        "page measures both modes fairly.)",
        """
        import time

        query_engine = index.as_query_engine(
            streaming=True, similarity_top_k=$passages, llm=llm, options=options
        )
        began = time.perf_counter()
        streaming_response = query_engine.query($question)
        print(f"query() came back after {time.perf_counter() - began:.2f} s")
        print(f"It is a {type(streaming_response).__name__}, with these sources:")
        for source in streaming_response.source_nodes:
            print(f"  {source.node.label} (score {source.score:.2f})")
        """,
        needs=("index", "llm", "options"),
        makes=("query_engine",),
    ),
    Cell(
        "set_a_budget",
        "A budget for the first token: `first_token_budget`",
        "The budget is the longest time that you want to wait for the first word, in seconds. "
        "The engine knows how fast this model reads on this computer, and puts as much of the "
        "best evidence into the prompt as the model can read in that time. The trace has the "
        "expected time, and what was left out. (A small model answers best from one sentence. "
        "With `context_format`, it reads whole passages here, as a larger model does.)",
        """
        from engine import ResponseSynthesizer, RetrieverQueryEngine
        from engine.llm import ContextFormat

        for budget in ($budget, None):
            reader = ResponseSynthesizer(
                llm,
                streaming=True,
                options=options,
                context_format=ContextFormat.PASSAGES,
                first_token_budget=budget,
            )
            engine = RetrieverQueryEngine(index.as_retriever($passages), reader)
            streaming_response = engine.query($question)
            print(f"budget {budget}: {streaming_response}")
            trace = streaming_response.trace
            if (plan := trace.plan) and trace.metrics.ttft:
                print(f"  first token {trace.metrics.ttft:.2f} s, expected {plan.predicted:.2f} s")
                print(f"  read {plan.sentences} sentences of {plan.passages} passages")
                for number, sentences in plan.left_out:
                    print(f"  left out of passage {number}: {sentences} sentences")
        """,
        needs=("index", "llm", "options"),
    ),
    Cell(
        "iterate_the_stream",
        "Iterate `response_gen`",
        "The stream is a generator of chunks of text. Use each chunk as it arrives; here it "
        "is printed. Afterwards `str()` returns the whole text, and the trace has the times.",
        r"""
        streaming_response = query_engine.query($question)
        for text in streaming_response.response_gen:
            print(text, end="", flush=True)

        times = streaming_response.trace.chunk_times
        if times:
            print(f"\n\nfirst chunk after {times[0]:.2f} s, last after {times[-1]:.2f} s")
        """,
        needs=("query_engine",),
    ),
    Cell(
        "print_the_stream",
        "`print_response_stream`",
        "Printing the chunks as they arrive is so common that there is a method for it.",
        """
        streaming_response = query_engine.query($question)
        streaming_response.print_response_stream()
        """,
        needs=("query_engine",),
    ),
    Cell(
        "compose_an_engine",
        "Compose the engine yourself",
        "`as_query_engine` combines two parts: a retriever, which finds passages, and a "
        "`ResponseSynthesizer`, which writes an answer from them and decides whether it "
        "streams. You can also combine them yourself, and replace either.",
        """
        from engine import ResponseSynthesizer, RetrieverQueryEngine

        retriever = index.as_retriever(similarity_top_k=$passages)
        synthesizer = ResponseSynthesizer.from_args(llm=llm, streaming=True, options=options)
        composed_engine = RetrieverQueryEngine(retriever, response_synthesizer=synthesizer)
        composed_engine.query($question).print_response_stream()
        """,
        needs=("index", "llm", "options"),
    ),
    Cell(
        "stream_the_last_call",
        "Several LLM calls, only the last one streamed",
        "`refine` answers from the first passage, then improves the answer with each further "
        "one: one call per passage. Only the text of the last call is the answer, so only "
        "that call streams, and `query` returns when it begins. (`context_format` puts whole "
        "passages into the prompt. Otherwise a small model gets single sentences, which all "
        "fit into one call.)",
        """
        from engine import ResponseSynthesizer, RetrieverQueryEngine
        from engine.llm import ContextFormat

        refining = ResponseSynthesizer(
            llm,
            streaming=True,
            response_mode=$response_mode,
            options=options,
            context_format=ContextFormat.PASSAGES,
        )
        several_engine = RetrieverQueryEngine(index.as_retriever($passages), refining)
        streaming_response = several_engine.query($question)
        for number, call in enumerate(streaming_response.trace.calls, start=1):
            state = "has ended" if call.finish_reason else "begins now"
            print(f"call {number} ({call.purpose}) {state}")
        print()
        streaming_response.print_response_stream()
        """,
        needs=("index", "llm", "options"),
    ),
    Cell(
        "stream_async",
        "Async: `async_response_gen`, while a clock keeps ticking",
        "In an event loop, nothing may block. `await` the query and read the stream with "
        "`async for`; other tasks continue, here a clock that ticks ten times a second.",
        r"""
        import asyncio

        async def stream_query() -> str:
            streaming_response = await query_engine.query($question, stream=True)
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
        """,
        needs=("query_engine",),
    ),
    Cell(
        "count_the_chunks",
        "Chunks are not tokens",
        "A chunk is a piece of text that can be shown. A token is the unit in which the model "
        "computes, and may be a third of a character. A chunk never splits a character, so it "
        "may take several tokens. Rely on the text, not on the number of chunks.",
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
        """,
        needs=("llm",),
    ),
    Cell(
        "survive_an_error",
        "Handle an error in mid-stream",
        "A server may close the connection in the middle of a sentence. This model does so "
        "after some chunks. The error arrives after all chunks that came before it, and the "
        "text so far is kept: you can show it, and offer to ask again.",
        r"""
        from collections.abc import Iterator
        from typing import Any

        from engine.errors import FirstTokenError, GenerationError
        from engine.llm import LLM, LLMMetadata

        class BreaksOff(LLM):  # it fails after some chunks
            @property
            def metadata(self) -> LLMMetadata:
                return llm.metadata

            def count_tokens(self, messages: Any) -> int:
                return llm.count_tokens(messages)

            def stream_chat(self, *prompt: Any) -> Iterator[str]:
                for number, text in enumerate(llm.stream_chat(*prompt)):
                    if number == $pieces:
                        raise GenerationError("The connection was lost.")
                    yield text

        broken_engine = index.as_query_engine(streaming=True, llm=BreaksOff(), options=options)
        streaming_response = broken_engine.query($question)
        try:
            for text in streaming_response.response_gen:
                print(text, end="", flush=True)
        except FirstTokenError as error:
            print(f"\n\n{error}\nKept: {streaming_response.text!r}")
        """,
        needs=("index", "llm", "options"),
    ),
    Cell(
        "watch_an_agent",
        "An agent's events",
        "An agent takes several steps, and reports events while it works: the model's input, "
        "a tool call and its result, every chunk of the answer. `stream_events` yields them "
        "as they happen.",
        r"""
        from engine import AgentStream, AgentWorkflow, ToolCall, ToolCallResult
        from engine.agent.shipped import calculator_tool, search_tool

        tools = [search_tool(index.as_retriever()), calculator_tool()]
        agent = AgentWorkflow.from_tools(tools, llm=llm)
        handler = agent.run(user_msg=$task)
        async for event in handler.stream_events():
            if isinstance(event, AgentStream):
                print(event.delta, end="", flush=True)
            elif isinstance(event, ToolCallResult):
                print(f"  gave: {event.tool_output.content[:70]!r}\n")
            elif isinstance(event, ToolCall):
                print(f"\n{event.at:.2f} s  {event.tool_name}({dict(event.tool_kwargs)})")
        output = await handler
        print(f"\n\nThe answer, whole: {output.response!r}")
        """,
        needs=("index", "llm"),
    ),
)

MEASURE_SPEED = Cell(
    "measure_speed",
    "How fast it is here",
    "The chat model reads a prompt (prefill) and writes an answer token by token (decode). The "
    "embedding model and the reranker process passages and sentences. Other programs slow all of "
    "them down.",
    """
    import time

    from engine import ChatMessage, Settings
    from engine.llm import GenerationOptions
    from engine.run import Run

    sentence = "The lamp of the lighthouse flashes twice every fifteen seconds. "
    fresh = GenerationOptions(max_tokens=64, reuse=False, ignore_eos=True)
    run = Run.begin()
    Settings.llm.chat([ChatMessage("user", sentence * 24)], fresh, run)
    figures = run.trace.metrics
    if figures.prefill_rate:
        print(f"read {figures.prompt_tokens} tokens, {figures.prefill_rate:.0f} a second")
    if figures.decode_rate:
        print(f"wrote {figures.output_tokens} tokens, {figures.decode_rate:.0f} a second")

    began = time.perf_counter()
    Settings.embed_model.embed([f"{number}. {sentence * 12}" for number in range(8)])
    print(f"embedded {8 / (time.perf_counter() - began):.0f} passages a second")

    began = time.perf_counter()
    Settings.reranker.score("How often does the lamp flash?", [sentence] * 16)
    print(f"reranked {16 / (time.perf_counter() - began):.0f} sentences a second")
    """,
)

"""What another page has just done → its code, with the settings it was done with.

The middle is the source of the very function that the app calls; before it the documents are
opened, after it the answer is read, so that the whole runs outside the app. Pure.
"""

import ast
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import engine
from engine import RetrieverQueryEngine, VectorStoreIndex
from engine.measuring import Setup
from engine.measuring.runner import measured_engine
from engine.workspace import Turn, Workspace
from pages.cells.source import Function, body, literals


def code_of_turn(turn: Turn, folder: str) -> str:
    """A question on the Ask page, as `Workspace` asked it."""
    asked = turn.settings
    fill = {
        "self.library.index(collection)": "index",
        "self.llm": "Settings.llm",
        **literals({f"settings.{name}": value for name, value in asked.items()}),
    }
    read = read_stream if asked.get("streaming", True) else read_whole
    parts = [
        body(open_documents, literals({"folder": folder})),
        _with_imports(body(Workspace._engine, fill, result="query_engine"), Workspace._engine),
        body(read, literals({"question": turn.searched_for or turn.question})),
    ]
    return "\n\n".join(parts)


def code_of_task(task: str, folder: str) -> str:
    """A task on the Agent page: an agent with the page's tools, and its events as they happen."""
    opened = body(open_documents, literals({"folder": folder}))
    return f"{opened}\n\n{body(read_events, literals({'task': task}))}"


def code_of_comparison(setup: Setup, folder: str) -> str:
    """A comparison on the Compare page: one pair of its runs, with the engine it measures."""
    fill = {
        "index_of(setup.collection)": "index",
        "llm": "Settings.llm",
        "step.exact": "False",
        **literals({f"setup.{name}": value for name, value in asdict(setup).items()}),
        **literals({"step.passages": setup.passages, "step.length": setup.length}),
    }
    parts = [
        body(open_documents, literals({"folder": folder})),
        _with_imports(body(measured_engine, fill, result="query_engine"), measured_engine),
        body(read_both, literals({"question": setup.question})),
    ]
    return "\n\n".join(parts)


def open_documents(folder: str) -> VectorStoreIndex:
    from engine import Settings, SimpleDirectoryReader, VectorStoreIndex

    documents = SimpleDirectoryReader(folder).load_data()
    index = VectorStoreIndex.from_documents(documents)
    print("Answers are written by", Settings.llm.metadata.model_name)
    return index


def read_stream(query_engine: RetrieverQueryEngine, question: str) -> None:
    response = query_engine.query(question, stream=True)
    for source in response.source_nodes:
        print(source.node.label)
    response.print_response_stream()


def read_whole(query_engine: RetrieverQueryEngine, question: str) -> None:
    response = query_engine.query(question, stream=False)
    for source in response.source_nodes:
        print(source.node.label)
    print(response)


def read_both(query_engine: RetrieverQueryEngine, question: str) -> None:
    for streaming in (True, False):
        response = query_engine.query(question, stream=streaming)
        print(response)
        shown, ended = response.trace.chunk_times[0], response.trace.ended
        print(f"streaming={streaming}: first words after {shown:.2f} s, all after {ended:.2f} s")


def read_events(index: VectorStoreIndex, task: str) -> None:
    from engine import AgentStream, AgentWorkflow, TavilyToolSpec, ToolCall, ToolCallResult
    from engine.agent.shipped import calculator_tool, clock_tool, search_tool

    search = search_tool(index.as_retriever(similarity_top_k=3))
    agent = AgentWorkflow.from_tools([search, calculator_tool(), clock_tool(), TavilyToolSpec()])
    handler = agent.run(user_msg=task)
    for event in handler.events():
        if isinstance(event, ToolCall):
            print(f"{event.at:.2f} s: {event.tool_name}({dict(event.tool_kwargs)})")
        elif isinstance(event, ToolCallResult):
            print(f"{event.at:.2f} s: {event.tool_output.content[:70]!r}")
        elif isinstance(event, AgentStream):
            print(event.delta, end="", flush=True)


def _with_imports(code: str, function: Function) -> str:
    """The code after the imports that the function's module gives it."""
    known: Mapping[str, Any] = function.__globals__
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    homes: dict[str, list[str]] = {}
    for name in sorted(used & known.keys()):
        home = "engine" if name in engine.__all__ else known[name].__module__
        homes.setdefault(home, []).append(name)
    lines = [f"from {home} import {', '.join(names)}" for home, names in sorted(homes.items())]
    return "\n".join([*lines, "", code])

"""The code behind what a page has just done, with the settings that it used.

Each template does what the app does, and runs outside the app. Tests run the templates and compare
the results with the app's.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.measuring import Setup
from engine.workspace import AskSettings, Turn
from pages.cells.notebook import filled

OPEN_DOCUMENTS = """
documents = SimpleDirectoryReader($folder).load_data()
index = VectorStoreIndex.from_documents(documents)
print("The model is", Settings.llm.metadata.model_name)
"""

# In its place, where a question was about several collections, or only some documents
OPEN_CHOSEN = """
from engine import Filters
index, *others = [
    VectorStoreIndex.from_documents(SimpleDirectoryReader(folder).load_data())
    for folder in $folders
]
only = Filters(source_ids=$only)
print("The model is", Settings.llm.metadata.model_name)
"""

ANSWER = f"""
from engine import (
    ResponseSynthesizer, RetrieverQueryEngine, Settings, SimpleDirectoryReader, VectorStoreIndex
)
from engine.llm import GenerationOptions
from engine.retrieving import is_relevant, may_be_relevant
{OPEN_DOCUMENTS}
synthesizer = ResponseSynthesizer(
    Settings.llm,
    streaming=$streaming,
    response_mode=$response_mode,
    options=GenerationOptions(max_tokens=$length, temperature=$temperature),
    first_token_budget=$first_token_budget,
)
retriever = index.as_retriever(similarity_top_k=$passages)
kinds = index.as_kinds(similarity_top_k=$passages)
query_engine = RetrieverQueryEngine(retriever, synthesizer, is_relevant, kinds, may_be_relevant)

response = query_engine.query($question)
for source in response.source_nodes:
    print(source.node.label)
"""

COMPARISON = f"""
from engine import (
    ResponseSynthesizer, RetrieverQueryEngine, Settings, SimpleDirectoryReader, VectorStoreIndex
)
from engine.llm import ContextFormat, GenerationOptions
from engine.retrieving import is_relevant
{OPEN_DOCUMENTS}
options = GenerationOptions(max_tokens=$length, temperature=0.0, reuse=$warm)
synthesizer = ResponseSynthesizer(
    Settings.llm,
    options=options,
    context_format=CONTEXT_FORMAT,
    first_token_budget=$first_token_budget,
)
retriever = index.as_retriever(similarity_top_k=$passages)
query_engine = RetrieverQueryEngine(retriever, synthesizer, is_relevant)

for streaming in (True, False):
    response = query_engine.query($question, stream=streaming)
    print(response)
    metrics = response.trace.metrics
    print(f"streaming={{streaming}}: TTFT {{metrics.ttft:.2f}} s, E2EL {{metrics.e2el:.2f}} s")
"""

TASK = f"""
from engine import (
    AgentStream, AgentWorkflow, Settings, SimpleDirectoryReader, ToolCall, ToolCallResult,
    VectorStoreIndex
)
from engine.agent.shipped import document_search, shipped_tools
{OPEN_DOCUMENTS}
agent = AgentWorkflow.from_tools(shipped_tools(document_search(index)))
handler = agent.run(user_msg=$task)
for event in handler.events():
    if isinstance(event, ToolCall):
        print(f"{{event.at:.2f}} s: {{event.tool_name}}({{dict(event.tool_kwargs)}})")
    elif isinstance(event, ToolCallResult):
        print(f"{{event.at:.2f}} s: {{event.tool_output.content[:70]!r}}")
    elif isinstance(event, AgentStream):
        print(event.delta, end="", flush=True)
"""


def code_of_turn(turn: Turn, *folders: str, only: Sequence[str] = ()) -> str:
    """A question on the Ask page, as the app asked it.

    `folders`: those of the collections that it searched. `only`: the ids of the documents that it
    was about; none: all.
    """
    before = {"first_token_budget": None}  # older turns have no such setting
    asked = {**asdict(AskSettings()), **before, **turn.settings}
    asked["first_token_budget"] = asked["first_token_budget"] or None
    question = turn.searched_for or turn.question
    show = "response.print_response_stream()" if asked["streaming"] else "print(response)"
    values = {**asked, **_places(folders, only), "question": question}
    return f"{filled(_chosen(ANSWER, folders, only), values)}\n{show}"


def code_of_comparison(setup: Setup, folder: str) -> str:
    """A comparison on the Compare page: its first question, streaming and not, in this process."""
    chosen = setup.context_format
    context_format = f"ContextFormat.{chosen.name}" if chosen else "None"
    template = COMPARISON.replace("CONTEXT_FORMAT", context_format)
    values = {
        **asdict(setup),
        "question": setup.questions[0],
        "warm": setup.lanes[0].warm,
        "folder": folder,
        "first_token_budget": setup.first_token_budget or None,
    }
    return filled(template, values)


def code_of_task(task: str, *folders: str, only: Sequence[str] = ()) -> str:
    """A task on the Agent page: an agent with the page's tools, and its events.

    `folders` and `only`: as in `code_of_turn`.
    """
    values = {**_places(folders, only), "task": task}
    return filled(_chosen(TASK, folders, only), values)


def _places(folders: Sequence[str], only: Sequence[str]) -> dict[str, Any]:
    return {"folder": folders[0], "folders": list(folders), "only": tuple(only)}


def _chosen(template: str, folders: Sequence[str], only: Sequence[str]) -> str:
    """The template as it searches several folders, or only some documents."""
    if len(folders) == 1 and not only:
        return template
    template = template.replace(OPEN_DOCUMENTS, OPEN_CHOSEN)
    opening = r"(as_retriever|as_kinds|document_search)\((.*?)\)"
    return re.sub(opening, r"\1(\2, filters=only, also=others)", template)

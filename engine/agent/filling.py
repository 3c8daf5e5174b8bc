"""A tool and a question → the arguments of a call, written by a model that cannot write others.

The tool's JSON schema becomes a grammar, so the arguments always parse and have the right
types; whether they are the right ones is up to the model. It does not know why the tool was
chosen.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.agent.tools import FunctionTool
from engine.llm.base import LLM, GenerationOptions
from engine.run import Run
from engine.schema import ChatMessage

# Bounds, so that a model that repeats itself comes to an end: characters of a text, items of a
# list, tokens of all arguments.
TEXT, ITEMS, TOKENS = 200, 8, 512


def fill_arguments(llm: LLM, tool: FunctionTool, question: str, run: Run) -> dict[str, Any]:
    """The arguments for this question: what is required, by the cheapest way that gives it.

    Raises:
        LLMError: the model failed, or the schema asks for more than a grammar can say.
    """
    if (read := tool.arguments_from(question)) is not None:
        return read
    schema = required_only(tool.parameters)
    if not schema["properties"]:
        return {}
    task = f"Write the arguments of {tool.name}. {tool.summary} Reply with JSON."
    messages = [ChatMessage("system", task)]
    for example in tool.examples:
        if example.arguments:
            messages.append(ChatMessage("user", example.question))
            messages.append(ChatMessage("assistant", json.dumps(dict(example.arguments))))
    messages.append(ChatMessage("user", question))
    run.note(f"The model itself wrote the arguments of {tool.name}: see that they are right.")
    run.trace.begin_call("arguments")
    options = GenerationOptions(max_tokens=TOKENS, json_schema=bounded(schema))
    return parse_object("".join(llm.stream_chat(messages, options, run)))


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object; nothing of one that was cut off."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def required_only(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the parameters that have defaults."""
    required = schema.get("required", [])
    kept = {name: part for name, part in schema.get("properties", {}).items() if name in required}
    return {**schema, "properties": kept}


def bounded(schema: Any) -> Any:
    """The schema with an end to every text and list that has none."""
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key in _LITERAL else bounded(value) for key, value in schema.items()}
    kind = inner.get("type")
    if kind == "string" and not inner.keys() & {"enum", "const", "pattern", "format"}:
        inner.setdefault("maxLength", TEXT)
    if kind == "array":
        inner.setdefault("maxItems", ITEMS)
    return inner


_LITERAL = ("enum", "const", "default", "examples", "required")  # values, not schemas

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
    call = run.trace.begin_call("arguments")
    options = GenerationOptions(max_tokens=TOKENS, json_schema=bounded(schema))
    return parse_object("".join(llm.stream_chat(messages, options, run, call)))


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
    """The schema as a grammar can say it: texts and lists have an end, patterns are left out, and
    what may be anything is a text. A call that a left-out pattern forbids is refused later."""
    if not isinstance(schema, dict):
        return schema
    inner = {key: value for key, value in schema.items() if key != "pattern"}
    for key in _NAMED & inner.keys():
        inner[key] = {name: bounded(part) for name, part in inner[key].items()}
    for key in _LISTED & inner.keys():
        inner[key] = [bounded(part) for part in inner[key]]
    for key in _SINGLE & inner.keys():
        inner[key] = bounded(inner[key])
    if not inner.keys() & _SHAPES:
        inner["type"] = "string"
    if inner.get("type") == "string" and not inner.keys() & {"enum", "const", "format"}:
        inner.setdefault("maxLength", TEXT)
    if inner.get("type") == "array":
        inner.setdefault("maxItems", ITEMS)
    return inner


# JSON schema's keywords that hold schemas, and those that say what a value is.
_NAMED = {"properties", "$defs"}
_LISTED = {"anyOf", "oneOf", "allOf", "prefixItems"}
_SINGLE = {"items", "additionalProperties"}
_SHAPES = {"type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf"}

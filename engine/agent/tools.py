"""Tools: typed Python functions that an agent can call, and the execution of a call.

The function's name, docstring and signature become the tool's name, description and JSON
schema. Arguments from a model or a person are validated against the signature before the function
is called.
"""

import asyncio
import inspect
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from engine.agent.events import ToolOutput
from engine.errors import FirstTokenError, ToolError
from engine.llm.tool_calls import ToolSpec
from engine.run import Run

log = logging.getLogger(__name__)

SECONDS = 30.0  # the default time limit of a call
# The default limit of a result's text, in characters: about 2,000 tokens, half of the default
# model's context window.
CHARACTERS = 8000


@dataclass(frozen=True, slots=True)
class Example:
    """A question that a tool can answer, and the arguments for it."""

    question: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class FunctionTool:
    """A function that an agent may call. It may be async: each call then has its own event loop, so
    the function must not keep a client that belongs to another loop.

    The engine fills a parameter annotated with `Run`. Its `check()` raises when the call was
    stopped or has timed out.

    name, description: those of the function by default. requires_approval: a person must approve
    each call. timeout: seconds. max_characters: of the result's text; the rest is cut off.
    return_direct: the result is exact and short, so a small model's answer quotes it.
    unavailable: why the tool cannot be used and how to change that; empty if it can.
    check_sources: given the arguments of a call and the texts that the agent has (the user's
    messages, results of tools), returns why the call must not run, or an empty string.

    RoutingPolicy uses these for small models:
    claims: given a question and the user's messages before it, the arguments of the call if the
    question is certainly for this tool, else None. A ToolError says why it cannot be answered.
    examples: questions that the tool can answer. suits: False if a question is certainly not for
    the tool. arguments_from: the arguments for a question that was given to the tool by its
    examples; without it, the model writes them. declines: the sentence for such a question, if the
    tool runs only where it `claims`.

    Raises:
        ToolError: the function's signature cannot be described.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        requires_approval: bool = False,
        timeout: float = SECONDS,
        max_characters: int = CHARACTERS,
        examples: Sequence[Example] = (),
        suits: Callable[[str], bool] = lambda _: True,
        claims: Callable[[str, Sequence[str]], dict[str, Any] | None] = lambda *_: None,
        arguments_from: Callable[[str], dict[str, Any]] | None = None,
        declines: str = "",
        check_sources: Callable[[Mapping[str, Any], Sequence[str]], str] = lambda *_: "",
        return_direct: bool = False,
        unavailable: str = "",
    ) -> None:
        self.fn = fn
        self.name = name or getattr(fn, "__name__", type(fn).__name__)
        self.description = description or inspect.getdoc(fn) or self.name.replace("_", " ")
        self.requires_approval = requires_approval
        self.timeout = timeout
        self.max_characters = max_characters
        self.examples = tuple(examples)
        self.suits = suits
        self.claims = claims
        self.arguments_from = arguments_from
        self.declines = declines
        self.check_sources = check_sources
        self.return_direct = return_direct
        self.unavailable = unavailable
        self._run_parameter, self._arguments = _arguments_model(fn, self.name)

    @classmethod
    def from_defaults(cls, fn: Callable[..., Any], name: str = "", description: str = "") -> Self:
        return cls(fn, name=name, description=description)

    @property
    def summary(self) -> str:
        """The description's first sentence or line."""
        return self.description.strip().splitlines()[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return self._arguments.model_json_schema()

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, self.description, self.parameters)

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, converted to the types of the signature.

        They include the defaults if a person has to approve the call.

        Raises:
            ToolError: some are missing, unknown, or of the wrong type.
        """
        try:
            model = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            faults = []
            for each in error.errors():
                place, message = ".".join(map(str, each["loc"])), str(each["msg"]).lower()
                faults.append(f"{place}: {message}" if place else message)
            raise ToolError(f"Wrong arguments for {self.name}: {'; '.join(faults)}.") from None
        fields = type(model).model_fields
        shown = fields.keys() if self.requires_approval else model.model_fields_set
        return {name: getattr(model, name) for name in fields if name in shown}

    def invoke(self, arguments: Mapping[str, Any], run: Run) -> Any:
        """Call the function with checked arguments. An async function returns its coroutine.

        Raises:
            ToolError: the tool is unavailable.
        """
        if self.unavailable:
            raise ToolError(self.unavailable)
        filled = {self._run_parameter: run} if self._run_parameter else {}
        return self.fn(**arguments, **filled)


@runtime_checkable
class ToolSet(Protocol):
    """An object that provides tools, such as TavilyToolSpec."""

    def to_tool_list(self) -> list[FunctionTool]: ...


AnyTool = FunctionTool | ToolSet | Callable[..., Any]


def as_tools(given: Sequence[AnyTool]) -> list[FunctionTool]:
    """Functions, tools and sets of tools → tools.

    Raises:
        ToolError: two have the same name, or a signature cannot be described.
    """
    tools: list[FunctionTool] = []
    for each in given:
        if isinstance(each, ToolSet):
            tools += each.to_tool_list()
        else:
            tools.append(each if isinstance(each, FunctionTool) else FunctionTool(each))
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ToolError(f"Two tools are called {twice}. Give one of them another name.")
    return tools


def _arguments_model(fn: Callable[..., Any], name: str) -> tuple[str, type[BaseModel]]:
    """The name of the parameter that takes the run, or "", and a model of all the others."""
    signature = inspect.signature(fn, eval_str=True)
    run_parameter, fields = "", {}
    for parameter in signature.parameters.values():
        if parameter.annotation is Run:
            run_parameter = parameter.name
            continue
        if parameter.annotation is parameter.empty:
            raise ToolError(f"Parameter {parameter.name} of {name} has no type. Annotate it.")
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolError(
                f"Parameter {parameter.name} of {name} cannot be passed by its name. Replace "
                "*args, **kwargs and positional-only parameters by named ones."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=False)
    try:
        model: type[BaseModel] = create_model(name, __config__=config, **fields)  # type: ignore[call-overload]
        model.model_json_schema()
    except (PydanticUserError, NameError, TypeError, ValueError) as error:
        raise ToolError(f"The signature of {name} has no JSON schema: {error}") from error
    return run_parameter, model


# One call


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What a call returned. `is_error`: the tool failed or timed out; `output` says why."""

    output: ToolOutput
    is_error: bool
    seconds: float


def call_tool(tool: FunctionTool, arguments: Mapping[str, Any], run: Run) -> CallOutcome:
    """Call a tool with checked arguments, on a thread of its own.

    The call ends at its time limit and when `run` is cancelled. A sync function cannot be
    interrupted: its thread continues, and its result is dropped.

    Raises:
        Cancelled: `run` was cancelled.
    """
    began = time.perf_counter()
    call = _Call(tool, arguments)
    forget = run.on_cancel(call.stop)
    try:
        ended = call.wait(tool.timeout)
        run.check()
    finally:
        forget()
        call.stop()
    if not ended:
        sentence = f"{tool.name} did not answer within {tool.timeout:g} seconds."
        output, is_error = ToolOutput(sentence), True
    elif call.error is not None:
        output, is_error = ToolOutput(_error_sentence(tool, call.error)), True
    else:
        output, is_error = call.output, False
    left_out = len(output.content) - tool.max_characters
    if left_out > 0:
        output = replace(output, content=output.content[: tool.max_characters], left_out=left_out)
    return CallOutcome(output, is_error, time.perf_counter() - began)


class _Call:
    """The tool's thread. `stop` ends the wait, and the tool itself if it can be ended."""

    def __init__(self, tool: FunctionTool, arguments: Mapping[str, Any]) -> None:
        self.output = ToolOutput("")
        self.error: BaseException | None = None
        self._tool, self._arguments = tool, arguments
        self._run = Run()  # not the agent's, which continues after the time limit of a call
        self._ended = False
        self._woken = threading.Event()
        threading.Thread(target=self._work, name=f"tool {tool.name}", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Whether the tool ended within that time."""
        self._woken.wait(seconds)
        return self._ended

    def stop(self) -> None:
        self._run.cancel()
        self._woken.set()

    def _work(self) -> None:
        try:
            value = self._tool.invoke(self._arguments, self._run)
            if inspect.isawaitable(value):
                value = asyncio.run(self._finish(value))
            self.output = _as_output(value)
        except BaseException as error:  # even a SystemExit ends only this call
            if not isinstance(error, FirstTokenError) and not self._run.cancelled:
                log.exception("The tool %s failed", self._tool.name)
            self.error = error
        self._ended = True
        self._woken.set()

    async def _finish(self, awaitable: Awaitable[Any]) -> Any:
        task, loop = asyncio.ensure_future(awaitable), asyncio.get_running_loop()

        def end() -> None:
            with suppress(RuntimeError):  # the loop is closed, because the tool has just ended
                loop.call_soon_threadsafe(task.cancel)

        self._run.on_cancel(end)
        return await task


def _as_output(value: Any) -> ToolOutput:
    """The result of a tool. Values other than text become JSON, or their `str` if that fails."""
    if isinstance(value, ToolOutput):
        return value
    if isinstance(value, str):
        return ToolOutput(value)
    if value is None:
        return ToolOutput("Done.")
    if isinstance(value, BaseModel | dict | list | tuple | set) or is_dataclass(value):
        plain = to_jsonable_python(value, fallback=str)
        return ToolOutput(json.dumps(plain, ensure_ascii=False))
    return ToolOutput(str(value))


def _error_sentence(tool: FunctionTool, error: BaseException) -> str:
    if isinstance(error, FirstTokenError):
        return str(error)
    return f"{tool.name} failed: {str(error).strip().rstrip('.') or type(error).__name__}."

"""Tools: any typed Python function, as something an agent can call.

The function's name, docstring and signature become the tool's name, description and JSON
schema. Arguments that a model or a person wrote are checked against the signature before the
function sees them. It does not know when a tool is called, nor how long it may run.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from engine.errors import ToolError
from engine.llm.tool_calls import ToolSpec
from engine.run import Run

SECONDS = 30.0  # a person who waits longer takes the tool for dead
# What of a tool's text is kept: about 2,000 tokens, half the local model's window.
CHARACTERS = 8000


@dataclass(frozen=True, slots=True)
class Example:
    """A question that a tool is right for, and the arguments it would get."""

    question: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class FunctionTool:
    """A function that an agent may call. Sync or async; an async one gets an event loop of its
    own for each call, so it must keep no client that belongs to another loop.

    A parameter annotated with `Run` is filled by the engine: its `check()` raises where the
    call was stopped or has taken too long.

    name, description: where not the function's own. requires_approval: a person must agree to
    each call. timeout: seconds. max_characters: of its text; the rest is cut off.
    examples: questions it is right for; small models choose tools by them.
    suits: False where a question is certainly not for it, whatever it is like.
    arguments_from: reads the arguments off a question without a model, or gives None.
    return_direct: the result is exact and short: a small model quotes it and does not retell it.
    unavailable: why it cannot be used, and how to change that; empty: it can.

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
        arguments_from: Callable[[str], dict[str, Any] | None] = lambda _: None,
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
        self.arguments_from = arguments_from
        self.return_direct = return_direct
        self.unavailable = unavailable
        self._run_parameter, self._arguments = _describe(fn, self.name)

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
        """The arguments in the types of the signature, defaults filled in.

        Raises:
            ToolError: some are missing, unknown, or of the wrong kind.
        """
        try:
            model = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            faults = "; ".join(_fault(each) for each in error.errors())
            raise ToolError(f"{self.name} cannot be called so: {faults}.") from None
        return {name: getattr(model, name) for name in type(model).model_fields}

    def invoke(self, arguments: Mapping[str, Any], run: Run) -> Any:
        """Call the function with checked arguments; of an async one, give its coroutine."""
        if self.unavailable:
            raise ToolError(self.unavailable)
        filled = {self._run_parameter: run} if self._run_parameter else {}
        return self.fn(**arguments, **filled)


@runtime_checkable
class ToolSet(Protocol):
    """Something that stands for several tools, or for one that it makes."""

    def to_tool_list(self) -> list[FunctionTool]: ...


Toolish = FunctionTool | ToolSet | Callable[..., Any]


def as_tools(given: Sequence[Toolish]) -> list[FunctionTool]:
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


def _describe(fn: Callable[..., Any], name: str) -> tuple[str, type[BaseModel]]:
    """The name of the parameter that takes the run, or "", and a model of all the others."""
    signature = inspect.signature(fn, eval_str=True)
    run_parameter, fields = "", {}
    for parameter in signature.parameters.values():
        if parameter.annotation is Run:
            run_parameter = parameter.name
        else:
            _refuse_unclear(parameter, name)
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", protected_namespaces=(), arbitrary_types_allowed=False)
    try:
        model: type[BaseModel] = create_model(name, __config__=config, **fields)  # type: ignore[call-overload]
        model.model_json_schema()
    except (PydanticUserError, NameError, TypeError, ValueError) as error:
        raise ToolError(f"The signature of {name} has no JSON schema: {error}") from error
    return run_parameter, model


def _refuse_unclear(parameter: inspect.Parameter, name: str) -> None:
    if parameter.annotation is parameter.empty:
        raise ToolError(f"Parameter {parameter.name} of {name} has no type. Annotate it.")
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ToolError(f"Parameter {parameter.name} of {name} has no name of its own to fill.")


def _fault(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg'].lower()}" if place else str(error["msg"]).lower()

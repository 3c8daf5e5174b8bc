"""ResponseSynthesizer: passages and a question → text, in one LLM call or several.

A response mode is a plan: a generator that yields prompts and is sent the replies. The last
prompt's reply is the answer, and the only one that streams. A plan knows no model: it asks only
whether a context fits. What does not fit one prompt is spread over several, never cut.

    compact           as few calls as the context window allows; later ones refine the answer
    refine            a call a passage, each refining the answer of the one before
    tree_summarize    an answer for each context, then an answer from those answers
    simple_summarize  one call; of passages that do not fit together, each gives its beginning
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Self

from engine.llm.base import LLM, GenerationOptions, Packing
from engine.prompting import answer_prompt, excerpts, pack, parts_that_fit, refine_prompt
from engine.run import Run
from engine.schema import ChatMessage, NodeWithScore
from engine.settings import Settings


class ResponseMode(StrEnum):
    COMPACT = "compact"
    REFINE = "refine"
    TREE_SUMMARIZE = "tree_summarize"
    SIMPLE_SUMMARIZE = "simple_summarize"


@dataclass(frozen=True, slots=True)
class Step:
    """One LLM call of a plan."""

    purpose: str
    messages: list[ChatMessage]
    last: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """What a plan works on. `fits` says whether a prompt leaves room for its answer."""

    question: str
    texts: Sequence[str]
    packing: Packing
    fits: Callable[[Sequence[ChatMessage]], bool]

    def answer(self, context: str) -> list[ChatMessage]:
        return answer_prompt(self.question, context, packing=self.packing)

    def context_fits(self, context: str) -> bool:
        return self.fits(self.answer(context))


Plan = Generator[Step, str, None]


def compact(task: Task) -> Plan:
    return _refine_over(task, pack(task.texts, task.context_fits))


def refine(task: Task) -> Plan:
    parts = [part for text in task.texts for part in parts_that_fit(text, task.context_fits)]
    return _refine_over(task, parts)


def _refine_over(task: Task, contexts: Sequence[str]) -> Plan:
    """Answer from the first context, then better that answer with each further one."""
    first, *others = contexts
    so_far = yield Step("answer", task.answer(first), last=not others)
    remaining = list(others)
    while remaining:
        fits = partial(_refinement_fits, task, so_far)
        context, *later = parts_that_fit(remaining.pop(0), fits)
        remaining[:0] = later
        so_far = yield Step("refine", _refine(task, context, so_far), last=not remaining)


def _refinement_fits(task: Task, so_far: str, context: str) -> bool:
    return task.fits(_refine(task, context, so_far))


def _refine(task: Task, context: str, so_far: str) -> list[ChatMessage]:
    return refine_prompt(task.question, context, so_far)


def tree_summarize(task: Task) -> Plan:
    contexts = pack(task.texts, task.context_fits)
    while len(contexts) > 1:
        replies = yield from _answers_from(task, contexts)
        fewer = pack(replies, task.context_fits)
        # Answers as long as their contexts would never come together: then refine them.
        if len(fewer) >= len(contexts):
            yield from _refine_over(task, fewer)
            return
        contexts = fewer
    yield Step("answer", task.answer(contexts[0]), last=True)


def _answers_from(task: Task, contexts: Sequence[str]) -> Generator[Step, str, list[str]]:
    replies: list[str] = []
    for context in contexts:
        reply = yield Step("summarize", task.answer(context), last=False)
        replies.append(reply)
    return replies


def simple_summarize(task: Task) -> Plan:
    """One call. Where the texts do not fit together, the widest equal share of each does."""
    shares = range(100, -1, -1)
    kept = next((n for n in shares if task.context_fits(_beginnings(task.texts, n))), 0)
    note = "" if kept == 100 else f"Only the beginnings of the passages fitted: {kept} % of each."
    yield Step("answer", task.answer(_beginnings(task.texts, kept)), last=True, note=note)


def _beginnings(texts: Sequence[str], percent: int) -> str:
    return "\n\n".join(text[: len(text) * percent // 100] for text in texts)


PLANS: dict[ResponseMode, Callable[[Task], Plan]] = {
    ResponseMode.COMPACT: compact,
    ResponseMode.REFINE: refine,
    ResponseMode.TREE_SUMMARIZE: tree_summarize,
    ResponseMode.SIMPLE_SUMMARIZE: simple_summarize,
}


class ResponseSynthesizer:
    """Turns passages into an answer, with one model and one response mode.

    `packing` says what of the passages goes into the prompt; None: what the model does best with.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
        packing: Packing | None = None,
    ) -> None:
        self.llm = llm
        self.streaming = streaming
        self.response_mode = _mode(response_mode)
        self.options = options
        self.packing = packing or llm.metadata.packing

    @classmethod
    def from_args(
        cls,
        *,
        llm: LLM | None = None,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
    ) -> Self:
        """As the constructor; without a model, `Settings.llm`."""
        return cls(
            llm or Settings.llm, streaming=streaming, response_mode=response_mode, options=options
        )

    def write(
        self,
        question: str,
        nodes: Sequence[NodeWithScore],
        run: Run,
        on_last_call: Callable[[], None] = lambda: None,
    ) -> Iterator[str]:
        """The answer's pieces of text, as the last LLM call writes them.

        `on_last_call` is called just before that call. Without passages there is no call and no
        text.

        Raises:
            PromptTooLongError: the question alone leaves no room.
            LLMError: as the model raises it, after the pieces that came before.
        """
        if not nodes:
            return
        with run.span("prompt"):
            plan = PLANS[self.response_mode](self._task(question, nodes))
            step = next(plan)
        while not step.last:
            reply = "".join(self._call(step, run, self._intermediate))
            with run.span("prompt"):
                step = plan.send(reply)
        on_last_call()
        yield from self._call(step, run, self.options)

    def _task(self, question: str, nodes: Sequence[NodeWithScore]) -> Task:
        several = self.response_mode is not ResponseMode.COMPACT  # these modes hear every passage
        texts = excerpts(nodes, self.packing, of_each=several)
        return Task(question, texts, self.packing, self._fits)

    def _call(self, step: Step, run: Run, options: GenerationOptions) -> Iterator[str]:
        run.check()
        run.note(step.note)
        call = run.trace.begin_call(step.purpose)
        return self.llm.stream_chat(step.messages, options, run, call)

    @property
    def _room(self) -> int:
        """Tokens kept free for a reply: at most a quarter, so that a refined answer fits again."""
        return min(self.options.max_tokens, self.llm.metadata.context_window // 4)

    @property
    def _intermediate(self) -> GenerationOptions:
        return replace(self.options, max_tokens=self._room)

    def _fits(self, messages: Sequence[ChatMessage]) -> bool:
        return self.llm.count_tokens(messages) + self._room <= self.llm.metadata.context_window


def _mode(name: ResponseMode | str) -> ResponseMode:
    try:
        return ResponseMode(name)
    except ValueError:
        known = ", ".join(ResponseMode)
        raise ValueError(f"There is no response mode {name!r}. Choose one of: {known}.") from None

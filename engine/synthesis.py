"""ResponseSynthesizer: passages and a question → text, in one LLM call or several.

A response mode is a plan: a generator that yields prompts and receives the replies. The reply to
the last prompt is the answer, and only this one streams. Text that does not fit into one prompt is
divided among several; only `simple_summarize` cuts it.

    compact           as few calls as the context window allows; later calls refine the answer
    refine            a call for each passage, which refines the answer of the call before
    tree_summarize    an answer from each context, then an answer from those answers
    simple_summarize  one call; if the passages do not fit, with the beginning of each passage
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from engine.budget import plan as plan_reading
from engine.calculating import CALCULATION, CALCULATION_LENGTH, calculated, needs_calculation
from engine.errors import PromptTooLongError
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.llm.repetition import RepetitionError, RepetitionGuard
from engine.prompting import (
    answer_prompt,
    excerpts,
    pack,
    parts_that_fit,
    passage_prompt,
    readings,
    refine_prompt,
    system_for,
)
from engine.run import Run
from engine.schema import ChatMessage, NodeWithScore
from engine.settings import Settings
from engine.timing import PlanRecord

# The assumed length of the best sentence before the search, in tokens: the 75th percentile on SQuAD
A_SENTENCE = 45
# That of a passage with a question: CHUNK_SIZE of engine/settings.py, and a question of 44 tokens
A_PASSAGE = 300


class ResponseMode(StrEnum):
    COMPACT = "compact"
    REFINE = "refine"
    TREE_SUMMARIZE = "tree_summarize"
    SIMPLE_SUMMARIZE = "simple_summarize"


def seconds_for_a_passage(llm: LLM) -> float | None:
    """The seconds after which a model has read a passage, for 9 of 10 questions; None if its speed
    is not known."""
    rate = llm.reading_rate
    return None if rate is None else rate.cautious(A_PASSAGE)


class ResponseSynthesizer:
    """Turns passages into an answer, with one model and one response mode.

    `context_format`: sentences or whole passages in the prompt; None chooses by the model.
    `system`: the system message; by default that of the context format.
    `first_token_budget`: seconds from the question to the first token, for an answer in one call
    (COMPACT). The prompt contains as much of the passages as the model can read in that time; with
    None, all of it. A small model answers best from one sentence, and gets one with any budget.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
        context_format: ContextFormat | None = None,
        first_token_budget: float | None = None,
        system: str = "",
    ) -> None:
        if first_token_budget is not None and not first_token_budget > 0:
            raise ValueError("first_token_budget must be a number of seconds above 0, or None.")
        if response_mode not in list(ResponseMode):
            raise ValueError(
                f"There is no response mode {response_mode!r}. Choose one of: "
                f"{', '.join(ResponseMode)}."
            )
        self.llm = llm
        self.streaming = streaming
        self.response_mode = ResponseMode(response_mode)
        self.options = options
        self.context_format = context_format or llm.metadata.context_format
        self.first_token_budget = first_token_budget
        self.system = system or system_for(self.context_format)

    @classmethod
    def from_args(
        cls,
        *,
        llm: LLM | None = None,
        streaming: bool = False,
        response_mode: ResponseMode | str = ResponseMode.COMPACT,
        options: GenerationOptions = GenerationOptions(),
        first_token_budget: float | None = None,
    ) -> Self:
        """The same as the constructor; `llm` None means `Settings.llm`."""
        return cls(
            llm or Settings.llm,
            streaming=streaming,
            response_mode=response_mode,
            options=options,
            first_token_budget=first_token_budget,
        )

    @property
    def reads_passages(self) -> bool:
        """Whether the model gets whole passages: it is large enough for them, and can read one
        within the budget. Otherwise it gets a sentence or two."""
        if self.context_format is ContextFormat.SENTENCES:
            return False
        needed, budget = seconds_for_a_passage(self.llm), self.first_token_budget
        return needed is None or budget is None or needed <= budget

    def search_seconds(self, question: str) -> float | None:
        """The time limit of the search, in seconds since the question, so that the model can read
        one sentence within the budget; None without a limit."""
        rate, budget = self.llm.reading_rate, self.first_token_budget
        if rate is None or budget is None:
            return None
        return budget - rate.cautious(self._unread(self._prompt(question, [])) + A_SENTENCE)

    def write(
        self,
        question: str,
        nodes: Sequence[NodeWithScore],
        run: Run,
        write: Callable[[str], None],
        on_last_call: Callable[[], None] = lambda: None,
    ) -> "Written":
        """Pass the answer to `write`, chunk by chunk, as the last LLM call writes it.

        `on_last_call` is called just before that call. Without passages there is no call and no
        text. A model that begins to repeat itself is stopped.

        Raises:
            PromptTooLongError: the question alone leaves no room.
            LLMError: the model failed. It is raised after the chunks that arrived before.
        """
        if not nodes:
            return Written()
        window = self.llm.metadata.context_window
        # Tokens reserved for a reply: at most a quarter, so that a refined answer fits into a
        # prompt
        room = min(self.options.max_tokens, window // 4)

        def fits(messages: Sequence[ChatMessage]) -> bool:
            return self.llm.count_tokens(messages) + room <= window

        with run.span("prompt"):
            # compact answers from the best sentences of all passages; the others read each passage
            if self.response_mode is ResponseMode.COMPACT:
                texts = self._texts_in_time(question, nodes, run, window - room)
            else:
                texts = excerpts(nodes, self.context_format, of_each=True)
        calculation = self._calculation(question, texts, run)
        if calculation:
            question = f"{question}\nCalculated: {calculation}"
            run.note(f"Calculated from numbers of the passages: {calculation}.")
        with run.span("prompt"):
            plan = _PLANS[self.response_mode](
                _Task(question, texts, self.context_format, fits, self.system)
            )
            step = next(plan)
        while not step.last:
            reply = self._call(step, run, replace(self.options, max_tokens=room))
            with run.span("prompt"):
                step = plan.send(reply.text)
        on_last_call()
        written = self._call(step, run, self.options, write)
        return replace(written, read=tuple(texts), calculation=calculation)

    def _calculation(self, question: str, texts: Sequence[str], run: Run) -> str:
        """The calculation that the answer needs, with its value; empty if it needs none."""
        reads = self.reads_passages and self.response_mode is ResponseMode.COMPACT
        if not reads or not needs_calculation(question):
            return ""
        prompt = self._prompt(f"{question}\n{CALCULATION}", texts)
        options = replace(self.options, max_tokens=CALCULATION_LENGTH, temperature=0.0)
        try:
            written = self._call(_Step("calculation", prompt, last=False), run, options)
        except PromptTooLongError:
            return ""
        return calculated(written.text, question, texts)

    def _texts_in_time(
        self, question: str, nodes: Sequence[NodeWithScore], run: Run, longest: int
    ) -> list[str]:
        """The parts of the passages that fit into the budget. The plan is recorded in the trace.

        `longest`: tokens of a prompt, at most. Without a budget it is spread over several calls.
        """
        everything = excerpts(nodes, self.context_format)
        rate, budget = self.llm.reading_rate, self.first_token_budget
        whole_passages = everything == [found.text for found in nodes]
        largest = self._prompt(question, everything)
        total = self.llm.count_tokens(largest)
        if rate is None or (total > longest and budget is None):
            return everything  # a server that has not answered yet, or several calls
        steps = readings(question, nodes)
        if not whole_passages:
            steps = steps[:1]  # a small model answers best from the best sentence
        elif budget is None:
            steps = steps[-1:]
        # A passage that the model has read before costs nothing as the beginning of the prompt
        kept: int | None = None
        if len(steps) > 1:
            ahead = (self.llm.prepared(passage_prompt(found.text)) == 1.0 for found in nodes)
            kept = next((rank for rank, read in enumerate(ahead) if read), None)
        free = 0 if kept is None else len(nodes[kept].text)
        empty = self._prompt(question, [])
        least, start = self.llm.count_tokens(empty), self._unread(empty)
        per_character = (total - least) / sum(map(len, everything))

        def unread(place: int) -> int | None:
            """Estimated from the number of characters: counting each reading's tokens takes 1 to
            3 ms for 700 tokens (2-core AMD EPYC)."""
            if place == len(steps) - 1 and kept is None:
                return self._unread(largest) if total <= longest else None
            characters = sum(map(len, steps[place].texts(kept)))
            if least + per_character * characters > longest:
                return None
            return round(start + per_character * (characters - free))

        plan = plan_reading(len(steps), unread, rate, run.trace.now(), budget)
        read = steps[plan.chosen]
        texts = read.texts(kept) if whole_passages else everything
        if kept is not None:
            read = read.with_whole(kept)
        tokens = self._unread(self._prompt(question, texts))
        run.trace.plan = PlanRecord(
            budget,
            plan.predicted + rate.seconds(tokens) - rate.seconds(plan.tokens),
            plan.all_predicted,
            tokens,
            plan.all_tokens,
            sentences=sum(len(places) for places in read.places),
            passages=sum(1 for places in read.places if places),
            left_out=read.left_out if whole_passages else [],
        )
        run.note(run.trace.plan.sentence)
        return texts

    def _prompt(self, question: str, texts: Sequence[str]) -> list[ChatMessage]:
        context = "\n\n".join(texts)
        return answer_prompt(
            question, context, context_format=self.context_format, system=self.system
        )

    def _unread(self, prompt: Sequence[ChatMessage]) -> int:
        return (self.llm.unread if self.options.reuse else self.llm.count_tokens)(prompt)

    def _call(
        self,
        step: "_Step",
        run: Run,
        options: GenerationOptions,
        write: Callable[[str], None] = lambda _: None,
    ) -> "Written":
        run.check()
        run.note(step.note)
        call = run.trace.begin_call(step.purpose)
        # A model that may not end, because its speed is measured, repeats itself
        guard = RepetitionGuard(write, watching=not options.ignore_eos)
        try:
            self.llm.write_chat(guard, step.messages, options, run, call)
        except RepetitionError:
            return Written(guard.text, repeated=True)
        return Written(guard.text)


@dataclass(frozen=True, slots=True)
class Written:
    """An answer: its text, and the parts of the passages that the model has read.

    `calculation`: what code computed for it: "598 - 481 = 117". `repeated`: the model was stopped
    because it repeated itself. `text` is then without the repetition, of which a reader may have
    got a part.
    """

    text: str = ""
    read: tuple[str, ...] = ()
    calculation: str = ""
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    """One LLM call of a plan."""

    purpose: str
    messages: list[ChatMessage]
    last: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Task:
    """The input of a plan. `fits`: whether a prompt leaves room for its answer."""

    question: str
    texts: Sequence[str]
    context_format: ContextFormat
    fits: Callable[[Sequence[ChatMessage]], bool]
    system: str

    def answer(self, context: str) -> list[ChatMessage]:
        return answer_prompt(
            self.question, context, context_format=self.context_format, system=self.system
        )

    def context_fits(self, context: str) -> bool:
        return self.fits(self.answer(context))


_Plan = Generator[_Step, str, None]


def _compact(task: _Task) -> _Plan:
    return _refine_over(task, pack(task.texts, task.context_fits))


def _refine(task: _Task) -> _Plan:
    parts = [part for text in task.texts for part in parts_that_fit(text, task.context_fits)]
    return _refine_over(task, parts)


def _refine_over(task: _Task, contexts: Sequence[str]) -> _Plan:
    """Answer from the first context, then refine that answer with each further one."""
    first, *remaining = contexts
    so_far = yield _Step("answer", task.answer(first), last=not remaining)
    while remaining:

        def prompt(context: str, so_far: str = so_far) -> list[ChatMessage]:
            return refine_prompt(task.question, context, so_far, task.system)

        context, *later = parts_that_fit(remaining.pop(0), lambda part: task.fits(prompt(part)))
        remaining[:0] = later
        so_far = yield _Step("refine", prompt(context), last=not remaining)


def _tree_summarize(task: _Task) -> _Plan:
    contexts = pack(task.texts, task.context_fits)
    while len(contexts) > 1:
        replies: list[str] = []
        for context in contexts:
            reply = yield _Step("summarize", task.answer(context), last=False)
            replies.append(reply)
        fewer = pack(replies, task.context_fits)
        # If replies are as long as their contexts, they never fit into one: refine over them
        # instead
        if len(fewer) >= len(contexts):
            yield from _refine_over(task, fewer)
            return
        contexts = fewer
    yield _Step("answer", task.answer(contexts[0]), last=True)


def _simple_summarize(task: _Task) -> _Plan:
    """One call. If the texts do not fit, the same percentage of each is used, the largest that
    fits."""

    def beginnings(percent: int) -> str:
        return "\n\n".join(text[: len(text) * percent // 100] for text in task.texts)

    kept = bisect_left(range(1, 101), True, key=lambda n: not task.context_fits(beginnings(n)))
    note = "" if kept == 100 else f"Only the beginnings of the passages fitted: {kept} % of each."
    yield _Step("answer", task.answer(beginnings(kept)), last=True, note=note)


_PLANS: dict[ResponseMode, Callable[[_Task], _Plan]] = {
    ResponseMode.COMPACT: _compact,
    ResponseMode.REFINE: _refine,
    ResponseMode.TREE_SUMMARIZE: _tree_summarize,
    ResponseMode.SIMPLE_SUMMARIZE: _simple_summarize,
}

"""RoutingPolicy: for small models. Rules and examples choose the tools; exact results are quoted.

    message → its questions → for each: a plan → calls → the plan's reply

For each question, in this order:

1. A task that no tool can do is declined (limits.py).
2. A tool that can read the question as its own gets it: "Convert 84 km to miles".
3. A question that needs values of the documents and a calculation gets a plan (plans.py).
4. A word problem that can be verified becomes a calculation (problems.py).
5. Any other question goes to the tool whose examples it is most similar to, by the embedding model,
   or to no tool if it is most similar to small talk.

Answers from documents are quotations: a small model that is given the right sentence repeats the
wrong part of it too often (benchmarks/agent_tasks.py). The model writes only where nothing is
quoted: small talk, and results of tools that are not exact, from the sentences that answer the
question.
"""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.agent.calendar import dates_in
from engine.agent.clock import asks_for_the_time
from engine.agent.date_tools import local_time
from engine.agent.expressions import NotASum
from engine.agent.limits import declined
from engine.agent.plans import CALCULATOR, SEARCH, UNITS, Plan, Reply, Step, document_plan
from engine.agent.policy import (
    ANSWER,
    TOKENS,
    CallRequest,
    CompletedCall,
    StepPart,
    Task,
    Thought,
    bounded_schema,
    parse_object,
    split_thoughts,
    unrepeated,
)
from engine.agent.problems import looks_like_a_problem, read_problem
from engine.agent.quoting import quotation
from engine.agent.readings import Reading, readings, rounded
from engine.agent.shipped import NOT_FOUND, QUESTIONS
from engine.agent.tools import FunctionTool
from engine.agent.wording import continued, goes_on, of_documents, parts_of, refers_back
from engine.errors import ToolError
from engine.llm.base import LLM, ContextFormat, GenerationOptions
from engine.prompting import EVIDENCE_SENTENCES, answer_prompt, excerpts, parts_that_fit
from engine.run import Run
from engine.schema import ChatMessage
from engine.settings import Settings
from engine.spelling import with_question_words
from engine.splitting import sentence_spans

if TYPE_CHECKING:
    from engine.embedding import Embedding, Vectors

SMALL_TALK = tuple(QUESTIONS[ANSWER])  # questions that need no tool
# The number of a tool's nearest examples that count. For 1 to 5, tenfold cross-validation on the
# examples gives 0.95, 0.96, 0.97, 0.96 and 0.97 right choices.
NEAREST = 3
# A question below this cosine similarity to small talk goes to a tool, because a task that is taken
# for small talk gets no answer. 95 % of the small-talk examples are more similar to the others.
SMALL_TALK_LEAST = 0.57
# A tool's text of up to this many characters, a short paragraph, goes into the prompt unshortened.
# Of a longer text, the prompt gets the best sentences: 0.55 of 200 answers are right, against 0.44.
WHOLE = 400
TALK = 120  # tokens of an answer without a source, at most: a joke, four lines of a poem
# Without a penalty, the default model writes one line of a limerick again and again.
PENALTY = 1.2


@dataclass(frozen=True, slots=True)
class Route:
    """The tool for a question, or None; the nearest example and its cosine similarity."""

    tool: FunctionTool | None
    example: str = ""
    similarity: float = 1.0


@dataclass(slots=True)
class Part:
    """One question of the message, and how far its plan has come."""

    question: str
    plan: Plan
    call: CompletedCall | None = None  # the result that the plan waits for
    reply: Reply | None = None


@dataclass(slots=True)
class _Work:
    """What a run of the policy keeps in its task."""

    parts: list[Part] = field(default_factory=list)


class RoutingPolicy:
    """Answers with `llm`; chooses tools by rules and by the embedding model,
    `Settings.embed_model`."""

    def __init__(self, llm: LLM, options: GenerationOptions = GenerationOptions()) -> None:
        self._llm, self._options = llm, options

    def step(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> Iterator[StepPart]:
        if task.state is None:
            with run.span("route"):
                task.state = _Work(self._plans(task, tools, run))
        assert isinstance(task.state, _Work)
        parts = task.state.parts
        if tools:
            _hand_over(parts, task)
            requested = yield from self._advance(parts, run)
            if requested:
                return
        yield from self._answer(task, parts, tools, run)

    # Plans

    def _plans(self, task: Task, tools: Sequence[FunctionTool], run: Run) -> list[Part]:
        """A plan for the whole message, or one for each of its questions.

        Questions of which rules can read none stay together: the document search parts them.
        """
        vocabulary = getattr(Settings.embed_model, "vocabulary", frozenset[str]())
        question = with_question_words(task.question, vocabulary)
        # As it stands first: "halve" is no misspelt "have"
        if whole := self._certain(task.question, task, tools, question):
            return [Part(task.question, whole)]
        if further := self._further(task, tools):
            return [Part(task.question, further)]
        questions = parts_of(question)
        certain = [self._certain(each, task, tools) for each in questions]
        if not all(certain) and dates_in(question, local_time().date()):
            certain = [  # "A or B? Tell me the date." asks for one of the dates, not for today's
                None if asks_for_the_time(each) else plan
                for each, plan in zip(questions, certain, strict=True)
            ]
        if len(questions) == 1 or not any(certain):
            return [Part(task.question, self._likely(task.question, tools, run, task.history))]
        return [
            Part(question, plan or self._likely(question, tools, run))
            for question, plan in zip(questions, certain, strict=True)
        ]

    def _further(self, task: Task, tools: Sequence[FunctionTool]) -> Plan | None:
        """A plan for a question that leans on the one before it, if rules could read that one."""
        before = [each.content for each in task.history if each.role == "user"][-1:]
        alone = Task("")
        if not before or not self._certain(before[0], alone, tools):
            return None
        whole = continued(task.question, before[0])
        if whole and (plan := self._certain(whole, alone, tools)):
            return plan
        return say(GOES_ON) if goes_on(task.question) else None

    def _certain(
        self, question: str, task: Task, tools: Sequence[FunctionTool], corrected: str = ""
    ) -> Plan | None:
        """A plan by rules, or None. corrected: the question without misspelt words."""
        corrected = corrected or question
        usable = {tool.name: tool for tool in tools if not tool.unavailable}
        if usable.keys() <= OFFLINE:
            missing = next((tool.unavailable for tool in tools if tool.unavailable), "")
            if sentence := declined(corrected, web=missing or NO_WEB):
                return say(sentence, certain=True)
        for reading in dict.fromkeys([*readings(question), *readings(corrected)]):
            plan = self._read(reading, task, usable)
            if plan and reading.decimals is not None:
                return _with_decimals(plan, reading.decimals)
            if plan:
                return plan
        if CALCULATOR in usable and looks_like_a_problem(corrected):
            return say(usable[CALCULATOR].declines)
        return None

    def _read(
        self, reading: Reading, task: Task, usable: Mapping[str, FunctionTool]
    ) -> Plan | None:
        """A plan for one reading of a question, by rules, or None."""
        question = reading.text
        earlier = [message.content for message in task.history if message.role == "user"]
        for tool in usable.values():
            if reading.converts and tool.name != UNITS:
                continue
            try:
                arguments = tool.claims(question, earlier)
            except (ToolError, NotASum) as reason:
                return say(str(reason), certain=True)
            if arguments is not None:
                thought = f"{tool.name} can read “{question}” directly. "
                return _one_call(CallRequest(tool.name, arguments, question), thought)
        if reading.converts:
            return None
        if plan := document_plan(question, list(usable.values())):
            return plan
        if CALCULATOR in usable and (problem := read_problem(question)):
            return _word_problem(problem.expression, problem.unit, problem.reading, question)
        return None

    def _likely(
        self,
        question: str,
        tools: Sequence[FunctionTool],
        run: Run,
        history: Sequence[ChatMessage] = (),
    ) -> Plan:
        """A plan by the examples that the question is most similar to."""
        route = self.choose(question, [tool for tool in tools if not tool.unavailable])
        tool = route.tool
        if tool is None:
            return _talk()
        if tool.declines:
            return say(tool.declines)
        if tool.arguments_from is not None:
            before = [message.content for message in history if message.role == "user"][-1:]
            whole = " ".join([*before, question]) if refers_back(question) else question
            arguments = tool.arguments_from(whole)
        else:
            arguments = fill_arguments(self._llm, tool, question, run)
        thought = (
            f"“{question}” is most similar to “{route.example}”, an example for {tool.name} "
            f"(similarity {route.similarity:.2f}). "
        )
        return _one_call(CallRequest(tool.name, arguments, question), thought)

    def choose(self, question: str, tools: Sequence[FunctionTool]) -> Route:
        """Choose the tool whose examples the question is most similar to."""
        embedding: Any = Settings.embed_model  # hashable, which its protocol does not say
        asked = embedding.embed_query(question)
        examples: list[tuple[FunctionTool | None, tuple[str, ...]]] = [(None, SMALL_TALK)]
        for tool in tools:
            if tool.suits(question):
                questions = (example.question for example in tool.examples)
                examples.append((tool, (*questions, tool.summary)))
        routes = []
        for candidate, texts in examples:
            cosines = _embedded(embedding, texts) @ asked
            similarity = float(np.sort(cosines)[-NEAREST:].mean())
            if candidate or similarity >= SMALL_TALK_LEAST or len(examples) == 1:
                routes.append(Route(candidate, texts[int(cosines.argmax())], similarity))
        return max(routes, key=lambda route: route.similarity)

    def _advance(self, parts: Sequence[Part], run: Run) -> Generator[StepPart, None, bool]:
        """Continue each plan to its next call. Returns whether there are any calls."""
        requests: list[CallRequest] = []
        for part in parts:
            if part.reply is not None:
                continue
            run.check()
            try:
                step = part.plan.send(part.call) if part.call else next(part.plan)
            except StopIteration as ended:
                part.reply = ended.value
                continue
            if step.thought:
                yield Thought(step.thought)
            requests.append(step.request)
            yield step.request
        return bool(requests)

    # Answers

    def _answer(
        self, task: Task, parts: Sequence[Part], tools: Sequence[FunctionTool], run: Run
    ) -> Iterator[StepPart]:
        """The replies of the plans, in order."""
        separator = ""
        said: set[str] = set()
        for part in parts:
            reply = part.reply or Reply("This needs more steps than the agent may take.")
            if reply.text in said:
                continue
            if separator:
                yield separator
            separator = "\n\n"
            if reply.text:
                said.add(reply.text)
                yield reply.text
            elif reply.write_from is None:
                yield from self._talk(part.question, task, tools, run)
            else:
                yield from self._from_result(part.question, reply.write_from, run)

    def _talk(
        self, question: str, task: Task, tools: Sequence[FunctionTool], run: Run
    ) -> Iterator[StepPart]:
        if tools and (fixed := fixed_reply(question, tools)):
            yield fixed
            return
        run.note("The model wrote this without a source. Check it before you rely on it.")
        system = ChatMessage("system", "You are a friendly assistant. Answer briefly.")
        messages = [system, *task.history, ChatMessage("user", question)]
        options = GenerationOptions(
            max_tokens=min(TALK, self._options.max_tokens),
            temperature=self._options.temperature,
            repeat_penalty=max(PENALTY, self._options.repeat_penalty),
        )
        yield from self._write(messages, options, run)

    def _from_result(self, question: str, done: CompletedCall, run: Run) -> Iterator[StepPart]:
        """An answer that the model writes from the result of a call."""
        yield from self._write(self._prompt(question, done, run), self._options, run)

    def _write(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, run: Run
    ) -> Iterator[StepPart]:
        call = run.trace.begin_call("answer")
        chunks = self._llm.stream_chat(messages, options, run, call)
        yield from split_thoughts(unrepeated(chunks, run))

    def _prompt(self, question: str, done: CompletedCall, run: Run) -> list[ChatMessage]:
        """The question and the result of its call, shortened to fit the context window."""

        def prompt(context: str) -> list[ChatMessage]:
            return answer_prompt(question, context, context_format=ContextFormat.SENTENCES)

        window = self._llm.metadata.context_window
        room = min(self._options.max_tokens, window // 4)
        with run.span("prompt"):
            context = _relevant_text(done, question, run)
            fitting = next(
                parts_that_fit(
                    context, lambda text: self._llm.count_tokens(prompt(text)) + room <= window
                )
            )
        if len(fitting) < len(context):
            run.note(f"Only the beginning of the result of {done.call.tool_name} fit the prompt.")
        return prompt(fitting)


# Tools that know nothing of the present world and change nothing
OFFLINE = frozenset(
    [SEARCH, "calculator", "convert_units", "date_and_time", "time_between", "date_after",
     "date_facts"]
)  # fmt: skip
NO_WEB = "There is no tool for it here."
GOES_ON = "I cannot tell how this goes on from your last task. Write the whole task."


def _hand_over(parts: Sequence[Part], task: Task) -> None:
    """Give the results of the last step to the plans that asked for them, in order."""
    waiting = [part for part in parts if part.reply is None]
    results = list(task.steps[-1]) if task.steps else []
    for part, result in zip(waiting, results, strict=False):
        part.call = result


# Plans of one call or none


def say(text: str, certain: bool = False) -> Plan:
    """A reply without calls."""
    return Reply(text, declined=True, certain=certain)
    yield  # a generator


def _talk() -> Plan:
    return Reply()
    yield


def _one_call(request: CallRequest, thought: str) -> Plan:
    """One call, whose result is quoted if it is exact or comes from documents."""
    done = yield Step(request, thought)
    output = done.output
    searched = done.call.tool_name == SEARCH
    if done.is_error or not output.found:
        failed = done.is_error and not searched
        return Reply(output.content, declined=True, certain=failed, searched=searched)
    if output.is_answer:
        return Reply(output.content, searched=searched)
    if searched:
        quoted = quotation(of_documents(request.question), output.sources)
        return Reply(quoted or NOT_FOUND, declined=not quoted, searched=True)
    if done.direct:
        return Reply(output.content)
    return Reply(write_from=done)


def _with_decimals(plan: Plan, decimals: int) -> Plan:
    """A plan, whose result is also stated with this number of decimals."""
    reply = yield from plan
    result = "" if reply.declined else rounded(reply.text, decimals)
    return replace(reply, text=f"{reply.text}\n\nRounded: {result}") if result else reply


def _word_problem(expression: str, unit: str, reading: str, question: str) -> Plan:
    request = CallRequest("calculator", {"expression": expression}, question)
    done = yield Step(request, reading)
    if done.is_error:
        return Reply(done.output.content, declined=True)
    result = done.output.content.rpartition(" ")[2]
    return Reply(f"{result} {unit}\n\n{done.output.content}" if unit else done.output.content)


@lru_cache(maxsize=64)  # a tool's examples are embedded once
def _embedded(embedding: "Embedding", texts: tuple[str, ...]) -> "Vectors":
    return embedding.embed(texts)


def fill_arguments(llm: LLM, tool: FunctionTool, question: str, run: Run) -> dict[str, Any]:
    """The required arguments of a call, written by the model.

    A grammar made from the tool's JSON schema ensures arguments of the right types. Their values
    may be wrong, and a note says so.

    Raises:
        LLMError: the model failed, or a grammar cannot express the schema.
    """
    schema = _required_only(tool.parameters)
    if not schema["properties"]:
        return {}
    task = f"Write the arguments of {tool.name}. {tool.summary} Reply with JSON."
    messages = [ChatMessage("system", task)]
    for example in tool.examples:
        if example.arguments:
            messages.append(ChatMessage("user", example.question))
            messages.append(ChatMessage("assistant", json.dumps(dict(example.arguments))))
    messages.append(ChatMessage("user", question))
    run.note(f"The model wrote the arguments of {tool.name}. Check that they are right.")
    call = run.trace.begin_call("arguments")
    options = GenerationOptions(max_tokens=TOKENS, json_schema=bounded_schema(schema))
    return parse_object("".join(llm.stream_chat(messages, options, run, call)))


def _required_only(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without the parameters that have defaults."""
    required = schema.get("required", [])
    kept = {name: part for name, part in schema.get("properties", {}).items() if name in required}
    return {**schema, "properties": kept}


def _relevant_text(done: CompletedCall, question: str, run: Run) -> str:
    """The part of a tool's text that answers the question: its evidence, or its best sentences."""
    sources, text = done.output.sources, done.output.content
    if any(source.evidence for source in sources):
        return "\n\n".join(excerpts(sources, ContextFormat.SENTENCES))
    if len(text) <= WHOLE:
        return text
    sentences = [text[start:end].strip() for start, end in sentence_spans(text)]
    scores = Settings.reranker.score(question, sentences, run)
    best = sorted(range(len(sentences)), key=lambda at: -scores[at])[:EVIDENCE_SENTENCES]
    return "\n".join(sentences[at] for at in sorted(best))


# Small talk. The replies are fixed, because a small model that is asked about itself makes things
# up. small_talk.json has each reply with the questions that it answers. The model itself answers
# those of the empty reply, such as the request for a joke.
_REPLIES: dict[str, tuple[str, ...]] = {
    entry["reply"]: tuple(entry["questions"])
    for entry in json.loads(Path(__file__).with_name("small_talk.json").read_text(encoding="utf-8"))
}


def fixed_reply(question: str, tools: Sequence[FunctionTool]) -> str:
    """The reply to a greeting, to thanks or to a question about the agent; empty for the rest."""
    embedding: Any = Settings.embed_model
    asked = embedding.embed_query(question)
    nearest = {
        reply: float((_embedded(embedding, texts) @ asked).max())
        for reply, texts in _REPLIES.items()
    }
    names = [tool.name.replace("_", " ") for tool in tools if not tool.unavailable]
    return max(nearest, key=lambda reply: nearest[reply]).format(
        abilities=f"My tools are: {', '.join(names)}."
    )

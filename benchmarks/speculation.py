"""Would n-gram lookup in the prompt pay? What it would have done on answers really written.

    python -m benchmarks.speculation

A draft is what followed the last tokens' latest earlier occurrence. Answers are greedy, so it
is known how much of each draft would have been accepted; what a step of so many tokens costs
is measured here. Nothing is speculated in the product.
"""

import statistics
import time
from collections.abc import Sequence

from benchmarks.figures import Figures, keep
from benchmarks.squad import load
from engine.cores import cores
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.context import Context, ContextSize, Entry
from engine.run import Run
from engine.schema import ChatMessage
from engine.settings import Settings

QUESTIONS = 40
NGRAM = 2
DRAFTS = (1, 3, 7)  # tokens guessed at once
SYSTEM = ChatMessage("system", "You answer questions from the given text.")


def main() -> None:
    llm = LlamaCpp(Settings.weights.chat_model)
    keep("runtime", "speculation", figures(llm))
    llm.close()


def figures(llm: LlamaCpp) -> Figures:
    costs = {threads: step_costs(llm, threads) for threads in (1, cores().total)}
    one = min(cost[1] for cost in costs.values())
    answers = [tokens_of(llm, n) for n in range(QUESTIONS)]
    plain = sum(len(answer) for _, answer in answers) * one
    result: dict[str, float | int | str] = {"one token, ms": 1000 * one}
    for draft in DRAFTS:
        best = min(cost[draft + 1] for cost in costs.values())
        steps = [lookup_steps(prompt, answer, draft) for prompt, answer in answers]
        guessed, single = sum(g for g, _ in steps), sum(s for _, s in steps)
        result[f"{draft + 1} tokens in one step, ms"] = 1000 * best
        result[f"time with drafts of {draft} / without"] = (guessed * best + single * one) / plain
    return result


def tokens_of(llm: LlamaCpp, number: int) -> tuple[list[int], list[int]]:
    """The prompt's and the greedy answer's tokens of one question on a whole paragraph."""
    questions = load().answerable
    question = questions[number * (len(questions) // QUESTIONS)]
    text = f"{question.paragraph.text}\n\nQuestion: {question.text}"
    messages = [SYSTEM, ChatMessage("user", text)]
    answer = llm.chat(messages, GenerationOptions(max_tokens=64), Run()).content
    return llm._template.tokens(messages), llm._model.tokenise(answer)


def lookup_steps(prompt: Sequence[int], answer: Sequence[int], draft: int) -> tuple[int, int]:
    """Steps with a draft, and without because nothing was found."""
    guessed = single = written = 0
    while written < len(answer):
        known = [*prompt, *answer[:written]]
        guess = lookup(known, draft)
        right = 0
        while (
            right < len(guess) and list(answer[written : written + right + 1]) == guess[: right + 1]
        ):
            right += 1
        guessed, single = (guessed + 1, single) if guess else (guessed, single + 1)
        written += right + 1
    return guessed, single


def lookup(known: Sequence[int], draft: int) -> list[int]:
    last = list(known[-NGRAM:])
    for at in range(len(known) - NGRAM - 1, -1, -1):
        if list(known[at : at + NGRAM]) == last:
            return list(known[at + NGRAM : at + NGRAM + draft])
    return []


def step_costs(llm: LlamaCpp, threads: int) -> dict[int, float]:
    """Seconds for a step of so many tokens of one answer, 200 tokens into it."""
    context = Context(llm._model, ContextSize(512, 64, 1), False, "f16")
    context.use_threads(threads)
    for start in range(0, 200, 50):
        context.decode([Entry(5, at, 0, False) for at in range(start, start + 50)])
    costs = {}
    for size in (1, *(draft + 1 for draft in DRAFTS)):
        durations = []
        for _ in range(10):
            began = time.perf_counter()
            context.decode([Entry(5, 200 + n, 0, True) for n in range(size)])
            durations.append(time.perf_counter() - began)
            context.trim(0, 200)
        costs[size] = statistics.median(durations)
    context.close()
    return costs


if __name__ == "__main__":
    main()

"""Comparing two models: the same question to both, one after the other, on the same passages.

The passages are searched once. Each model that does not answer now is loaded for the comparison
and closed after it. Nothing kept of earlier prompts is used, so that both read the whole prompt.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.errors import Cancelled, FirstTokenError
from engine.llm.base import LLM, GenerationOptions
from engine.models.choosing import Choice
from engine.query_engine import RetrieverQueryEngine
from engine.response import StreamingResponse
from engine.run import Run
from engine.schema import NodeWithScore
from engine.synthesis import ResponseSynthesizer

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Side:
    """One of the two models. first_token in seconds, rate in tokens a second, once they are known.

    stage: what is done now, in a word; empty before it begins and after it ends.
    """

    name: str
    choice: Choice
    stage: str = ""
    text: str = ""
    first_token: float | None = None
    rate: float | None = None
    tokens: int = 0
    problem: str = ""
    done: bool = False


class ModelComparison:
    """One comparison, on a thread of its own. `sides` fill while it runs.

    `open_model` gives the model of a choice and a function that lets go of it.
    """

    def __init__(
        self,
        question: str,
        passages: Callable[[str, Run], list[NodeWithScore]],
        sides: tuple[Side, Side],
        open_model: Callable[[Choice, Run], tuple[LLM, Callable[[], None]]],
        length: int,
    ) -> None:
        self.question, self.sides = question, sides
        self.problem = ""
        self._passages, self._open_model = passages, open_model
        self._options = GenerationOptions(max_tokens=length, reuse=False)
        self._run = Run()
        self._thread = threading.Thread(target=self._work, name="comparing models", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._run.cancel()

    def wait(self, seconds: float | None = None) -> None:
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            found = self._passages(self.question, self._run)
            for side in self.sides:
                self._ask(side, found)
        except Cancelled:
            self.problem = "Stopped."
        except FirstTokenError as error:
            self.problem = str(error)
        except Exception as error:
            log.exception("The comparison of two models failed")
            self.problem = f"The comparison failed ({type(error).__name__}). The log says more."

    def _ask(self, side: Side, found: Sequence[NodeWithScore]) -> None:
        side.stage = "loading"
        try:
            llm, let_go = self._open_model(side.choice, self._run)
        except FirstTokenError as error:
            side.problem, side.done, side.stage = str(error), True, ""
            return
        forget: Callable[[], None] = lambda: None  # noqa: E731
        try:
            synthesizer = ResponseSynthesizer(llm, options=self._options)
            engine = RetrieverQueryEngine(_Found(found), synthesizer)
            side.stage = "reading"
            response = engine.start(self.question, stream=llm.metadata.can_stream)
            forget = self._run.on_cancel(response.cancel)
            for piece in response.response_gen:
                side.text += piece
                side.stage = "writing"
            self._run.check()
            _measure(side, response)
        except FirstTokenError as error:
            side.problem = str(error)
        finally:
            forget()
            side.stage, side.done = "", True
            let_go()


def _measure(side: Side, response: StreamingResponse) -> None:
    measured = response.trace.metrics
    side.first_token, side.rate = measured.ttft, measured.decode_rate
    side.tokens = measured.output_tokens


class _Found:
    """A retriever that gives what has been found already."""

    def __init__(self, nodes: Sequence[NodeWithScore]) -> None:
        self._nodes = list(nodes)

    def retrieve(self, *_: object, **__: object) -> list[NodeWithScore]:
        return self._nodes

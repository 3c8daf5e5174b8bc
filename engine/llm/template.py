"""Messages → prompt tokens, through the chat template in the GGUF file.

The text of the template is trusted: its markers become control tokens. The text of messages is not
trusted, and is tokenised without control tokens, so a document that contains "<|im_end|>" does not
end a turn. To separate the two after rendering, the template gets placeholders instead of the
texts.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence

import jinja2
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from engine.errors import LLMError
from engine.llm.model import Model
from engine.schema import ChatMessage

# Private-use characters. Templates do not contain them, and message text is not searched for them.
_PLACEHOLDER = re.compile("\uf8f0([0-9]+)\uf8f1")


class PromptTemplate:
    """Renders and tokenises. Safe to use from many threads.

    Raises:
        LLMError: the file has no chat template, or its template cannot be read.
    """

    def __init__(self, model: Model) -> None:
        template = model.chat_template
        if not template:
            raise LLMError(
                f"{model.path.name} has no chat template, so it is not a chat model. Name an "
                "instruct model's file as CHAT_MODEL in .env."
            )
        self._model = model
        bos = model.text(model.bos)
        try:
            self._format = Jinja2ChatFormatter(template, eos_token="", bos_token=bos)
        except jinja2.TemplateError as error:
            raise LLMError(f"The chat template of {model.path.name} is broken: {error}.") from error
        self._split = functools.lru_cache(maxsize=64)(self._split_markers)

    def tokens(self, messages: Sequence[ChatMessage]) -> list[int]:
        """The prompt that asks for the next message.

        Raises:
            LLMError: the template refuses these messages.
        """
        return self._tokenise(*self._render(messages))

    def beginning(self, messages: Sequence[ChatMessage]) -> list[int]:
        """The prompt up to the end of the last message's text, which may be continued."""
        rendered, texts = self._render(messages)
        places = list(_PLACEHOLDER.finditer(rendered))
        return self._tokenise(rendered[: places[-1].end()] if places else rendered, texts)

    def _render(self, messages: Sequence[ChatMessage]) -> tuple[str, list[str]]:
        refusal: Exception | None = None
        for adapt in _ADAPTATIONS:
            turns = adapt(messages)
            marked = [
                {"role": turn.role, "content": f"\uf8f0{n}\uf8f1"} for n, turn in enumerate(turns)
            ]
            try:
                prompt = self._format(messages=marked).prompt
            except (ValueError, TypeError, ArithmeticError, jinja2.TemplateError) as error:
                refusal = refusal or error
            else:
                return prompt, [turn.content for turn in turns]
        raise LLMError(f"The model's chat template refuses this conversation: {refusal}.")

    def _tokenise(self, rendered: str, texts: Sequence[str]) -> list[int]:
        """The control tokens of the template, and the tokens of the text between them."""
        tokens: list[int] = []
        text = ""
        for part in self._parts(rendered, texts):
            if isinstance(part, int):
                tokens += [*self._model.tokenise(text), part] if text else [part]
                text = ""
            else:
                text += part
        tokens += self._model.tokenise(text) if text else []
        missing_bos = self._model.adds_bos and tokens[:1] != [self._model.bos]
        return [self._model.bos, *tokens] if missing_bos else tokens

    def _parts(self, rendered: str, texts: Sequence[str]) -> Iterator[int | str]:
        at = 0
        for place in _PLACEHOLDER.finditer(rendered):
            yield from self._split(rendered[at : place.start()])
            yield texts[int(place[1])]
            at = place.end()
        yield from self._split(rendered[at:])

    def _split_markers(self, trusted: str) -> list[int | str]:
        """Template text as control tokens and the plain text between them."""
        parts: list[int | str] = []
        at = 0
        for token in self._model.tokenise(trusted, special=True):
            marker = self._model.text(token)
            if self._model.is_control(token) and (place := trusted.find(marker, at)) >= 0:
                parts += [trusted[at:place], token]
                at = place + len(marker)
        return [*parts, trusted[at:]]


def _as_they_are(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    return messages


def _plain_roles(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """For templates without tool messages, which require user and assistant to alternate."""
    turns: list[ChatMessage] = []
    for message in messages:
        role = "user" if message.role == "tool" else message.role
        if turns and turns[-1].role == role:
            turns[-1] = ChatMessage(role, f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(ChatMessage(role, message.content))
    return turns


def _no_system(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """For templates without a system message: its text is put before the first question."""
    return _plain_roles(
        [ChatMessage("user", m.content) if m.role == "system" else m for m in messages]
    )


_ADAPTATIONS: Sequence[Callable[[Sequence[ChatMessage]], Sequence[ChatMessage]]] = (
    _as_they_are,
    _plain_roles,
    _no_system,
)

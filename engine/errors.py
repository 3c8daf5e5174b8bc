"""Every error that a user can see. Each message is a sentence that says what to do.

FirstTokenError
├── ConfigError             a setting in .env cannot be used
├── WeightsError            a model file is missing, damaged, or could not be fetched
├── DocumentError           one file could not be added; the others still are
│   ├── UnsupportedFormatError
│   ├── EmptyDocumentError      it is empty, or has only pictures of text
│   ├── PasswordNeededError     encrypted, and no password or a wrong one was given
│   ├── DuplicateDocumentError  the same content has already been added
│   └── LimitExceededError      too large, or took too long to read
├── StoreError              the collection could not be read or written
│   └── StoreInUseError         another process holds the same folder
├── LLMError                the model could not answer
│   ├── PromptTooLongError      the prompt does not fit the context window
│   ├── GenerationError         it failed in mid-stream; the text before is kept
│   └── ServerError             a model server refused, broke off, or could not be reached
├── QuestionError           a question is empty or too long (a ValueError too)
├── SignInError             nobody has signed in, or the provider did not say who
├── MeasuringError          measurements could not be read or kept
└── ToolError               an agent's tool failed, hung, or was given wrong arguments

`Cancelled` is not an error: it ends work that a user stopped, and no page shows it.
"""


class FirstTokenError(Exception):
    """The root of the tree above."""


class ConfigError(FirstTokenError):
    pass


class WeightsError(FirstTokenError):
    pass


class SignInError(FirstTokenError):
    pass


class DocumentError(FirstTokenError):
    """One file could not be added. `str()` is a sentence that a page can show."""


class UnsupportedFormatError(DocumentError):
    pass


class EmptyDocumentError(DocumentError):
    pass


class PasswordNeededError(DocumentError):
    pass


class DuplicateDocumentError(DocumentError):
    pass


class LimitExceededError(DocumentError):
    pass


class StoreError(FirstTokenError):
    pass


class StoreInUseError(StoreError):
    pass


class LLMError(FirstTokenError):
    pass


class PromptTooLongError(LLMError):
    """The prompt does not fit the context window. Both sizes are in tokens."""

    def __init__(self, prompt_tokens: int, context_window: int) -> None:
        super().__init__(
            f"The prompt has {prompt_tokens} tokens, and the model's context holds "
            f"{context_window}. Ask with fewer or shorter passages, or raise CONTEXT_WINDOW."
        )
        self.prompt_tokens = prompt_tokens
        self.context_window = context_window


class GenerationError(LLMError):
    pass


class ServerError(LLMError):
    pass


class QuestionError(FirstTokenError, ValueError):
    pass


class MeasuringError(FirstTokenError):
    pass


class ToolError(FirstTokenError):
    pass


class Cancelled(Exception):  # noqa: N818 - not an error
    """A user stopped this work."""

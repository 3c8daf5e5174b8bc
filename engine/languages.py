"""Text → its language (ISO 639-1), and which languages the search can handle well.

Detection is py3langid's: a naive Bayes classifier over 139 languages, 1 ms a text. Its model takes
0.5 s to load and 60 MB of memory, and is loaded on first use.
"""

import functools
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ENGLISH = "en"
# Characters that are examined at the beginning, in the middle and at the end of a document
_SAMPLE = 3000
# Characters. Names and numbers, such as a small table, look like some rarer language: of a document
# that is not longer, only the languages in NAMES are accepted.
_SHORT = 400
# Below this probability the language is not known. Questions of three words and more have 0.3 to
# 0.99; names and single words, which could be of any language, have 0.05 to 0.1.
_SURE = 0.25

# ISO 639-1 → the names of Snowball's stemmers, which fastembed has
STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "fi": "finnish", "fr": "french", "hu": "hungarian", "it": "italian",
    "nl": "dutch", "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "ta": "Tamil", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


def language_of_document(text: str) -> str:
    """The language of a longer text; empty where it cannot be told."""
    if len(text) > 3 * _SAMPLE:
        middle = len(text) // 2
        text = "\n".join((text[:_SAMPLE], text[middle : middle + _SAMPLE], text[-_SAMPLE:]))
    language, _ = _detect(text)
    return language if language in NAMES or len(text) > _SHORT else ""


def language_of_question(text: str, among: Collection[str] = ()) -> str:
    """The language of a question; empty where it cannot be told.

    A short question is often undecided. Then the most probable of the languages `among`, those of
    the documents, and English is taken, if one is at all probable.
    """
    language, ranked = _detect(text)
    if language:
        return language
    likely = {*among, ENGLISH}
    return next((each for each, share in ranked if each in likely and share > _SURE / 10), "")


def name_of(language: str) -> str:
    return NAMES.get(language, language)


def _detect(text: str) -> tuple[str, list[tuple[str, float]]]:
    with _lock:
        ranked = _identifier().rank(text)
    language, share = ranked[0]
    return (language if share >= _SURE else ""), ranked


_lock = threading.Lock()


@functools.cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

"""`filters`: which documents a question or a search is about.

First Token's own shape names them: {"tags": ["invoices"], "folders": ["papers/2025"]}. OpenAI's
shape, which its clients send to a vector store's search, is read as well, as far as it says the
same: {"type": "in", "key": "tag", "value": ["invoices"]}, and such comparisons joined by "or".
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Names = Annotated[tuple[str, ...], Field(max_length=1000)]

# OpenAI's shape has keys in the singular.
_KEYS = {
    "file_id": "file_ids",
    "filename": "file_names",
    "folder": "folders",
    "tag": "tags",
    "collection": "collections",
}


class DocumentFilters(BaseModel):
    """Documents that match any of the names, in these collections."""

    model_config = ConfigDict(extra="forbid")

    file_ids: Names = Field((), description="Ids of documents, as /v1/files and search give them.")
    file_names: Names = Field((), description='Such as "report.pdf".')
    folders: Names = Field((), description="Folders that were added, with all that is in them.")
    tags: Names = Field((), description="Tags that documents have in the Library.")
    collections: Names = Field((), description="Several are searched together. Default: the one.")

    @model_validator(mode="before")
    @classmethod
    def _from_openai(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "type" not in given:
            return given
        compared = given.get("filters") or [] if given["type"] == "or" else [given]
        named: dict[str, list[Any]] = {}
        for each in compared:
            if not isinstance(each, dict) or each.get("type") not in ("eq", "in"):
                raise ValueError("First Token compares with eq and in, and joins with or")
            if (key := each.get("key")) not in _KEYS:
                raise ValueError(f"a document has the keys {', '.join(_KEYS)}")
            value = each.get("value")
            named.setdefault(_KEYS[key], []).extend(value if isinstance(value, list) else [value])
        if "collections" in named and len(named) > 1:
            raise ValueError("a collection cannot be joined with other keys by or")
        return named

    @model_validator(mode="after")
    def _not_all_empty(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("it names no documents. Leave it out to search all")
        return self

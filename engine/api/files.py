"""/v1/files: the documents of all collections, and those on their way in.

A file's id is made of its content and its collection: adding it again gives the same file, and a
restart changes nothing. While a file is taken in, `stage` and `progress` say how far it is.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, Literal, cast, get_args

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from engine.api.asking import file_id
from engine.api.problems import Problem
from engine.api.threads import in_thread
from engine.store import Source
from engine.workspace import Stage, Upload, Workspace
from engine.workspace.ingestion import safe_name
from engine.workspace.library import DEFAULT_COLLECTION, READ_ONLY
from engine.workspace.team import is_shared

PURPOSE = "user_data"
IfExists = Literal["", "replace", "keep_both"]


class Files:
    """The endpoints. They remember the uploads that came through them, by file id."""

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace
        self._added: dict[str, Upload] = {}

    def routes(self) -> list[Route]:
        one = "/files/{file_id}"
        return [
            Route("/files", self._list),
            Route("/files", self._add, methods=["POST"]),
            Route(one, self._get),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/content", self._content),
        ]

    async def _list(self, request: Request) -> JSONResponse:
        query = request.query_params
        try:
            limit = int(query.get("limit", "10000"))
        except ValueError:
            raise Problem(400, "limit must be a whole number.", param="limit") from None
        workspace = await in_thread(self._open_workspace)
        found = await in_thread(self._all, workspace, query.get("collection"))
        if after := query.get("after"):
            ids = [each["id"] for each in found]
            found = found[ids.index(after) + 1 :] if after in ids else []
        page = found[: max(limit, 0)]
        return JSONResponse(
            {
                "object": "list",
                "data": page,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
                "has_more": len(page) < len(found),
            }
        )

    async def _add(self, request: Request) -> JSONResponse:
        try:
            form = await request.form(max_files=1, max_fields=10)
        except HTTPException as error:
            message = "The form cannot be read. Send the file as multipart/form-data."
            raise Problem(400, message, param="file") from error
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                message = "The file is missing: send it as the field file of a form."
                raise Problem(400, message, param="file", code="missing_required_parameter")
            collection = str(form.get("collection") or DEFAULT_COLLECTION)
            if_exists = str(form.get("if_exists") or "")
            if if_exists not in get_args(IfExists):
                message = "if_exists must be replace or keep_both."
                raise Problem(400, message, param="if_exists", code="invalid_value")
            workspace = await in_thread(self._open_workspace)
            name = file.filename or "file"
            shown = await in_thread(
                self._take, workspace, collection, name, file.file, cast(IfExists, if_exists)
            )
        finally:
            await form.close()
        return JSONResponse(shown)

    async def _get(self, request: Request) -> JSONResponse:
        workspace = await in_thread(self._open_workspace)
        wanted = request.path_params["file_id"]
        return JSONResponse(await in_thread(self._one, workspace, wanted))

    async def _delete(self, request: Request) -> JSONResponse:
        workspace = await in_thread(self._open_workspace)
        wanted = request.path_params["file_id"]
        await in_thread(self._remove, workspace, wanted)
        return JSONResponse({"id": wanted, "object": "file", "deleted": True})

    async def _content(self, request: Request) -> Response:
        workspace = await in_thread(self._open_workspace)
        wanted = request.path_params["file_id"]
        collection, source = await in_thread(find_document, workspace, wanted)
        path = workspace.library.original(collection, source.source_id)
        if path is None:
            raise Problem(404, "The original of this document is not kept any more.")
        return FileResponse(path, filename=source.file_name)

    # On a thread

    def _all(self, workspace: Workspace, collection: str | None) -> list[dict[str, Any]]:
        """Documents and uploads, the latest first. All collections if it is None."""
        self._forget_ended(workspace)
        names = [checked_collection(workspace, collection)] if collection else None
        shown: dict[str, dict[str, Any]] = {}
        for name in names or workspace.library.collections():
            ids = {id(upload): each for each, upload in self._added.items()}
            for upload in reversed(workspace.ingestor.uploads(name)):
                if upload.stage is not Stage.READY:
                    each = ids.get(id(upload), f"upload-{upload.id}")
                    shown[each] = _upload_json(upload, each)
            for source in workspace.library.documents(name):
                each = file_id(name, source.source_id)
                shown[each] = _document_json(workspace, name, source)
        return list(shown.values())

    def _take(
        self, workspace: Workspace, collection: str, name: str, file: BinaryIO, if_exists: IfExists
    ) -> dict[str, Any]:
        """Queue a file; one that is there already is shown as it is."""
        self._forget_ended(workspace)
        _refuse_shared(checked_collection(workspace, collection))
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        file.seek(0)
        source_id = digest.hexdigest()
        added = file_id(collection, source_id)
        there = {each.source_id: each for each in workspace.library.documents(collection)}
        if source_id in there:
            return _document_json(workspace, collection, there[source_id])
        if earlier := self._added.get(added):
            if not (earlier.stage.ended or earlier.stage.needs_answer):
                return _upload_json(earlier, added)
            workspace.ingestor.cancel(earlier)
            workspace.ingestor.dismiss(earlier)
        upload = workspace.ingestor.add(collection, safe_name(name), file, if_exists)
        self._added[added] = upload
        return _upload_json(upload, added)

    def _one(self, workspace: Workspace, wanted: str) -> dict[str, Any]:
        if upload := self._upload(workspace, wanted):
            return _upload_json(upload, wanted)
        collection, source = find_document(workspace, wanted)
        return _document_json(workspace, collection, source)

    def _remove(self, workspace: Workspace, wanted: str) -> None:
        if upload := self._upload(workspace, wanted):
            workspace.ingestor.cancel(upload)
            workspace.ingestor.dismiss(upload)
            self._added.pop(wanted, None)
            return
        collection, source = find_document(workspace, wanted)
        _refuse_shared(collection)
        workspace.delete_documents(collection, [source.source_id])

    def _upload(self, workspace: Workspace, wanted: str) -> Upload | None:
        """An upload that is not a document yet, or became none."""
        self._forget_ended(workspace)
        if upload := self._added.get(wanted):
            return upload
        for collection in workspace.library.collections():
            for upload in workspace.ingestor.uploads(collection):
                if f"upload-{upload.id}" == wanted and upload.stage is not Stage.READY:
                    return upload
        return None

    def _forget_ended(self, workspace: Workspace) -> None:
        """Uploads that are documents now: nobody else would dismiss them."""
        for each, upload in list(self._added.items()):
            if upload.stage is Stage.READY:
                workspace.ingestor.dismiss(upload)
                if not upload.files:  # a ZIP is remembered, because it is no document itself
                    del self._added[each]


def documents(workspace: Workspace) -> Iterator[tuple[str, Source]]:
    """Every document, with its collection."""
    for collection in workspace.library.collections():
        for source in workspace.library.documents(collection):
            yield collection, source


def find_document(workspace: Workspace, wanted: str) -> tuple[str, Source]:
    """The collection and the document of a file id.

    Raises:
        Problem: there is none.
    """
    for collection, source in documents(workspace):
        if file_id(collection, source.source_id) == wanted:
            return collection, source
    raise Problem(404, "There is no file of this id. GET /v1/files lists them.", param="file_id")


def checked_collection(workspace: Workspace, name: str) -> str:
    """The name.

    Raises:
        Problem: there is no such collection.
    """
    if name not in workspace.library.collections():
        raise Problem(404, f"There is no collection {name[:80]!r}.", param="collection")
    return name


def _refuse_shared(collection: str) -> None:
    if is_shared(collection):
        raise Problem(403, READ_ONLY, param="collection")


def _document_json(workspace: Workspace, collection: str, source: Source) -> dict[str, Any]:
    try:
        added = int(datetime.fromisoformat(source.added_at).timestamp())
    except ValueError:
        added = 0
    return {
        "id": file_id(collection, source.source_id),
        "object": "file",
        "bytes": source.size,
        "created_at": added,
        "filename": source.file_name,
        "purpose": PURPOSE,
        "status": "processed",
        "status_details": None,
        "collection": collection,
        "folder": source.directory,
        "tags": list(source.tags),
        "stage": str(Stage.READY),
        "pages": source.pages,
        "passages": source.passages,
        "read_ahead": workspace.prepared(collection, source.source_id),
    }


def _upload_json(upload: Upload, shown_id: str) -> dict[str, Any]:
    stage = upload.stage
    failed = stage in (Stage.FAILED, Stage.STOPPED) or stage.needs_answer
    status = "error" if failed else "processed" if stage is Stage.READY else "uploaded"
    try:
        size = upload.path.stat().st_size
    except OSError:
        size = 0
    return {
        "id": shown_id,
        "object": "file",
        "bytes": size,
        "created_at": int(upload.added),
        "filename": upload.name,
        "purpose": PURPOSE,
        "status": status,
        "status_details": upload.message or None,
        "collection": upload.collection,
        "stage": str(stage),
        "progress": {"done": upload.done, "total": upload.total},
        "notices": list(upload.notices),
    }

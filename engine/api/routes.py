"""All addresses under /v1, and /mcp, for the workspace that `open_workspace` gives."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from engine.api.asking import MODEL, collection_of
from engine.api.chat import Chat
from engine.api.files import Files
from engine.api.mcp_tools import OverHttp, Tools
from engine.api.searching import Searching
from engine.api.threads import in_thread
from engine.workspace import Workspace


class Api:
    """The API without its guard, as two ASGI apps. Errors are raised; the guard answers them.

    `open_workspace` may block, and may raise FirstTokenError.
    """

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace
        self._chat = Chat(open_workspace)
        searching = Searching(open_workspace)
        self.mcp = OverHttp(Tools(open_workspace).server)
        self.v1 = Router(
            [
                Route("/models", self._models),
                Route("/models/{model:path}", self._model),
                Route("/chat/completions", self._chat.__call__, methods=["POST"]),
                Route("/embeddings", searching.embed, methods=["POST"]),
                Route("/vector_stores/{collection}/search", searching.search, methods=["POST"]),
                *Files(open_workspace).routes(),
            ],
            redirect_slashes=False,
        )

    def close(self) -> None:
        """Stop what is being answered."""
        self._chat.close()

    async def _models(self, _: Request) -> JSONResponse:
        workspace = await in_thread(self._open_workspace)
        names = await in_thread(workspace.library.collections)
        data = [_model_json(MODEL + name) for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def _model(self, request: Request) -> JSONResponse:
        workspace = await in_thread(self._open_workspace)
        model = request.path_params["model"]
        await in_thread(collection_of, workspace, model)
        return JSONResponse(_model_json(model))


def _model_json(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "first-token"}

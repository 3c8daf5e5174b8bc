"""Media: pictures, originals and exports, each served only to the people whose pages have it.

Streamlit serves what a page shows or offers for download at /media/<hash of the content>, to
whoever knows the address. Where people sign in, `keep_owners` notes for which person a session has
added a file, and `OwnMediaOnly` asks for that person's cookie. Files that a browser
sends to a session are accepted from the session's person only.
"""

import json
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

from engine.errors import SignInError
from engine.signing_in import Person
from pages.parts import signing_in

log = logging.getLogger(__name__)

_MEDIA = re.compile(r"(?<!/static)/media/")  # those in /static are Streamlit's own
_UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/")
_MOST = 2000  # notes before those of files that are gone are dropped

_owners: dict[str, set[str]] = {}  # by the file's id, and by that of a download to be made
_lock = threading.Lock()


def keep_owners(manager: MediaFileManager) -> None:
    """Note from now on for whom a file is added. Call it before the first page runs."""
    add, add_deferred = manager.add, manager.add_deferred
    execute_deferred = manager.execute_deferred

    def note(file_id: str, owners: set[str]) -> None:
        with _lock:
            if len(_owners) > _MOST:
                there = {*manager._file_metadata.copy(), *manager._deferred_callables.copy()}
                for gone in _owners.keys() - there:
                    del _owners[gone]
            _owners.setdefault(file_id, set()).update(owners)

    def owned_add(*args: Any, **kwargs: Any) -> str:
        address = add(*args, **kwargs)
        note(_id_in(address), _owner_now())
        return address

    def owned_add_deferred(*args: Any, **kwargs: Any) -> str:
        file_id = add_deferred(*args, **kwargs)
        note(file_id, _owner_now())
        return file_id

    def owned_execute_deferred(file_id: str) -> str:
        address = execute_deferred(file_id)
        note(_id_in(address), _owners.get(file_id, set()))
        return address

    manager.add = owned_add  # type: ignore[method-assign]
    manager.add_deferred = owned_add_deferred  # type: ignore[method-assign]
    manager.execute_deferred = owned_execute_deferred  # type: ignore[method-assign]


class OwnMediaOnly:
    """ASGI middleware. Where nobody signs in, it does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(Request(scope)):
            await PlainTextResponse("File not found", 404)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, request: Request) -> bool:
        path = str(request.scope["path"])
        media, upload = _MEDIA.search(path), _UPLOAD.search(path)
        if not media and not upload:
            return True
        try:
            if not signing_in.required():
                return True
            owner = _owner_of_cookies(request.cookies)
        except Exception:  # what cannot be read lets nobody in
            log.exception("Nobody knows who asks for a file")
            return False
        if not owner:
            return False
        found = _owner_of_session(upload[1]) if upload else _owners.get(_id_in(path), set())
        return not owner.isdisjoint(found)


def _id_in(address: str) -> str:
    return PurePosixPath(address).stem


def _owner_now() -> set[str]:
    """Whose session the running script belongs to; empty outside of scripts."""
    context = get_script_run_ctx(suppress_warning=True)
    return set() if context is None else _owner_of(context.user_info)


def _owner_of(claims: Mapping[str, Any]) -> set[str]:
    """The id of who has signed in; empty if nobody has."""
    if claims.get("is_logged_in") is not True:
        return set()
    try:
        return {Person.from_claims(claims).id}
    except SignInError:
        return set()


def _owner_of_cookies(cookies: Mapping[str, str]) -> set[str]:
    signed = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
    return _owner_of(json.loads(signed)) if signed else set()


def _owner_of_session(session_id: str) -> set[str]:
    session = runtime.get_instance()._session_mgr.get_active_session_info(session_id)
    return _owner_of(session.session._user_info) if session else set()

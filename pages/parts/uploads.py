"""Uploads: the field that takes files in, and the progress of each file."""

import logging

import streamlit as st

from engine.workspace import Stage, Upload, Workspace
from pages.parts.markdown import plain_markdown
from pages.parts.samples import SAMPLES, load_samples

log = logging.getLogger(__name__)

ICONS = {
    Stage.READY: ":green[:material/check_circle:]",
    Stage.FAILED: ":red[:material/error:]",
    Stage.STOPPED: ":material/stop_circle:",
    Stage.LOCKED: ":material/lock:",
    Stage.CHANGED: ":material/difference:",
    Stage.WAITING: ":material/hourglass_empty:",
}
WORK = (Stage.READING, Stage.SPLITTING, Stage.EMBEDDING, Stage.STORING)
WORTH_A_REPORT = 2.0  # seconds; a file that took less needs no report by stage
UNSUCCESSFUL = (Stage.FAILED, Stage.STOPPED)
FAILURES_SHOWN = 2  # more than so many fold to one line
TICK = 0.5  # seconds between updates: each costs a run of the fragment


def add_documents(workspace: Workspace, collection: str) -> None:
    """A field to drop files into. The field empties itself; the files go on below it."""
    turn = st.session_state.setdefault("uploads_taken", 0)
    files = st.file_uploader(
        "Add documents",
        accept_multiple_files=True,
        key=f"uploader-{turn}",
        help="PDF, Word, PowerPoint, EPUB, HTML, Markdown, text, CSV, JSON, notebooks, source "
        "code, and ZIP files of them. They stay on this computer.",
    )
    if files:
        st.session_state.uploads_taken = turn + 1
        for file in files:
            _take(workspace, collection, file.name, file.getvalue())
        st.rerun()


def offer_samples(workspace: Workspace, collection: str) -> None:
    if st.button(
        f"Try it with {len(SAMPLES)} sample documents",
        icon=":material/auto_stories:",
        key="samples",
    ):
        load_samples(workspace, collection)
        st.rerun()


def _take(workspace: Workspace, collection: str, name: str, data: bytes) -> None:
    try:
        workspace.ingestor.add(collection, name, data)
    except OSError as error:
        log.exception("An upload could not be saved")
        st.session_state.setdefault("upload_problems", []).append(
            f"{name} was not added: {error.strerror or error}. Free some space on the disk, then "
            "add it again."
        )


def show_uploads(workspace: Workspace, collection: str) -> None:
    """Every upload not yet dismissed, with its stage; live while there is work."""
    for problem in st.session_state.pop("upload_problems", []):
        st.error(plain_markdown(problem), icon=":material/error:")
    uploads = workspace.ingestor.uploads(collection)
    if uploads:
        unsettled = [upload for upload in uploads if upload.stage is not Stage.READY]
        key = "uploads-open" if unsettled else "uploads-ready"  # it folds itself when all is well
        with st.expander(_summary(uploads), expanded=bool(unsettled), key=key):
            busy = workspace.ingestor.busy
            st.fragment(_upload_list, run_every=TICK if busy else None)(workspace, uploads, busy)


def show_unsettled(workspace: Workspace, collection: str) -> None:
    """For pages of another purpose: one folded line while files are added, and what went wrong.

    Failures and questions stay until they are dismissed or answered. Files that are ready are
    named once, in the session that saw them being added, until `forget_ready`.
    """
    for problem in st.session_state.pop("upload_problems", []):
        st.error(plain_markdown(problem), icon=":material/error:")
    uploads = workspace.ingestor.uploads(collection)
    busy = any(_in_work(upload) for upload in uploads)
    st.fragment(_unsettled, run_every=TICK if busy else None)(workspace, collection, busy)


def forget_ready() -> None:
    """Name the files that are ready no more: the person has gone on."""
    st.session_state.pop("uploads_seen", None)


def _in_work(upload: Upload) -> bool:
    return not upload.stage.ended and not upload.stage.needs_answer


def _unsettled(workspace: Workspace, collection: str, was_busy: bool) -> None:
    uploads = workspace.ingestor.uploads(collection)
    working = [upload for upload in uploads if _in_work(upload)]
    seen: set[str] = st.session_state.setdefault("uploads_seen", set())
    seen.update(upload.id for upload in working)
    ready = [each for each in uploads if each.stage is Stage.READY and each.id in seen]
    if working:
        now = next((each for each in working if each.stage is not Stage.WAITING), working[0])
        done = f" · {len(ready)} of {len(ready) + len(working)} ready" if ready else ""
        line = f"Adding {plain_markdown(now.name)}: {_state(now)}{done}"
        with st.expander(line, icon=":material/sync:", type="compact", key="uploads-working"):
            for upload in [*working, *ready]:
                _upload_row(workspace, upload)
    elif ready:
        line = f"{counted(len(ready), 'file')} ready"
        icon = ":material/check_circle:"
        with st.expander(line, icon=icon, type="compact", key="uploads-ready-line"):
            for upload in ready:
                _upload_row(workspace, upload)
    for upload in uploads:
        if upload.stage.needs_answer:
            _upload_row(workspace, upload)
    _show_failures(workspace, [each for each in uploads if each.stage in UNSUCCESSFUL])
    if was_busy and not working:
        st.rerun()  # the page counts its documents again, and this fragment stops ticking


def _show_failures(workspace: Workspace, failed: list[Upload]) -> None:
    if len(failed) > FAILURES_SHOWN:
        line = f"{counted(len(failed), 'file')} could not be added"
        with st.expander(line, icon=":material/error:", type="compact", key="uploads-failed"):
            for upload in failed:
                _upload_row(workspace, upload)
    else:
        for upload in failed:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                _upload_row(workspace, upload)
    if failed:
        st.button(
            "Dismiss",
            type="tertiary",
            icon=":material/close:",
            key="dismiss-failed",
            on_click=_dismiss_all,
            args=(workspace, failed),
        )


def _summary(uploads: list[Upload]) -> str:
    """Not how many are ready while that changes: the list below says it, and this line stays."""
    files = counted(len(uploads), "file")
    if any(not upload.stage.ended for upload in uploads):
        return f":material/sync: Adding {files}"
    ready = sum(upload.stage is Stage.READY for upload in uploads)
    if ready < len(uploads):
        return f"{ICONS[Stage.FAILED]} {ready} of {files} ready"
    return f"{ICONS[Stage.READY]} {files} ready"


def _upload_list(workspace: Workspace, uploads: list[Upload], was_busy: bool) -> None:
    for upload in uploads:
        with st.container(key=f"upload-{upload.id}", gap="xsmall"):
            _upload_row(workspace, upload)
    if all(upload.stage.ended for upload in uploads):
        st.button(
            "Clear this list", type="tertiary", on_click=_dismiss_all, args=(workspace, uploads)
        )
    if was_busy and not workspace.ingestor.busy:
        st.rerun()  # the page shows what is there now, and this list stops ticking


def _dismiss_all(workspace: Workspace, uploads: list[Upload]) -> None:
    for upload in uploads:
        workspace.ingestor.dismiss(upload)


def _upload_row(workspace: Workspace, upload: Upload) -> None:
    icon = ICONS.get(upload.stage, ":material/sync:")
    name = plain_markdown(upload.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{icon} **{name}** · {_state(upload)}")
        if not upload.stage.ended:
            st.button(
                "Cancel",
                type="tertiary",
                key=f"cancel-{upload.id}",
                on_click=workspace.ingestor.cancel,
                args=(upload,),
            )
    if report := _report(upload):
        st.caption(report, help="Storing is the database's part; the rest is the computer's work.")
    if upload.total and not upload.stage.ended:
        st.progress(min(1.0, upload.done / upload.total))
    for notice in upload.notices:
        st.caption(f":material/info: {plain_markdown(notice)}")
    if upload.stage is Stage.LOCKED:
        _ask_password(workspace, upload)
    if upload.stage is Stage.CHANGED:
        _ask_replace(workspace, upload)


def _state(upload: Upload) -> str:
    if upload.stage is Stage.READY and upload.files:
        return f"unpacked, {counted(upload.files, 'file')}"
    if upload.stage is Stage.READY:
        return f"ready, {counted(upload.passages, 'passage')} in {_worked(upload):.1f} s"
    if upload.message:
        return plain_markdown(upload.message)
    so_far = f" {upload.done} of {upload.total}" if upload.total else ""
    left = upload.seconds_left
    return f"{upload.stage}{so_far}" + (f", about {left:.0f} s left" if left and left >= 1 else "")


def _worked(upload: Upload) -> float:
    return sum(upload.seconds.get(stage, 0.0) for stage in WORK)


def _report(upload: Upload) -> str:
    """What each stage took of a file that took a while, and the database's share."""
    total = _worked(upload)
    if upload.stage is not Stage.READY or total < WORTH_A_REPORT:
        return ""
    stages = [f"{stage} {upload.seconds.get(stage, 0.0):.1f} s" for stage in WORK]
    share = upload.seconds.get(Stage.STORING, 0.0) / total
    return " · ".join([*stages, f"the database's share {share:.0%}"])


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ask_password(workspace: Workspace, upload: Upload) -> None:
    with st.form(f"password-{upload.id}", border=False), st.container(horizontal=True):
        password = st.text_input(
            f"Password of {upload.name}",
            type="password",
            label_visibility="collapsed",
            placeholder="Password",
        )
        if st.form_submit_button("Open"):
            workspace.ingestor.unlock(upload, password)
            st.rerun()


def _ask_replace(workspace: Workspace, upload: Upload) -> None:
    decide = workspace.ingestor.decide
    with st.container(horizontal=True):
        st.button("Replace", key=f"replace-{upload.id}", on_click=decide, args=(upload, False))
        st.button("Keep both", key=f"keep-{upload.id}", on_click=decide, args=(upload, True))

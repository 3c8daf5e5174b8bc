"""Uploads: the field that takes files in, and the progress of each file.

Also the progress of repairs: documents that are indexed again from the files that are kept.
"""

import re

import streamlit as st

from engine.english import counted
from engine.errors import FirstTokenError
from engine.workspace import Stage, Upload, Workspace
from engine.workspace.ingestion import is_hidden
from engine.workspace.team import is_shared
from pages.parts.deleting import delete_documents
from pages.parts.markdown import plain_markdown
from pages.parts.resources import safely, sentence_of, with_id
from pages.parts.samples import SAMPLES, load_samples

ICONS = {
    Stage.READY: ":green[:material/check_circle:]",
    Stage.FAILED: ":red[:material/error:]",
    Stage.STOPPED: ":material/stop_circle:",
    Stage.LOCKED: ":material/lock:",
    Stage.CHANGED: ":material/difference:",
    Stage.WAITING: ":material/hourglass_empty:",
}
KNOWN_ICON = ":material/content_copy:"  # of a file whose content is there already
WORK = (Stage.READING, Stage.RECOGNISING, Stage.SPLITTING, Stage.EMBEDDING, Stage.STORING)
WORTH_A_REPORT = 2.0  # seconds; a file that took less needs no report by stage
UNSUCCESSFUL = (Stage.FAILED, Stage.STOPPED)
SHOWN = 1  # more failures than this fold to one line
TICK = 0.5  # seconds between updates: each costs a run of the fragment


def add_documents(workspace: Workspace, collection: str) -> None:
    """A field for files. The field is then cleared, and the files are shown below it. A shared
    collection is changed by administrators, who see it among the team's documents."""
    if is_shared(collection):
        st.caption("These documents are shared. Administrators change them.")
        return
    turn = st.session_state.setdefault("uploads_taken", 0)
    # with "directory", a browser offers folders only
    folder = st.session_state.get("upload-folder", False)
    files = st.file_uploader(
        "Add a folder" if folder else "Add documents",
        accept_multiple_files="directory" if folder else True,
        key=f"uploader-{turn}",
        help="PDF, scans and pictures, Word, PowerPoint, Excel, OpenDocument, RTF, EPUB, HTML, "
        "Markdown, text, CSV, JSON, mails, notebooks, source code, and ZIP files of them.",
    )
    st.toggle("Add a whole folder", key="upload-folder")
    if files:
        st.session_state.uploads_taken = turn + 1
        for file in files:
            if not is_hidden(file.name):
                _take(workspace, collection, file.name, file.getvalue())
        st.rerun()


def offer_samples(workspace: Workspace, collection: str) -> None:
    if is_shared(collection):
        return
    st.button(
        f"Try it with {len(SAMPLES)} sample documents",
        icon=":material/auto_stories:",
        key="samples",
        on_click=safely(load_samples),
        args=(workspace, collection),
    )


def _take(workspace: Workspace, collection: str, name: str, data: bytes) -> None:
    try:
        # of a folder's file, the name is its path from there
        directory, _, _ = name.replace("\\", "/").rpartition("/")
        workspace.ingestor.add(collection, name, data, directory=directory)
    except (FirstTokenError, OSError) as error:
        problem = f"{plain_markdown(name)} was not added. {sentence_of(error)}"
        st.session_state.setdefault("upload_problems", []).append(problem)


def _show_problems() -> None:
    """Show once the files that could not be added."""
    for problem in st.session_state.pop("upload_problems", []):
        st.error(problem, icon=":material/error:")


def show_uploads(workspace: Workspace, collection: str) -> None:
    """Every upload that is not dismissed, with its stage, updated while there is work."""
    _show_problems()
    uploads = workspace.ingestor.uploads(collection)
    if uploads:
        settled = all(each.stage is Stage.READY or each.known_as for each in uploads)
        key = "uploads-ready" if settled else "uploads-open"  # it folds itself when all is well
        with st.expander(_summary(uploads), expanded=not settled, key=key):
            busy = workspace.ingestor.busy
            st.fragment(_upload_list, run_every=TICK if busy else None)(workspace, uploads, busy)


def show_unsettled(workspace: Workspace, collection: str) -> None:
    """For other pages: one folded line while files are added, and the failures.

    Failures and questions stay until they are dismissed or answered. Files that are ready are shown
    once, in the session that has shown their progress, until `forget_ready`.
    """
    _show_problems()
    uploads = workspace.ingestor.uploads(collection)
    busy = any(_in_work(upload) for upload in uploads)
    st.fragment(_unsettled, run_every=TICK if busy else None)(workspace, collection, busy)


def forget_ready() -> None:
    """Stop showing the files that are ready, because the user has continued."""
    st.session_state.pop("uploads_seen", None)


def are_added(workspace: Workspace, collection: str) -> bool:
    """Whether files are being added to the collection."""
    return any(_in_work(upload) for upload in workspace.ingestor.uploads(collection))


def _in_work(upload: Upload) -> bool:
    return not upload.stage.ended and not upload.stage.needs_answer


def _unsettled(workspace: Workspace, collection: str, was_busy: bool) -> None:
    uploads = workspace.ingestor.uploads(collection)
    working = [upload for upload in uploads if _in_work(upload)]
    seen: set[str] = st.session_state.setdefault("uploads_seen", set())
    seen.update(upload.id for upload in working)
    ready = [
        each for each in uploads if each.stage is Stage.READY and each.id in seen and not each.files
    ]
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
    unsuccessful = [each for each in uploads if each.stage in UNSUCCESSFUL]
    if unsuccessful:
        known = [each for each in unsuccessful if each.known_as]
        failed = [each for each in unsuccessful if not each.known_as]
        _show_group(workspace, known, "already in the Library", KNOWN_ICON, "uploads-known")
        error = ":material/error:"
        _show_group(workspace, failed, "could not be added", error, "uploads-failed")
        st.button(
            "Dismiss",
            type="tertiary",
            icon=":material/close:",
            key="dismiss-failed",
            on_click=safely(_dismiss_all),
            args=(workspace, unsuccessful),
        )
    if was_busy and not working:
        st.rerun()  # the page counts its documents again, and this fragment stops ticking


def _show_group(
    workspace: Workspace, uploads: list[Upload], what: str, icon: str, key: str
) -> None:
    """One upload as it is; several are folded under their number."""
    if len(uploads) > SHOWN:
        line = f"{counted(len(uploads), 'file')} {what}"
        with st.expander(line, icon=icon, type="compact", key=key):
            for upload in uploads:
                _upload_row(workspace, upload)
    else:
        for upload in uploads:
            _upload_row(workspace, upload)


def _summary(uploads: list[Upload]) -> str:
    """How many files are added. A ZIP that is unpacked does not count: its files do.

    Only the list has the number of ready files, so that this line does not change with it.
    """
    counting = [each for each in uploads if not each.files] or uploads
    files = counted(len(counting), "file")
    if any(not upload.stage.ended for upload in counting):
        return f":material/sync: Adding {files}"
    ready = sum(upload.stage is Stage.READY for upload in counting)
    known = sum(bool(upload.known_as) for upload in counting)
    there = f", {known} already in the Library" if known else ""
    if ready + known < len(counting):
        return f"{ICONS[Stage.FAILED]} {ready} of {files} ready{there}"
    if not ready:
        return f"{KNOWN_ICON} {files} already in the Library"
    return f"{ICONS[Stage.READY]} {counted(ready, 'file')} ready{there}"


def _upload_list(workspace: Workspace, uploads: list[Upload], was_busy: bool) -> None:
    for upload in sorted(uploads, key=lambda each: each.stage not in UNSUCCESSFUL):
        with st.container(key=f"upload-{upload.id}", gap="xsmall"):
            _upload_row(workspace, upload)
    if all(upload.stage.ended for upload in uploads):
        st.button(
            "Clear this list",
            type="tertiary",
            on_click=safely(_dismiss_all),
            args=(workspace, uploads),
        )
    if was_busy and not workspace.ingestor.busy:
        st.rerun()  # the page shows what is there now, and this list stops ticking


def _dismiss_all(workspace: Workspace, uploads: list[Upload]) -> None:
    for upload in uploads:
        workspace.ingestor.dismiss(upload)


def _upload_row(workspace: Workspace, upload: Upload) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(_line(upload))
        if not upload.stage.ended:
            st.button(
                "Cancel",
                type="tertiary",
                key=f"cancel-{upload.id}",
                on_click=safely(workspace.ingestor.cancel),
                args=(upload,),
            )
    if report := _report(upload):
        st.caption(report, help="The database's part is storing. The other steps are computation.")
    if upload.total and not upload.stage.ended:
        st.progress(min(1.0, upload.done / upload.total))
    for notice in upload.notices:
        st.caption(f":material/info: {plain_markdown(notice)}")
    if upload.stage is Stage.LOCKED and (password := _ask_password(upload)) is not None:
        workspace.ingestor.unlock(upload, password)
        st.rerun()
    if upload.stage is Stage.CHANGED:
        decide = safely(workspace.ingestor.decide)
        with st.container(horizontal=True):
            st.button("Replace", key=f"replace-{upload.id}", on_click=decide, args=(upload, False))
            st.button("Keep both", key=f"keep-{upload.id}", on_click=decide, args=(upload, True))


def _line(upload: Upload) -> str:
    """Icon, name and state, with the name once."""
    name = plain_markdown(upload.name)
    if upload.known_as:
        other = "" if upload.known_as == upload.name else f" as {plain_markdown(upload.known_as)}"
        return f"{KNOWN_ICON} **{name}** · already in the Library{other}"
    icon, state = ICONS.get(upload.stage, ":material/sync:"), _state(upload)
    named = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    if upload.message and named.search(state):
        return f"{icon} {named.sub(lambda found: f'**{found[0]}**', state, count=1)}"
    return f"{icon} **{name}** · {state}"


def _state(upload: Upload) -> str:
    if upload.stage is Stage.READY and upload.files and not upload.passages:
        return f"unpacked, {counted(upload.files, 'file')}"
    if upload.stage is Stage.READY:
        return f"ready, {counted(upload.passages, 'passage')} in {_worked(upload):.1f} s"
    if upload.message:
        said = plain_markdown(upload.message)
        return f"{said} ({with_id(upload.run.id)})" if upload.stage is Stage.FAILED else said
    so_far = f" {upload.done} of {upload.total}" if upload.total else ""
    left = upload.seconds_left
    return f"{upload.stage}{so_far}" + (f", about {left:.0f} s left" if left and left >= 1 else "")


def _worked(upload: Upload) -> float:
    return sum(upload.seconds.get(stage, 0.0) for stage in WORK)


def _report(upload: Upload) -> str:
    """The duration of each stage of a large file, and the database's share."""
    total = _worked(upload)
    if upload.stage is not Stage.READY or total < WORTH_A_REPORT:
        return ""
    stages = [
        f"{stage} {seconds:.1f} s"
        for stage in WORK
        if (seconds := upload.seconds.get(stage, 0.0)) or stage is not Stage.RECOGNISING
    ]
    share = upload.seconds.get(Stage.STORING, 0.0) / total
    return " · ".join([*stages, f"the database's share {share:.0%}"])


def _ask_password(upload: Upload) -> str | None:
    """A field for the password of a file. None until one is sent."""
    with st.form(f"password-{upload.id}", border=False), st.container(horizontal=True):
        password = st.text_input(
            f"Password of {upload.name}",
            type="password",
            label_visibility="collapsed",
            placeholder="Password",
        )
        return password if st.form_submit_button("Open") else None


# ---- Repairs


def show_repairs(workspace: Workspace, collection: str) -> None:
    """The progress of documents that are indexed again from their files, and their problems.

    It shows nothing when nothing is left to repair. While there is work, it is redrawn; when the
    work has ended, the page is redrawn once.
    """
    repairs = workspace.library.repairs(collection)
    if repairs:
        busy = any(_in_work(upload) for upload in repairs)
        st.fragment(_repairs, run_every=TICK if busy else None)(workspace, collection, busy)


def _repairs(workspace: Workspace, collection: str, was_busy: bool) -> None:
    repairs = workspace.library.repairs(collection)
    working = [upload for upload in repairs if _in_work(upload)]
    if working:
        done, total = len(repairs) - len(working), len(repairs)
        embedding = [each for each in working if each.stage is Stage.EMBEDDING and each.total]
        within = sum(each.done / each.total for each in embedding)
        st.progress(
            min(1.0, (done + within) / total),
            f"Rebuilding the search index from your files: {done} of {total}",
        )
    for upload in repairs:
        if upload.stage in (Stage.LOCKED, Stage.FAILED):
            _unrepaired_row(workspace, upload)
    if was_busy and not working:
        st.rerun()  # the page shows the documents, and this fragment stops ticking


def _unrepaired_row(workspace: Workspace, upload: Upload) -> None:
    """A file that is kept, but cannot be indexed without the user's help."""
    with st.container(key=f"repair-{upload.id}", gap="xsmall"):
        name = plain_markdown(upload.name)
        if upload.stage is Stage.LOCKED:
            st.markdown(f"{ICONS[Stage.LOCKED]} **{name}** needs its password to be indexed again.")
            if (password := _ask_password(upload)) is not None:
                workspace.library.repair(upload, password)
                st.rerun()
        else:
            st.markdown(_line(upload))
        with st.container(horizontal=True):
            if upload.stage is Stage.FAILED:
                st.button(
                    "Try again",
                    icon=":material/refresh:",
                    key=f"repair-again-{upload.id}",
                    on_click=safely(workspace.library.repair),
                    args=(upload,),
                )
            st.button(
                "Delete",
                icon=":material/delete:",
                type="tertiary",
                key=f"repair-delete-{upload.id}",
                on_click=safely(delete_documents),
                args=(workspace, upload.collection, {upload.source_id: upload.name}),
            )

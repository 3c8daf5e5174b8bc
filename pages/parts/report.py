"""Wrong answers: what a person reports of one, kept on this computer and exported from here."""

import streamlit as st

from engine.english import counted
from engine.workspace import Conversation, Turn, Workspace
from pages.parts.resources import shown_errors


def offer_report(workspace: Workspace, conversation: Conversation, turn: Turn) -> None:
    """A button that opens the report of this answer."""
    reported = workspace.reports.has(turn)
    if st.button(
        "Reported" if reported else "Report",
        icon=":material/flag:",
        type="tertiary",
        key=f"report-{turn.id}",
    ):
        _show_report(workspace, conversation, turn)


@st.dialog("Report a wrong answer", on_dismiss="rerun")
def _show_report(workspace: Workspace, conversation: Conversation, turn: Turn) -> None:
    reports = workspace.reports
    if not reports.has(turn):
        st.markdown(
            "The question, the answer, its sources and the model's name are saved in a file on "
            "this computer. Nothing is sent. You can export the file afterwards."
        )
        remark = st.text_area(
            "What is wrong? (optional)", placeholder="For example: it is on page 3 of the handbook."
        )
        if st.button("Save the report", type="primary", icon=":material/flag:"):
            with shown_errors():
                reports.keep(conversation, turn, workspace.llm.metadata.model_name, remark)
            st.rerun(scope="fragment")
        return
    st.markdown("This answer is reported. The reports are on this computer, in the folder")
    st.code(str(reports.folder.resolve()), language=None, wrap_lines=True)
    st.download_button(
        f"Export {counted(len(reports), 'report')}",
        data=reports.as_jsonl,
        file_name="wrong-answers.jsonl",
        mime="application/x-ndjson",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.container(horizontal=True):
        if st.button("Delete this report", icon=":material/delete:"):
            reports.delete(turn)
            st.rerun()
        if len(reports) > 1 and st.button("Delete all reports", icon=":material/delete:"):
            reports.delete_all()
            st.rerun()

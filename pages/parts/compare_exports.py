"""A session to take along: as a page of its own, and for other tools."""

import streamlit as st

from engine.measuring import Session
from engine.measuring.exports import to_aiperf_jsonl, to_chrome_trace, to_vllm_json
from engine.measuring.feeling import ADULT
from engine.measuring.files import to_csv, to_jsonl
from engine.measuring.report.page import to_html
from pages.parts.compare_budget import chosen_budget


def offer_exports(session: Session) -> None:
    """Buttons that make the files when they are pressed."""
    name = f"first-token-{session.experiment}-{session.id[:8]}"
    budget = chosen_budget()
    speed = float(st.session_state.get("words_a_minute", ADULT))
    with st.container(horizontal=True, key=f"exports-{session.experiment}"):
        st.download_button(
            "This measurement as a page",
            lambda: to_html(session, budget, speed),
            f"{name}.html",
            "text/html",
            icon=":material/download:",
            on_click="ignore",
            key=f"page-{session.experiment}",
            help="One HTML file with the race, the charts, the settings and the machine. It opens "
            "in any browser, without First Token and without a network.",
        )
        with st.popover("For other tools", icon=":material/download:"):
            st.download_button(
                "Tokens, JSONL",
                lambda: to_jsonl(session),
                f"{name}.jsonl",
                "application/x-ndjson",
                on_click="ignore",
                key=f"jsonl-{session.experiment}",
                help="Everything: each token's time, the text, the machine. It can be imported "
                "again.",
            )
            st.download_button(
                "Runs, CSV",
                lambda: to_csv(session),
                f"{name}.csv",
                "text/csv",
                on_click="ignore",
                key=f"csv-{session.experiment}",
                help="One row per run, for a spreadsheet.",
            )
            st.download_button(
                "Summary, JSON",
                lambda: to_vllm_json(session, budget),
                f"{name}-vllm.json",
                "application/json",
                on_click="ignore",
                key=f"vllm-{session.experiment}",
                help="With the field names of vLLM's benchmark.",
            )
            st.download_button(
                "Requests, JSONL",
                lambda: to_aiperf_jsonl(session),
                f"{name}-aiperf.jsonl",
                "application/x-ndjson",
                on_click="ignore",
                key=f"aiperf-{session.experiment}",
                help="One line per request, as AIPerf writes them.",
            )
            st.download_button(
                "Stages, Chrome trace",
                lambda: to_chrome_trace(session),
                f"{name}-trace.json",
                "application/json",
                on_click="ignore",
                key=f"trace-{session.experiment}",
                help="Opens in Perfetto (ui.perfetto.dev) and in chrome://tracing.",
            )
    st.caption("A file contains the questions and the answers.")

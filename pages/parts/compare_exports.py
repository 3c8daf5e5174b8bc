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
            for label, key, make, ending, media_type, about in (
                (
                    "Tokens, JSONL", "jsonl", lambda: to_jsonl(session), ".jsonl",
                    "application/x-ndjson", "Everything: each token's time, the text, the machine. "
                    "It can be imported again.",
                ),
                (
                    "Runs, CSV", "csv", lambda: to_csv(session), ".csv",
                    "text/csv", "One row per run, for a spreadsheet.",
                ),
                (
                    "Summary, JSON", "vllm", lambda: to_vllm_json(session, budget), "-vllm.json",
                    "application/json", "With the field names of vLLM's benchmark.",
                ),
                (
                    "Requests, JSONL", "aiperf", lambda: to_aiperf_jsonl(session), "-aiperf.jsonl",
                    "application/x-ndjson", "One line per request, as AIPerf writes them.",
                ),
                (
                    "Stages, Chrome trace", "trace", lambda: to_chrome_trace(session),
                    "-trace.json", "application/json",
                    "Opens in Perfetto (ui.perfetto.dev) and in chrome://tracing.",
                ),
            ):  # fmt: skip
                st.download_button(
                    label,
                    make,
                    f"{name}{ending}",
                    media_type,
                    on_click="ignore",
                    key=f"{key}-{session.experiment}",
                    help=about,
                )
    st.caption("A file contains the questions and the answers.")

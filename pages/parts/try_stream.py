"""A button that sends a question to the API from the browser and shows the stream as it comes.

Each server-sent event is shown as it was sent, with the milliseconds since the request. The work
is in try_stream.js.
"""

from pathlib import Path

import streamlit as st

_HTML = """
<div class="row">
  <label class="key" hidden>API_KEY <input type="password" autocomplete="off"></label>
  <button type="button" class="send">Try it</button>
  <button type="button" class="stop" hidden>Stop</button>
  <span class="told" role="status"></span>
</div>
<ol class="frames" tabindex="0" aria-label="The frames of the stream"></ol>
"""
_CSS = """
.row { display: flex; flex-wrap: wrap; align-items: center; gap: 0.75rem; min-height: 2.5rem; }
.row [hidden] { display: none; }
button, input {
  font: inherit; font-family: var(--st-font); font-size: 0.875rem; min-height: 2.5rem;
  padding: 0 0.875rem; border-radius: 0.375rem; border: 1px solid var(--st-border-color);
  background: var(--st-background-color); color: var(--st-text-color);
}
button { cursor: pointer; font-weight: 600; }
button:hover { border-color: var(--st-text-color); }
button:focus-visible, input:focus-visible, ol:focus-visible {
  outline: 2px solid currentColor; outline-offset: 2px;
}
label, .told { font-family: var(--st-font); font-size: 0.875rem; color: var(--st-text-color); }
ol {
  list-style: none; margin: 0.75rem 0 0; padding: 0.75rem; height: 18rem; overflow: auto;
  box-sizing: border-box; border-radius: 0.375rem; background: var(--st-code-background-color);
  color: var(--st-code-text-color); font-family: var(--st-code-font); font-size: 0.8125rem;
  line-height: 1.5;
}
ol:empty { display: none; }
li { display: grid; grid-template-columns: 5.5rem 1fr; gap: 0.75rem; }
li + li { margin-top: 0.25rem; }
time { text-align: right; font-variant-numeric: tabular-nums; }
code { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 640px) { li { grid-template-columns: 1fr; gap: 0; } time { text-align: left; } }
"""
_try = st.components.v2.component(
    "try_stream",
    html=_HTML,
    css=_CSS,
    js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
)


def try_stream(model: str, question: str, needs_key: bool) -> None:
    _try(
        key="try-stream",
        data={"model": model, "question": question, "needs_key": needs_key},
        width="stretch",
    )

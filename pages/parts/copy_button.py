"""A button that copies a text with one click, and says so."""

import streamlit as st

_HTML = """
<button type="button">
  <svg viewBox="0 0 24 24" aria-hidden="true"><path fill="none" stroke="currentColor"
    stroke-width="2" d="M9 8h11v13H9zM5 16H4V3h11v2"/></svg>
  <span aria-live="polite"></span>
</button>
"""
# The style of Streamlit's tertiary button, with the colours and the font of the theme.
_CSS = """
button {
  display: inline-flex; align-items: center; gap: 0.5rem; min-height: 2.5rem; padding: 0;
  border: 0; background: none; cursor: pointer; font: inherit; white-space: nowrap;
  color: var(--st-text-color); font-family: var(--st-font); font-size: 0.875rem;
}
button:hover { color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
svg { width: 1.125rem; height: 1.125rem; }
"""
# navigator.clipboard exists only on localhost and over https; otherwise execCommand is used.
_JS = """
export default ({ data: { text, name }, parentElement }) => {
  const button = parentElement.querySelector("button");
  const label = parentElement.querySelector("span");
  label.textContent = name;
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = name; }, 2000);
  };
};
"""
_button = st.components.v2.component("copy_button", html=_HTML, css=_CSS, js=_JS)


def copy_button(text: str, key: str, label: str = "Copy") -> None:
    _button(key=key, data={"text": text, "name": label}, width="content")

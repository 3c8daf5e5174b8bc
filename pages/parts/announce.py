"""A live region: sentences that a screen reader says aloud, and the page does not show.

Call `announce` at the same place in every run, with an empty text while there is nothing to say:
browsers announce a change of a region that is there already, not a new region.
"""

import streamlit as st

# Under its key only: the style is not isolated, and alerts of Streamlit have the same role.
_CSS = """
.st-key-announcement [role=status] {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
}
"""
_JS = """
export default ({ data, parentElement }) => {
  const region = parentElement.querySelector("[role=status]");
  if (region.announced !== data.id) {
    region.announced = data.id;
    region.textContent = data.text;
  }
};
"""
_region = st.components.v2.component(
    "announcement",
    html='<div role="status" aria-live="polite" aria-atomic="true"></div>',
    css=_CSS,
    js=_JS,
    isolate_styles=False,
)


def announce(text: str, event_id: str = "") -> None:
    """Say `text` once. The same text is said again only with another `event_id`."""
    _region(key="announcement", data={"text": text, "id": f"{event_id}:{text}"}, height=1, width=1)

// Where the view and the keyboard's focus go on the Library page. Python gives `document`, the id
// of the open document, and `deletion`, the id of the last deletion; both empty if there is none.
// The only names used here are the keys that our own pages give to their parts.

const LIMIT = 3000; // ms to wait for the page to be drawn

let shown = null;

const button = (key) => document.querySelector(`.st-key-${key} button`);

// Go to the first of these buttons that is drawn.
const goTo = (keys, block, since = performance.now()) => {
  const found = keys.map(button).find((element) => element);
  if (found) {
    found.style.scrollMarginTop = "4.5rem"; // the height of Streamlit's header
    found.focus({ preventScroll: true });
    found.scrollIntoView({ block });
  } else if (performance.now() - since < LIMIT) {
    requestAnimationFrame(() => goTo(keys, block, since));
  }
};

export default ({ data }) => {
  const before = shown;
  shown = { ...data };
  if (!before) return;
  if (data.document && data.document !== before.document) {
    goTo(["all-documents"], "start");
  } else if (data.deletion && data.deletion !== before.deletion) {
    goTo(["undo-deletion"], "center");
  } else if (before.document && !data.document) {
    goTo([`open-${before.document}`], "center");
  }
};

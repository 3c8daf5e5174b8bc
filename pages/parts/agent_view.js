// Where the keyboard's focus goes on the Agent page. Python gives `waiting`, the id of the call that
// waits for a decision; empty where there is none. After a decision its form is gone, and the focus
// with it: it goes to the form of the next call, or to the box. The only names used here are the
// keys that our own pages give to their parts.

const LIMIT = 5000; // ms to wait for the page to be drawn
const APPROVAL = '[class*="st-key-approval-"]';

let shown = "";

const moveFocus = (since = performance.now()) => {
  const active = document.activeElement;
  const target = document.querySelector(`${APPROVAL}[class*="-Allow"] button`)
    ?? document.querySelector(".st-key-agent_task textarea");
  const lost = !active || active === document.body || active.closest(APPROVAL);
  if (target && lost) target.focus({ preventScroll: true });
  // What has the focus may be drawn again: it has to stay there for a while.
  if (performance.now() - since < LIMIT && (lost || target === active)) {
    setTimeout(() => moveFocus(since), 100);
  }
};

// A decision can come before Python has given `waiting`: the form is drawn first.
const onceGone = (button, since = performance.now()) => {
  if (!button.isConnected) moveFocus();
  else if (performance.now() - since < LIMIT) setTimeout(() => onceGone(button, since), 100);
};
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest(`${APPROVAL} button`);
  if (button) onceGone(button);
}, true);

export default ({ data }) => {
  const before = shown;
  shown = data.waiting;
  if (before && shown !== before) moveFocus();
};

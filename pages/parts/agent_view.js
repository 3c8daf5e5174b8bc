// Where the keyboard's focus goes on the Agent page. Python gives `waiting`, the id of the call that
// waits for a decision; empty where there is none. After a decision its form is gone, and the focus
// with it: it goes to the box, or to the form of the next call. The only names used here are the
// keys that our own pages give to their parts.

const LIMIT = 5000; // ms to wait for the page to be drawn

let shown = "";

const focusOn = (selector, since = performance.now()) => {
  const active = document.activeElement;
  const target = document.querySelector(selector);
  const lost = !active || active === document.body || active.closest('[class*="st-key-approval-"]');
  if (target && lost) target.focus({ preventScroll: true });
  // What has the focus may be drawn again: it has to stay there for a while.
  if (performance.now() - since < LIMIT && (lost || target === active)) {
    setTimeout(() => focusOn(selector, since), 100);
  }
};

export default ({ data }) => {
  const before = shown;
  shown = data.waiting;
  if (!before || shown === before) return;
  focusOn(shown ? `[class*="st-key-approval-${shown}-Allow"] button` : ".st-key-agent_task textarea");
};

// What the Ask page does in the browser. Python gives `live`, the id of the turn whose answer is
// being written, and `source`, the source that is open; both empty where there is none. The only
// names used here are the keys that our own pages give to their parts.

const SLACK = 48; // px above the end of the page that still count as being at its end

let shown = { live: "", source: "" };
let send = () => {};
let following = false;
let opener = ""; // a selector of what was clicked to open the source
let observed = null;

const box = () => document.querySelector(".st-key-question textarea");

const scroller = () => {
  let element = document.querySelector(".st-key-turns");
  while (element && !/auto|scroll/.test(getComputedStyle(element).overflowY)) {
    element = element.parentElement;
  }
  return element;
};

const toTheEnd = () => {
  const view = scroller();
  if (following && view) view.scrollTop = view.scrollHeight;
};

const growth = new ResizeObserver(toTheEnd);

const observe = () => {
  const turns = document.querySelector(".st-key-turns");
  if (turns === observed) return;
  growth.disconnect();
  observed = turns;
  if (turns) growth.observe(turns);
};

// A person who scrolls up reads; one who comes back to the end wants to follow again.
const scrolledBy = (up) => {
  const view = scroller();
  if (up) following = false;
  else if (view && shown.live) {
    following = view.scrollHeight - view.scrollTop - view.clientHeight < SLACK;
  }
};
document.addEventListener("wheel", (event) => scrolledBy(event.deltaY < 0), { passive: true });
document.addEventListener("touchmove", () => scrolledBy(true), { passive: true });
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLTextAreaElement) return;
  if (["PageUp", "ArrowUp", "Home"].includes(event.key)) scrolledBy(true);
  if (["PageDown", "ArrowDown", "End"].includes(event.key)) setTimeout(() => scrolledBy(false), 200);
});

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const mark = event.target.closest('a[href*="#source-"]');
  const row = event.target.closest('[class*="st-key-source-row-"]');
  if (mark) opener = `a[href="${mark.getAttribute("href")}"]`;
  if (row) opener = `.${[...row.classList].find((name) => name.startsWith("st-key-"))} button`;
  if (!mark) return;
  event.preventDefault();
  event.stopPropagation();
  send("source", mark.getAttribute("href").split("#source-")[1]);
}, true);

// Puts the focus on what `find` gives, unless the person has put it elsewhere: it is nowhere, or on
// something that matches `from`. Parts are drawn again after a change, some of them late, and what
// has the focus may be replaced: it has to stay there for a second. A later call ends an earlier one.
let timer = 0;
const focusOn = (find, from) => {
  let kept = 0;
  let tries = 100;
  clearInterval(timer);
  timer = setInterval(() => {
    const active = document.activeElement;
    const target = find();
    const free = !active || active === document.body || active.closest(from);
    if (target && target === active) kept += 1;
    else if (target && free) target.focus({ preventScroll: true });
    tries -= 1;
    if (kept > 10 || !tries || (!free && target !== active)) clearInterval(timer);
  }, 100);
};

export default function ({ data, setTriggerValue }) {
  send = setTriggerValue;
  const before = shown;
  shown = data;
  observe();
  if (data.live && data.live !== before.live) {
    following = true;
    toTheEnd();
  }
  if (before.live && !data.live) {
    toTheEnd();
    focusOn(box, ".st-key-stop");
    setTimeout(() => { following = false; }, 100);
  }
  if (data.source && data.source !== before.source) {
    const close = () => document.querySelector(".st-key-close-source button");
    focusOn(close, opener || ".st-key-close-source");
  }
  if (before.source && !data.source) {
    const selector = opener;
    focusOn(
      () => (selector ? document.querySelector(selector) : box()),
      ".st-key-close-source",
    );
    opener = "";
  }
}

// What the Ask page does in the browser. Python gives `conversation`, the open one; `live`, the
// turn whose answer is being written; `source`, the source that is open; `editing`, the turn whose
// question is being edited. Each is an id, empty where there is none. The only names used here are
// the keys that our own pages give to their parts.

const SLACK = 48; // px above the end of the page that still count as being at its end
const LIMIT = 3000; // ms to wait for the page to be drawn

const NOTHING = { conversation: "", live: "", source: "", editing: "" };
let shown = NOTHING;
let mounted = null;
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

// Where the reader is in each conversation, kept for a reload of this tab. A conversation opens there,
// or else at its end. It is drawn in steps: its place is set again until it is there, or until the
// person moves.
let placing = 0;
const key = (conversation) => `first-token-place-${conversation}`;

const keepPlace = () => {
  const view = scroller();
  if (!view || !shown.conversation || placing) return;
  const atEnd = view.scrollHeight - view.scrollTop - view.clientHeight < SLACK;
  sessionStorage.setItem(key(shown.conversation), atEnd ? "" : view.scrollTop);
};
document.addEventListener("scrollend", keepPlace, true);

const stopPlacing = () => {
  clearInterval(placing);
  placing = 0;
};

// `top`: px from the top; null: the end.
const placeAt = (top) => {
  stopPlacing();
  const until = performance.now() + LIMIT;
  let height = 0;
  let unchanged = 0;
  placing = setInterval(() => {
    const view = scroller();
    if (view) {
      unchanged = view.scrollHeight === height ? unchanged + 1 : 0;
      height = view.scrollHeight;
      view.scrollTop = top ?? height;
    }
    if (unchanged > 10 || performance.now() > until) stopPlacing();
  }, 50);
};

const openAt = (conversation) => {
  const kept = sessionStorage.getItem(key(conversation));
  placeAt(kept ? Number(kept) : null);
};

// Where the page was when something was clicked: parts that are drawn again are missing for a
// moment, and a page that is shorter for a moment loses its place.
let clickedAt = 0;
const notePlace = () => { clickedAt = scroller()?.scrollTop ?? 0; };
document.addEventListener("click", notePlace, true);
document.addEventListener("keydown", notePlace, true);

// A person who scrolls up reads; one who comes back to the end wants to follow again. `left`: a person
// has scrolled up since the last click or Enter, perhaps before `live` says that an answer has begun.
let left = false;
const scrolledBy = (up) => {
  stopPlacing();
  const view = scroller();
  left = up;
  if (up) following = false;
  else if (view && shown.live) {
    following = view.scrollHeight - view.scrollTop - view.clientHeight < SLACK;
  }
};
document.addEventListener("wheel", (event) => scrolledBy(event.deltaY < 0), { passive: true });
document.addEventListener("touchmove", () => scrolledBy(true), { passive: true });
document.addEventListener("click", () => { left = false; }, true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter") left = false;
}, true);
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
// has the focus may be replaced: it has to stay there for a second. A later call ends an earlier one,
// and so does the person: what was clicked may be drawn again at once, and the focus is then nowhere.
let timer = 0;
const stopFocusing = (event) => {
  if (event.type === "pointerdown" || event.key === "Tab") clearInterval(timer);
};
document.addEventListener("pointerdown", stopFocusing, true);
document.addEventListener("keydown", stopFocusing, true);
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

// On a narrow window a source is a sheet from below, which must not cover what opened it.
const uncover = (tries = 30) => {
  const sheet = document.querySelector(".st-key-source-panel");
  const clicked = opener && document.querySelector(opener);
  if (!sheet || !clicked) {
    if (tries) setTimeout(() => uncover(tries - 1), 100);
    return;
  }
  const [from, box] = [clicked.getBoundingClientRect(), sheet.getBoundingClientRect()];
  const covered = from.bottom + 16 - box.top;
  if (box.left < from.right && covered > 0) placeAt(scroller().scrollTop + covered);
};

const inView = (selector, tries = 30) => {
  const element = document.querySelector(selector);
  if (element) element.scrollIntoView({ block: "center" });
  else if (tries) setTimeout(() => inView(selector, tries - 1), 100);
};

export default function ({ data, parentElement, setTriggerValue }) {
  send = setTriggerValue;
  const before = parentElement === mounted ? shown : NOTHING;
  mounted = parentElement;
  shown = data;
  observe();
  if (data.conversation && data.conversation !== before.conversation && !data.live) {
    openAt(data.conversation);
  }
  if (data.live && data.live !== before.live) {
    following = !left;
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
    if (!following) placeAt(clickedAt);
    uncover();
  }
  if (before.source && !data.source) {
    if (!following) placeAt(clickedAt);
    const selector = opener;
    focusOn(
      () => (selector ? document.querySelector(selector) : box()),
      ".st-key-close-source",
    );
    opener = "";
  }
  if (data.editing && data.editing !== before.editing) {
    const selector = `.st-key-edited-${data.editing} textarea`;
    focusOn(() => document.querySelector(selector), `.st-key-edit-${data.editing}`);
    inView(selector);
  }
  if (before.editing && !data.editing && !data.live) {
    focusOn(() => document.querySelector(`.st-key-edit-${before.editing} button`), "form");
  }
}

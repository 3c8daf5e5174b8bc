// What the Compare page does in the browser to measure answers there: it notes when a question is
// asked and when each piece of the answer is drawn, and sends both to Python.
//
// Python gives `label`, of the button; `busy`, whether the button rests; `series`, which series of
// questions this is; `turns`, how many it has; `ended`, the turn whose answer has ended; `recorded`,
// the last turn whose times Python has. Times are in seconds since 1970, by this browser's clock.

const PAUSE = 400; // ms between two questions, in which the page comes to rest
const now = () => (performance.timeOrigin + performance.now()) / 1000;

let asked = null; // what is measured: { series, turn, pressed, drawn: [[length, seconds], …] }
let observer = null;

const answer = () => document.querySelector(".st-key-browser-answer")?.innerText.trim() ?? "";

// A text is drawn with the frame after it has come into the page.
const noteDrawn = () => {
  const length = answer().length;
  if (!asked || !length || asked.drawn.at(-1)?.[0] === length) return;
  const mark = [length, 0];
  asked.drawn.push(mark);
  requestAnimationFrame(() => { mark[1] = now(); });
};

const ask = (series, turn, send) => {
  asked = { series, turn, pressed: now(), drawn: [], sent: false };
  send("asked", { turn, pressed: asked.pressed });
};

export default function ({ data, parentElement, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  button.textContent = data.label;
  button.disabled = data.busy;
  button.onclick = () => ask(data.series + 1, 1, setTriggerValue);
  if (!observer) {
    observer = new MutationObserver(noteDrawn);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  }
  if (!asked || asked.series !== data.series) return;
  if (data.ended === asked.turn && !asked.sent) {
    asked.sent = true;
    const { turn, pressed, drawn } = asked;
    setTimeout(() => setTriggerValue("drawn", { turn, pressed, drawn }), PAUSE);
  } else if (data.recorded === asked.turn && asked.turn < data.turns) {
    const next = asked.turn + 1;
    asked = null;
    setTimeout(() => ask(data.series, next, setTriggerValue), PAUSE);
  }
}

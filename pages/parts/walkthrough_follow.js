// Scrolls to the running cell, unless the user has scrolled away from the previous cell.

const place = (name) => document.querySelector(`.st-key-cell-${name}`);

const inView = (element) => {
  const box = element.getBoundingClientRect();
  return box.bottom > 0 && box.top < window.innerHeight;
};

export default ({ data, parentElement }) => {
  const mark = parentElement.querySelector("span");
  const previous = mark.dataset.running || "";
  if (previous === data.running) return;
  mark.dataset.running = data.running;
  const cell = data.running && place(data.running);
  const before = previous && place(previous);
  if (!cell || (before && !inView(before))) return;
  cell.style.scrollMarginTop = "4.5rem"; // the height of Streamlit's header
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  cell.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
};

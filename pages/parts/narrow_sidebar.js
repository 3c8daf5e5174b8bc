// On a narrow window the sidebar lies over the page. Whoever chooses something in it wants to see the
// page: the sidebar closes. Streamlit's own width for this layout is the limit.

const NARROW = "(max-width: 768px)";

document.addEventListener("click", (event) => {
  if (!matchMedia(NARROW).matches || !(event.target instanceof Element)) return;
  const sidebar = event.target.closest('[data-testid="stSidebar"]');
  const chosen = event.target.closest("a, button");
  const close = document.querySelector('[data-testid="stSidebarCollapseButton"] button');
  if (!sidebar || !chosen || !close || chosen === close) return;
  setTimeout(() => close.click(), 100); // after the page has taken the click
});

export default () => {};

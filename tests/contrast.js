// Every text that is shown with less contrast than asked, as "2.2 text": WCAG 2.2, 1.4.3, with
// translucent colours and opacity laid over what is behind them. Leaves out what WCAG does:
// disabled controls, hidden text.
(asked) => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = css;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((part) => part / 255).map(
      (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const shown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && element.getClientRects().length > 0
    && !element.closest(":disabled, [aria-disabled=true], [aria-hidden=true], style");
  const low = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !shown(element)) continue;
    let behind = [255, 255, 255], opacity = 1;
    const ancestors = [];
    for (let each = element; each; each = each.parentElement) ancestors.unshift(each);
    for (const each of ancestors) {
      const style = getComputedStyle(each);
      behind = over(rgba(style.backgroundColor), behind);
      opacity *= parseFloat(style.opacity);
    }
    const style = getComputedStyle(element);
    const colour = rgba(element instanceof SVGElement ? style.fill : style.color);
    colour[3] *= opacity;
    const measured = contrast(over(colour, behind), behind);
    if (measured < asked) low.add(`${measured.toFixed(1)} ${text.slice(0, 60)}`);
  }
  return [...low].sort();
}

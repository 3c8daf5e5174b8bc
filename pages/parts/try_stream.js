// Sends a question to /v1/chat/completions of the app that this page is from, and shows every
// server-sent event as it was sent. What arrives at once has the same time.

const whole = (milliseconds) => `${Math.round(milliseconds).toLocaleString("en")} ms`;

const row = (list, at, text) => {
  const item = list.appendChild(document.createElement("li"));
  const time = item.appendChild(document.createElement("time"));
  const code = item.appendChild(document.createElement("code"));
  time.textContent = whole(at);
  code.textContent = text;
  list.scrollTop = list.scrollHeight;
};

const wrote = (frame) => {
  try {
    return Boolean(JSON.parse(frame.slice(6)).choices?.[0]?.delta?.content);
  } catch {
    return false;
  }
};

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const [send, stop, told, list] = [".send", ".stop", ".told", ".frames"].map(find);
  find(".key").hidden = !data.needs_key;

  send.onclick = async () => {
    const leaving = new AbortController();
    const began = performance.now();
    const since = () => performance.now() - began;
    const headers = { "Content-Type": "application/json" };
    if (data.needs_key) headers.Authorization = `Bearer ${find("input").value}`;
    stop.onclick = () => leaving.abort();
    send.hidden = true;
    stop.hidden = false;
    stop.focus();
    list.replaceChildren();
    told.textContent = "Waiting for the first frame…";
    let frames = 0;
    let first = 0;
    let firstText = 0;
    try {
      const answer = await fetch("/v1/chat/completions", {
        method: "POST",
        headers,
        signal: leaving.signal,
        body: JSON.stringify({
          model: data.model,
          stream: true,
          stream_options: { include_usage: true },
          messages: [{ role: "user", content: data.question }],
        }),
      });
      if (!answer.ok) {
        row(list, since(), await answer.text());
        told.textContent = `The request was refused (${answer.status}).`;
        return;
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        const at = since();
        for (const frame of parts) {
          frames += 1;
          first ||= at;
          if (wrote(frame)) firstText ||= at;
          row(list, at, frame);
        }
        told.textContent = `${frames} frames`;
      }
      const text = firstText ? `first text after ${whole(firstText)}, ` : "";
      told.textContent = `Sources after ${whole(first)}, ${text}all ${frames} frames after ${whole(since())}`;
    } catch (error) {
      told.textContent = leaving.signal.aborted
        ? `Stopped after ${frames} frames: the connection is closed, and the model has stopped.`
        : `The connection broke off (${error.message}). Try again.`;
    } finally {
      const focused = parentElement.activeElement === stop || document.activeElement === stop;
      send.hidden = false;
      stop.hidden = true;
      if (focused) send.focus();
    }
  };
}

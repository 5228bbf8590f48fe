// The editor of a service: a problem's link puts the cursor on its line, numbers follow
// the text, and the window asks before a text is left that the server does not have. Without this
// script the links jump to the line's number, and the server keeps the text.

const text = document.getElementById("f-testo") as HTMLTextAreaElement | null;
const margin = document.querySelector<HTMLElement>(".editor-lines");

function startOf(value: string, line: number): number {
  let at = 0;
  for (let n = 1; n < line; n++) {
    const next = value.indexOf("\n", at);
    if (next < 0) return value.length;
    at = next + 1;
  }
  return at;
}

function goTo(area: HTMLTextAreaElement, line: number): void {
  const from = startOf(area.value, line);
  const end = area.value.indexOf("\n", from);
  area.focus({ preventScroll: true });
  area.setSelectionRange(from, end < 0 ? area.value.length : end);
  document.getElementById(`L${line}`)?.scrollIntoView({ block: "center" });
}

if (text && margin) {
  const spare = 40;
  const number = (): void => {
    const lines = text.value.split("\n").length + spare;
    for (let n = margin.childElementCount + 1; n <= lines; n++) {
      const span = document.createElement("span");
      span.id = `L${n}`;
      span.textContent = String(n);
      margin.append(span);
    }
    text.rows = Math.max(lines, margin.childElementCount);
  };
  text.addEventListener("input", number);
  for (const a of document.querySelectorAll<HTMLAnchorElement>("a[data-line]")) {
    a.addEventListener("click", (e) => {
      e.preventDefault();
      goTo(text, Number(a.dataset["line"]));
    });
  }

  // A text that was typed and not kept: the window asks before it is left.
  let sent = false;
  const begun = text.value;
  document.getElementById("service-form")?.addEventListener("submit", () => (sent = true));
  window.addEventListener("beforeunload", (e) => {
    if (!sent && text.value !== begun) e.preventDefault();
  });
}

export {};

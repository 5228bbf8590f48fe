// The page's side of the window's own server: relative addresses, no network.

export interface State {
  deadline: number; // milliseconds since 1970; 0: none
  finished: boolean;
  good: boolean;
  text: string;
  version: number;
  page: string; // that a hand is sent to
}

export async function post(path: string, body?: Uint8Array<ArrayBuffer> | string): Promise<Response> {
  return fetch(path, { method: "POST", body: body ?? "", headers: { "Content-Type": "application/octet-stream" } });
}

export async function state(after: number): Promise<State> {
  const r = await fetch(`/state?after=${String(after)}`, { cache: "no-store" });
  return (await r.json()) as State;
}

export function one(selector: string): HTMLElement {
  const e = document.querySelector<HTMLElement>(selector);
  if (!e) throw new Error(selector);
  return e;
}

// quiet: what was pressed for another window must not count here.
export const quiet = 500;

let since = Number.POSITIVE_INFINITY;

export function painted(): void {
  const tell = (): void => {
    if (since !== Number.POSITIVE_INFINITY) return;
    since = performance.now();
    void post("/painted");
  };
  requestAnimationFrame(() => requestAnimationFrame(tell));
  // An engine draws no frames for a window that is covered or on another desktop: the
  // person may come to it later.
  setTimeout(tell, 3000);
}

export function ready(): boolean {
  return performance.now() - since >= quiet;
}

// say tells a screen reader.
export function say(text: string): void {
  one("#announce").textContent = text;
}

// countdown shows the time that is left, and says it aloud once near the end.
export function countdown(first: number): (deadline: number) => void {
  const shown = document.querySelector<HTMLElement>("#left");
  let deadline = first;
  let told = false;
  if (shown) {
    const template = shown.dataset["text"] ?? "{n}";
    const show = (): void => {
      const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
      shown.textContent = template.replace("{n}", String(left));
      if (left <= 30 && !told && deadline > 0) {
        told = true;
        say(shown.textContent);
      }
    };
    show();
    setInterval(show, 1000);
  }
  return (next) => {
    if (next !== deadline) told = false;
    deadline = next;
  };
}

export function refusals(): void {
  document.querySelector("#refuse")?.addEventListener("click", () => {
    if (ready()) void post("/refuse");
  });
  document.querySelector("#block")?.addEventListener("click", () => {
    if (ready()) void post("/block");
  });
  document.querySelector("#more")?.addEventListener("click", () => {
    if (ready()) void post("/extend");
  });
  document.addEventListener("keydown", (e) => {
    if (!ready()) {
      e.preventDefault();
      e.stopPropagation();
    } else if (e.key === "Escape" && document.querySelector("#refuse")) {
      void post("/refuse");
    }
  }, true);
}

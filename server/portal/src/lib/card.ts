// What both pages that use the card do: show where things are, and explain what
// went wrong. All words are in the page; this file has none.
import { connect, CitelError, type Connection, type State } from "@citel/client";

const root = (id: string): HTMLElement => {
  const e = document.getElementById(id);
  if (!e) throw new Error(`the page has no #${id}`);
  return e;
};

export const lang = (): "it" | "en" => (document.documentElement.lang === "en" ? "en" : "it");

function word(name: string): string {
  return root("words").dataset[name] ?? "";
}

export function progress(name: string): void {
  root("progress").textContent = name === "" ? "" : word(name);
}

const states: State[] = ["missing", "question-open", "dismissed", "denied"];

function show(state: State | ""): void {
  for (const s of states) root(`state-${s}`).hidden = s !== state;
}

export function problem(text: string): void {
  const box = root("problem");
  box.textContent = text;
  box.hidden = text === "";
}

// Answer of the server's own interface.
export class ServerError extends Error {
  constructor(readonly code: string, readonly text: string) {
    super(code);
  }
}

export async function post(path: string, body: BodyInit, headers: Record<string, string>, signal: AbortSignal): Promise<Record<string, unknown>> {
  const answer = await fetch(path, { method: "POST", body, headers, signal, credentials: "same-origin" });
  const data = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
  if (!answer.ok) throw new ServerError(String(data["error"] ?? answer.status), String(data["text"] ?? answer.statusText));
  return data;
}

// link finds the agent. Documents go over its own link alone; a login also goes through
// the browser's Web eID extension.
export async function link(ports: number[], signal: AbortSignal, extension: boolean): Promise<Connection> {
  progress("connecting");
  const citel = await connect({
    ports, language: lang(), signal, extension,
    onState: (s) => show(states.includes(s) ? s : ""),
  });
  show("");
  return citel;
}

function explain(e: unknown): void {
  progress("");
  if (e instanceof CitelError) {
    // These have a window of their own in the page.
    if (["agent-missing", "permission-dismissed", "permission-denied"].includes(e.code)) return;
    if (e.code === "cancelled") return;
    let text = e.sentence(lang());
    if (e.triesLeft !== undefined) text += " " + word("tries").replace("{n}", String(e.triesLeft));
    problem(text);
  } else if (e instanceof ServerError) {
    problem(e.text);
  } else if (!(e instanceof DOMException && e.name === "AbortError")) {
    problem(e instanceof Error ? e.message : String(e));
  }
}

// run joins the button that starts and the one that stops with the work.
export function run(id: string, work: (box: HTMLElement, signal: AbortSignal) => Promise<void>): void {
  const box = root(id);
  const start = root("start") as HTMLButtonElement;
  const stop = root("stop") as HTMLButtonElement;
  let abort: AbortController | undefined;
  start.addEventListener("click", async () => {
    abort = new AbortController();
    start.disabled = true;
    stop.hidden = false;
    problem("");
    show("");
    try {
      await work(box, abort.signal);
    } catch (e) {
      explain(e);
    } finally {
      start.disabled = false;
      stop.hidden = true;
    }
  });
  stop.addEventListener("click", () => abort?.abort());
}

export const ports = (box: HTMLElement): number[] => (box.dataset["ports"] ?? "").split(",").map(Number).filter((n) => n > 0);

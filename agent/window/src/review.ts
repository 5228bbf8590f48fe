// The page that shows what would be signed. It can say next or refuse; the PIN is
// asked elsewhere.
import * as pdfjs from "pdfjs-dist/legacy/build/pdf.mjs";

import { countdown, one, painted, post, ready, refusals, say, state } from "./link";

pdfjs.GlobalWorkerOptions.workerSrc = "/assets/pdfjs/pdf.worker.mjs";

// most pages that are drawn; a longer document says so.
const most = 200;

interface Facts {
  scripts: boolean;
  files: boolean;
  layers: boolean;
  xfa: boolean;
  tagged: boolean;
}

type PDF = Awaited<ReturnType<typeof pdfjs.getDocument>["promise"]>;

async function facts(pdf: PDF): Promise<Facts> {
  const [actions, open, attachments, layers, mark] = await Promise.all([
    pdf.getJSActions(), pdf.getOpenAction(), pdf.getAttachments(), pdf.getOptionalContentConfig(), pdf.getMarkInfo(),
  ]);
  const groups = layers as unknown as { getOrder: () => unknown[] | null; [Symbol.iterator]: () => Iterator<unknown> };
  return {
    scripts: actions !== null || (open as { action?: string } | null)?.action === "JavaScript",
    files: attachments !== null && Object.keys(attachments as object).length > 0,
    layers: groups.getOrder() !== null || !groups[Symbol.iterator]().next().done,
    xfa: pdf.isPureXfa,
    tagged: (mark as { Marked?: boolean } | null)?.Marked === true,
  };
}

// external: links and actions that lead out of the document.
async function external(p: Page): Promise<boolean> {
  const all = (await p.getAnnotations()) as { url?: string; unsafeUrl?: string; action?: string }[];
  return all.some((a) => a.url !== undefined || a.unsafeUrl !== undefined || a.action === "Launch");
}

async function page(pdf: PDF, n: number, into: HTMLElement): Promise<void> {
  const p = await pdf.getPage(n);
  if (await external(p)) one(`#${into.id}-external`).hidden = false;
  const view = p.getViewport({ scale: 1.5 });
  const box = document.createElement("div");
  box.className = "page";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", (into.dataset["page"] ?? "{n}/{all}").replace("{n}", String(n)).replace("{all}", String(pdf.numPages)));
  const canvas = document.createElement("canvas");
  canvas.width = view.width;
  canvas.height = view.height;
  canvas.setAttribute("aria-hidden", "true");
  box.append(canvas);
  into.append(box);
  await p.render({ canvas, viewport: view, annotationMode: pdfjs.AnnotationMode.ENABLE }).promise;
  // The words themselves, for a screen reader: by the document's structure where it
  // has one, else line by line in reading order.
  const words = document.createElement("div");
  words.className = "words";
  const { lines, marked } = await read(p);
  const tree = (await p.getStructTree()) as Node | null;
  if (tree) build(tree, words, marked);
  if (!words.textContent.trim()) {
    for (const line of lines) {
      const e = document.createElement("p");
      e.textContent = line;
      words.append(e);
    }
  }
  box.append(words);
}

interface Node {
  role?: string;
  type?: string;
  id?: string;
  alt?: string;
  children?: Node[];
}

type Page = Awaited<ReturnType<PDF["getPage"]>>;

// read gives the page's lines, and the words of each marked piece by its id. (The
// library's own getTextContent iterates over a stream, which this engine cannot.)
async function read(p: Page): Promise<{ lines: string[]; marked: Map<string, string> }> {
  const reader = (p.streamTextContent({ includeMarkedContent: true }) as ReadableStream<{ items: unknown[] }>).getReader();
  const lines: string[] = [];
  const marked = new Map<string, string>();
  const open: (string | undefined)[] = [];
  let line = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    for (const raw of value.items) {
      const item = raw as { str?: string; hasEOL?: boolean; type?: string; id?: string };
      if (item.type === "beginMarkedContentProps" || item.type === "beginMarkedContent") open.push(item.id);
      else if (item.type === "endMarkedContent") open.pop();
      else if (item.str !== undefined) {
        const id = open.findLast((x) => x !== undefined);
        const text = item.str + (item.hasEOL ? " " : "");
        if (id !== undefined) marked.set(id, (marked.get(id) ?? "") + text);
        line += item.str;
        if (item.hasEOL) {
          if (line.trim()) lines.push(line);
          line = "";
        }
      }
    }
  }
  if (line.trim()) lines.push(line);
  return { lines, marked };
}

// roles of PDF (ISO 32000-2, 14.8.4) as elements; what is not here is a group.
const elements: Record<string, string> = { P: "p", L: "ul", LI: "li", Table: "table", TR: "tr", TH: "th", TD: "td", Caption: "caption", Span: "span", Lbl: "span", LBody: "span" };

function build(node: Node, into: HTMLElement, marked: Map<string, string>): void {
  if (node.type === "content") {
    into.append(document.createTextNode(marked.get(node.id ?? "") ?? ""));
    return;
  }
  let e = into;
  const heading = /^H([1-6])$/.exec(node.role ?? "");
  if (heading) {
    e = document.createElement("div");
    e.setAttribute("role", "heading");
    e.setAttribute("aria-level", String(Math.min(6, Number(heading[1]) + 2)));
  } else {
    const tag = elements[node.role ?? ""];
    if (tag) e = document.createElement(tag);
  }
  if (node.role === "Figure" && node.alt) {
    e = document.createElement("p");
    e.textContent = node.alt;
  }
  for (const child of node.children ?? []) build(child, e, marked);
  if (e !== into) into.append(e);
}

async function show(into: HTMLElement): Promise<void> {
  const status = one(`#${into.id}-status`);
  try {
    const pdf = await pdfjs.getDocument({
      url: into.dataset["src"] ?? "", isEvalSupported: false, enableXfa: false, disableAutoFetch: true, disableStream: true, disableRange: true,
      standardFontDataUrl: "/assets/pdfjs/fonts/", useSystemFonts: false, useWasm: false, stopAtErrors: true, verbosity: 0,
    }).promise;
    const f = await facts(pdf);
    for (const key of ["scripts", "files", "layers", "xfa"] as const) {
      const e = document.querySelector<HTMLElement>(`#${into.id}-${key}`);
      if (e && f[key]) e.hidden = false;
    }
    const untagged = document.querySelector<HTMLElement>(`#${into.id}-untagged`);
    if (untagged && !f.tagged) untagged.hidden = false;
    const long = document.querySelector<HTMLElement>(`#${into.id}-long`);
    if (long && pdf.numPages > most) long.hidden = false;
    for (let n = 1; n <= Math.min(pdf.numPages, most); n++) await page(pdf, n, into);
    status.hidden = true;
    into.setAttribute("aria-busy", "false");
  } catch {
    status.textContent = into.dataset["failed"] ?? "";
    status.className = "alert alert-warning";
    into.setAttribute("aria-busy", "false");
  }
}

refusals();
one("#next").addEventListener("click", () => {
  if (ready()) void post("/next");
});
const move = countdown(Number(document.body.dataset["deadline"] ?? "0"));
async function follow(): Promise<void> {
  for (let version = 0; ; ) {
    const s = await state(version);
    version = s.version;
    move(s.deadline);
  }
}
void follow();
one("h1").focus();
painted();
void (async () => {
  for (const e of document.querySelectorAll<HTMLElement>(".pages")) await show(e);
  say(one("#all-shown").textContent);
})();

// The agent's own pages: what they show comes with the page, what they ask goes by a
// form to the agent, and a change in the reader is shown without a press.
import { one, painted, post, ready, say, state } from "./link";

interface Done {
  text: string;
  report?: string;
}

// swap puts the page's new content in place of the old, and the focus where it was.
async function swap(): Promise<void> {
  const r = await fetch(`/hand/${document.body.dataset["page"] ?? "home"}`, { cache: "no-store" });
  const fresh = new DOMParser().parseFromString(await r.text(), "text/html");
  const main = fresh.querySelector("#main");
  if (!r.ok || !main) return;
  const key = label(document.activeElement);
  const spoken = document.querySelector("#state")?.textContent;
  one("#main").replaceWith(main);
  document.documentElement.lang = fresh.documentElement.lang;
  one("header.hand").replaceWith(fresh.querySelector("header.hand") ?? one("header.hand"));
  if (key) [...main.querySelectorAll<HTMLElement>("button, input, a")].find((e) => label(e) === key)?.focus();
  const now = document.querySelector("#state")?.textContent;
  if (now && now !== spoken) say(now);
}

// label is what finds an element again on the new page.
function label(e: Element | null): string {
  if (!e || e === document.body) return "";
  return e.getAttribute("id") ?? `${e.closest("form")?.dataset["do"] ?? ""}|${e.textContent}|${(e as HTMLInputElement).name}`;
}

function tell(text: string, good: boolean): void {
  const result = one("#result");
  result.textContent = text;
  result.className = good ? "alert alert-success" : "alert alert-danger";
  result.hidden = false;
  result.tabIndex = -1;
  result.focus();
  say(text);
}

async function submit(form: HTMLFormElement): Promise<void> {
  const args: Record<string, string> = {};
  new FormData(form).forEach((v, k) => {
    if (typeof v === "string") args[k] = v;
  });
  busy(true);
  try {
    const r = await post(`/do/${form.dataset["do"] ?? ""}`, JSON.stringify(args));
    if (!r.ok) {
      tell(await r.text(), false);
      return;
    }
    const done = (await r.json()) as Done;
    await swap();
    if (done.report) {
      const report = one("#report");
      report.textContent = done.report;
      report.hidden = false;
      report.focus();
      say(done.text);
      return;
    }
    tell(done.text, true);
  } finally {
    busy(false);
  }
}

function busy(on: boolean): void {
  one("#main").setAttribute("aria-busy", String(on));
}

function confirmOpen(): boolean {
  return document.querySelector(".confirm:not([hidden])") !== null;
}

document.addEventListener("submit", (e) => {
  e.preventDefault();
  const form = e.target as HTMLFormElement;
  if (!ready() || one("#main").getAttribute("aria-busy") === "true") return;
  if (form.dataset["again"] !== undefined) void swap();
  else void submit(form);
});

document.addEventListener("click", (e) => {
  const button = (e.target as Element).closest<HTMLElement>("[data-reveal], [data-hide]");
  if (!button || !ready()) return;
  const target = button.dataset["reveal"];
  if (target !== undefined) {
    document.querySelectorAll<HTMLElement>(".confirm").forEach((c) => {
      c.hidden = c.getAttribute("id") !== target;
    });
    // On what will change, not on the yes: Enter twice is not an answer.
    const changes = document.getElementById(target)?.querySelector<HTMLElement>("p");
    if (changes) {
      changes.tabIndex = -1;
      changes.focus();
      say(changes.textContent ?? "");
    }
    return;
  }
  hide(button);
});

function hide(from: Element): void {
  const form = from.closest<HTMLElement>(".confirm");
  if (!form) return;
  form.hidden = true;
  document.querySelector<HTMLElement>(`[data-reveal="${form.getAttribute("id") ?? ""}"]`)?.focus();
}

document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && document.activeElement) hide(document.activeElement);
});

// A change while somebody types, reads a report or is asked "really?" is shown after.
function occupied(): boolean {
  const e = document.activeElement;
  return confirmOpen() || one("#main").getAttribute("aria-busy") === "true" || (e instanceof HTMLInputElement && e.type === "text" && e.value !== "") || document.querySelector("#report:not([hidden])") !== null;
}

async function follow(): Promise<void> {
  for (let version = Number(document.body.dataset["version"] ?? "0"); ; ) {
    const s = await state(version);
    if (s.version === version) continue;
    version = s.version;
    if (s.page !== "" && s.page !== document.body.dataset["page"]) {
      location.href = `/hand/${s.page}`;
      return;
    }
    // The doctor's page is looked at again when the person wants it.
    if (!occupied() && document.body.dataset["page"] !== "doctor") await swap();
  }
}
void follow();
one("h1").focus();
painted();

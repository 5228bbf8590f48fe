// What every page of the console does: the menus, the session's end, printing, and the
// focus on what went wrong. Without this script all of it works by links and buttons; the
// session's end stands on the page.

const byId = (id: string): HTMLElement | null => document.getElementById(id);

// Espandi tutti i menu.
function menus(): void {
  const button = byId("open-all");
  const parts = [...document.querySelectorAll<HTMLDetailsElement>(".console-menu details details")];
  if (!button || parts.length === 0) return;
  const show = (): void => {
    button.textContent = (parts.every((d) => d.open) ? button.dataset["close"] : button.dataset["open"]) ?? "";
  };
  // On a phone the page comes first; where the menu has its column it is always there.
  const narrow = window.matchMedia("(max-width: 991px)");
  const box = byId("menu-box") as HTMLDetailsElement | null;
  const fold = (): void => {
    if (box) box.open = !narrow.matches;
  };
  narrow.addEventListener("change", fold);
  fold();
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = !parts.every((d) => d.open);
    for (const d of parts) d.open = open;
    show();
  });
  for (const d of parts) d.addEventListener("toggle", show);
  show();
}

const quiet = { "X-Citel-Quiet": "1" };
const warning = 120; // seconds: session.Warning

// The session's end: asked of the server, since another tab may have moved it.
function session(): void {
  const box = byId("session-warning") as HTMLDialogElement | null;
  const end = byId("session-end");
  if (!box || !end) return;
  let timer = 0;
  const wait = (left: number): void => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void ask(), Math.max(1, left > warning ? left - warning : Math.min(left, 15)) * 1000);
  };
  const shown = (left: number): void => {
    const at = new Date(Date.now() + left * 1000);
    end.setAttribute("datetime", at.toISOString());
    end.textContent = at.toLocaleTimeString("it-IT", { timeZone: "Europe/Rome", hour: "2-digit", minute: "2-digit" });
  };
  const over = (): void => location.assign("/consolleente/accedi");
  const got = async (answer: Response): Promise<number> => {
    if (answer.status === 401) return 0;
    if (!answer.ok) throw new Error(String(answer.status));
    return Number(((await answer.json()) as { left: number }).left);
  };
  const ask = async (): Promise<void> => {
    try {
      const left = await got(await fetch("/consolleente/api/sessione", { headers: quiet, credentials: "same-origin", cache: "no-store" }));
      if (left <= 0) return over();
      shown(left);
      if (left <= warning && !box.open) box.showModal();
      if (left > warning && box.open) box.close();
      wait(left);
    } catch {
      wait(warning + 15); // the network comes back
    }
  };
  byId("session-extend")?.addEventListener("click", async () => {
    const left = await got(await fetch("/consolleente/api/sessione", { method: "POST", headers: { "X-CSRF-Token": box.dataset["csrf"] ?? "" }, credentials: "same-origin" }));
    if (left <= 0) return over();
    box.close();
    shown(left);
    wait(left);
  });
  byId("session-leave")?.addEventListener("click", () => document.querySelector<HTMLFormElement>("form[action='/consolleente/esci']")?.submit());
  // A computer that wakes up, or a tab that was behind others: timers slept.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void ask();
  });
  const left = (Date.parse(end.getAttribute("datetime") ?? "") - Date.now()) / 1000;
  wait(Number.isFinite(left) ? left : warning);
}

function printing(): void {
  for (const b of document.querySelectorAll<HTMLElement>("[data-print]")) {
    b.hidden = false;
    b.addEventListener("click", () => window.print());
  }
}

menus();
session();
printing();
(byId("wrong") ?? byId("wrong-note") ?? byId("news"))?.focus();

// Every page: a secret can be shown, and a session that is about to end says so. Without
// this script the pages work; the time of the end stands in the header.

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-secret]")) {
  const field = document.getElementById(button.dataset["secret"] ?? "") as HTMLInputElement | null;
  if (!field) continue;
  button.hidden = false;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const show = field.type === "password";
    field.type = show ? "text" : "password";
    button.textContent = (show ? button.dataset["hide"] : button.dataset["show"]) ?? "";
    button.setAttribute("aria-pressed", String(show));
    field.focus();
  });
  // What is sent goes as a secret again: browsers keep what was typed in text fields.
  field.form?.addEventListener("submit", () => { field.type = "password"; });
}

document.getElementById("wrong")?.focus();

const base = document.documentElement.dataset["base"] ?? "";

function watch(dialog: HTMLDialogElement): void {
  const part = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
  const text = part("session-text");
  const stay = part<HTMLButtonElement>("session-stay");
  const close = part<HTMLButtonElement>("session-close");
  const again = part<HTMLAnchorElement>("session-again");
  const warning = Number(dialog.dataset["warning"]);
  let end = 0;
  let timer = 0;

  const left = (): number => Math.max(0, Math.round((end - Date.now()) / 1000));
  const set = (seconds: number): void => {
    end = Date.now() + seconds * 1000;
    part("session-time").textContent = new Date(end).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", timeZone: "Europe/Rome" });
    clearTimeout(timer);
    timer = window.setTimeout(look, Math.max(0, (seconds - warning) * 1000));
  };
  const ask = async (method: string, headers: Record<string, string>): Promise<number> => {
    const answer = await fetch(`${base}/api/sessione`, { method, headers, credentials: "same-origin" });
    return answer.ok ? Number(((await answer.json()) as { left: number }).left) : 0;
  };
  const over = (): void => {
    text.textContent = text.dataset["over"] ?? "";
    stay.hidden = true;
    again.hidden = false;
    again.href = `${base}/accedi?poi=${encodeURIComponent(location.pathname)}`;
    if (!dialog.open) dialog.showModal();
  };
  // Another tab may have gone on: the server knows.
  const look = async (): Promise<void> => {
    const seconds = await ask("GET", { "X-Citel-Quiet": "1" }).catch(left);
    if (seconds > warning + 1) {
      if (dialog.open) dialog.close();
      return set(seconds);
    }
    if (seconds <= 0) return over();
    end = Date.now() + seconds * 1000;
    const minutes = Math.ceil(seconds / 60);
    text.textContent = (text.dataset["soon"] ?? "").replace("{n}", String(minutes));
    if (!dialog.open) dialog.showModal();
    clearTimeout(timer);
    timer = window.setTimeout(look, Math.min(60, seconds) * 1000);
  };
  stay.addEventListener("click", async () => {
    const seconds = await ask("POST", { "X-CSRF-Token": dialog.dataset["csrf"] ?? "" }).catch(() => 0);
    if (seconds <= 0) return over();
    dialog.close();
    set(seconds);
  });
  close.addEventListener("click", () => dialog.close());
  // A computer that slept, or a tab that was away: timers of such pages are late.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void look();
  });
  set(Number(dialog.dataset["left"]));
}

const dialog = document.getElementById("session-dialog");
if (dialog instanceof HTMLDialogElement) watch(dialog);

// The page that asks for the PIN, or tells how it went. It shows no document.
import { countdown, one, painted, post, ready, refusals, say, state } from "./link";

const form = document.querySelector<HTMLFormElement>("#ask");
const pin = document.querySelector<HTMLInputElement>("#pin");
const fault = document.querySelector<HTMLElement>("#fault");

function chosen(): HTMLInputElement | null {
  return document.querySelector<HTMLInputElement>("input[name=certificate]:checked, input[type=hidden][name=certificate]");
}

function complain(text: string): void {
  if (!fault) return;
  fault.textContent = text;
  fault.hidden = false;
  pin?.setAttribute("aria-invalid", "true");
  pin?.focus();
}

// hints shows what is known of the chosen card's PIN.
function hints(): void {
  const id = chosen()?.value;
  document.querySelectorAll<HTMLElement>("[data-for]").forEach((e) => {
    e.hidden = e.dataset["for"] !== id;
  });
  const digits = chosen()?.dataset["digits"];
  if (pin && digits && digits !== "0") pin.maxLength = Number(digits);
  else pin?.removeAttribute("maxlength");
  const pad = chosen()?.dataset["pinpad"] === "true";
  const field = document.querySelector<HTMLElement>("#pin-field");
  if (field) field.hidden = pad;
}

async function answer(): Promise<void> {
  const c = chosen();
  const pad = c?.dataset["pinpad"] === "true";
  const digits = Number(c?.dataset["digits"] ?? "0");
  const value = pin?.value ?? "";
  if (pin && !pad && !value) {
    complain(pin.dataset["empty"] ?? "");
    return;
  }
  if (pin && !pad && digits > 0 && value.length !== digits) {
    complain((pin.dataset["length"] ?? "").replace("{n}", String(digits)));
    return;
  }
  const remember = document.querySelector<HTMLInputElement>("#remember")?.checked ? "1" : "0";
  const bytes = new TextEncoder().encode(pad ? "" : value);
  if (pin) pin.value = "";
  one("#yes").setAttribute("disabled", "");
  const r = await post(`/answer?certificate=${encodeURIComponent(c?.value ?? "")}&remember=${remember}`, bytes);
  bytes.fill(0);
  if (!r.ok) {
    one("#yes").removeAttribute("disabled");
    complain(await r.text());
  }
}

form?.addEventListener("submit", (e) => {
  e.preventDefault();
  if (ready()) void answer();
});
document.querySelectorAll("input[name=certificate]").forEach((e) => {
  e.addEventListener("change", hints);
});
document.querySelector("#close")?.addEventListener("click", () => void post("/close"));
hints();
refusals();

const move = countdown(Number(document.body.dataset["deadline"] ?? "0"));
async function follow(): Promise<void> {
  for (let version = 0; ; ) {
    const s = await state(version);
    version = s.version;
    move(s.deadline);
    const result = document.querySelector<HTMLElement>("#result");
    if (s.finished && result) {
      result.textContent = s.text;
      result.className = s.good ? "alert alert-success" : "alert alert-danger";
      result.hidden = false;
      one("#working").hidden = true;
      one("#close").hidden = false;
      const heading = one("h1");
      heading.textContent = (s.good ? heading.dataset["good"] : heading.dataset["bad"]) ?? "";
      document.title = `${heading.textContent} - CiTel`;
      say(s.text);
      one("#close").focus();
    }
  }
}
void follow();
(pin ?? document.querySelector<HTMLElement>("h1"))?.focus();
painted();

// The page that takes PIN or PUK and a new PIN. It shows no document.
import { countdown, one, painted, post, ready, refusals, state } from "./link";

const form = document.querySelector<HTMLFormElement>("#ask");
const fields = ["#secret", "#fresh", "#again"].map((s) => one(s) as HTMLInputElement);

function complain(text: string): void {
  const fault = one("#fault");
  fault.textContent = text;
  fault.hidden = false;
  // What was typed is gone: nobody has to wonder which of the three was wrong.
  fields.forEach((f) => {
    f.value = "";
    f.setAttribute("aria-invalid", "true");
  });
  fields[0]?.focus();
}

async function answer(): Promise<void> {
  const bytes = new TextEncoder().encode(fields.map((f) => f.value).join("\n"));
  fields.forEach((f) => {
    f.value = "";
  });
  one("#yes").setAttribute("disabled", "");
  const r = await post("/secrets", bytes);
  bytes.fill(0);
  if (!r.ok) {
    one("#yes").removeAttribute("disabled");
    complain(await r.text());
  }
}

form?.addEventListener("submit", (e) => {
  e.preventDefault();
  if (!ready()) return;
  // Enter goes to the next field that is empty.
  const empty = fields.find((f) => f.value === "");
  if (empty && empty !== fields[0] && document.activeElement !== empty) {
    empty.focus();
    return;
  }
  void answer();
});
refusals();

const move = countdown(Number(document.body.dataset["deadline"] ?? "0"));
async function follow(): Promise<void> {
  for (let version = 0; ; ) {
    const s = await state(version);
    version = s.version;
    move(s.deadline);
  }
}
void follow();
fields[0]?.focus();
painted();

// A form's questions that depend on an answer are shown at once; without this script the
// server shows them after the choice. A file that is too large is told before it is sent.

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-form]")) {
  const mark = form.elements.namedItem("_script");
  if (mark instanceof HTMLInputElement) mark.value = "1";
  const dependent = Array.from(form.querySelectorAll<HTMLElement>("[data-when]"));
  const answers = (name: string): string[] => {
    const asked = Array.from(form.querySelectorAll<HTMLInputElement | HTMLSelectElement>(`[name="${CSS.escape(name)}"]`));
    // What is not asked itself has no answer. One that is on another step decides nothing here.
    return asked.filter((x) => !x.closest("[hidden]") && (x instanceof HTMLSelectElement || (x.type !== "radio" && x.type !== "checkbox") || x.checked)).map((x) => x.value);
  };
  const show = (): void => {
    for (const field of dependent) { // in the form's order: what depends on one of them comes after it
      const name = field.dataset["when"] ?? "";
      if (!form.querySelector(`[name="${CSS.escape(name)}"]`)) continue;
      const is = (field.dataset["is"] ?? "").split(",");
      field.hidden = !answers(name).some((v) => is.includes(v));
    }
  };
  form.addEventListener("change", show);
  window.addEventListener("pageshow", show); // a browser that goes back restores what was chosen
  show();
}

for (const form of document.querySelectorAll<HTMLFormElement>("form[data-upload]")) {
  const input = form.querySelector<HTMLInputElement>("input[type=file]");
  const error = form.querySelector<HTMLElement>(".field-error");
  if (!input || !error) continue;
  const tooLarge = (): boolean => {
    const large = (input.files?.[0]?.size ?? 0) > Number(form.dataset["max"]);
    error.textContent = large ? (error.dataset["large"] ?? "") : "";
    input.setAttribute("aria-invalid", String(large));
    return large;
  };
  input.addEventListener("change", tooLarge);
  form.addEventListener("submit", (e) => {
    if (!tooLarge()) return;
    e.preventDefault();
    input.focus();
  });
}

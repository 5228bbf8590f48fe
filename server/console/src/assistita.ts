// The person at the desk signs with the own card in this computer's reader: the document
// as the server wrote it, signed by the card, back to the server.
import { CitelError } from "@citel/client";
import { link, ports, post, problem, progress, run } from "../../portal/src/lib/card";

const hex = (b: ArrayBuffer): string => Array.from(new Uint8Array(b), (x) => x.toString(16).padStart(2, "0")).join("");

if (document.getElementById("card-sign")) run("card-sign", async (box, signal) => {
  const answer = await fetch(`${box.dataset["path"] ?? ""}/documento.pdf`, { signal, credentials: "same-origin" });
  // The session is over, or the draft is no longer here: its page says so.
  if (!answer.ok || answer.redirected) {
    location.reload();
    return;
  }
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (hex(await crypto.subtle.digest("SHA-256", bytes)) !== box.dataset["sha256"]) {
    problem(document.getElementById("words")?.dataset["changed"] ?? "");
    return;
  }
  const citel = await link(ports(box), signal, false);
  try {
    const done = await citel.sign({
      documents: [{ name: box.dataset["name"] ?? "documento.pdf", mediaType: "application/pdf", bytes }],
      codiceFiscale: box.dataset["code"], signal, onEvent: progress,
    }).catch((e: unknown) => {
      // The agent looks for the signer's certificate alone: here it is another person's card.
      throw e instanceof CitelError && ["no-certificate", "certificate-unfit"].includes(e.code) ? new Error(box.dataset["other"]) : e;
    });
    const signed = done.results[0];
    if (!signed) throw new Error("no result");
    progress("sending");
    const received = await post(box.dataset["api"] ?? "", new Blob([signed.bytes as BlobPart]), {
      "Content-Type": "application/pkcs7-mime", "X-CSRF-Token": box.dataset["csrf"] ?? "",
    }, signal);
    progress("done");
    location.assign(String(received["next"]));
  } finally {
    citel.close();
  }
});

// The signing page: the document as the server wrote it, signed by the card, back
// to the server.
import { link, ports, post, problem, progress, run } from "./lib/card";

const hex = (b: ArrayBuffer): string => Array.from(new Uint8Array(b), (x) => x.toString(16).padStart(2, "0")).join("");

run("card-sign", async (box, signal) => {
  const answer = await fetch(box.dataset["document"] ?? "", { signal, credentials: "same-origin" });
  // The session is over, or the application is no longer the visitor's: its page says so.
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
    // Documents go only over a socket that proves the key that the login came
    // over; after a login without one the agent's word is all there is.
    const fingerprint = box.dataset["fingerprint"] || undefined;
    const done = await citel.sign({
      documents: [{ name: box.dataset["name"] ?? "documento.pdf", mediaType: "application/pdf", bytes }],
      codiceFiscale: box.dataset["code"], fingerprint, signal, onEvent: progress,
    });
    const signed = done.results[0];
    if (!signed) throw new Error("no result");
    progress("sending");
    const received = await post(box.dataset["post"] ?? "", new Blob([signed.bytes as BlobPart]), {
      "Content-Type": "application/pkcs7-mime", "X-CSRF-Token": box.dataset["csrf"] ?? "",
    }, signal);
    progress("done");
    location.assign(String(received["next"]));
  } finally {
    citel.close();
  }
});

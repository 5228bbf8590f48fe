// An operator's card as the second factor: nonce from the server, token from the card,
// back to the server.
import { link, ports, post, progress, run } from "../../portal/src/lib/card";

run("operator-card", async (box, signal) => {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": box.dataset["csrf"] ?? "" };
  const citel = await link(ports(box), signal);
  try {
    const nonce = async () => {
      const n = await post("/consolleente/api/nonce", "{}", headers, signal);
      return { nonce: String(n["nonce"]), expiresIn: Number(n["expiresIn"]) };
    };
    const first = await nonce();
    const done = await citel.login({ ...first, freshNonce: nonce, signal, onEvent: progress });
    progress("checking");
    // At a first access the link and the new password go with the token.
    const value = (name: string): string => document.querySelector<HTMLInputElement>(`form [name="${name}"]`)?.value ?? "";
    const more = box.dataset["target"] === "attiva" ? { link: value("link"), password: value("password"), again: value("again") } : {};
    const answer = await post(`/consolleente/api/carta/${box.dataset["target"] ?? ""}`, JSON.stringify({ token: done.token, nonce: done.nonce, ...more }), headers, signal);
    progress("done");
    location.assign(String(answer["next"]));
  } finally {
    citel.close();
  }
});

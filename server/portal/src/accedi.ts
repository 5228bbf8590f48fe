// The login page: nonce from the server, token from the card, back to the server.
import { link, ports, post, progress, run } from "./lib/card";

const json = { "Content-Type": "application/json" };

run("card-login", async (box, signal) => {
  const citel = await link(ports(box), signal, true);
  box.dataset["way"] = citel.way;
  try {
    const nonce = async () => {
      const n = await post("/api/login/nonce", "{}", json, signal);
      return { nonce: String(n["nonce"]), expiresIn: Number(n["expiresIn"]) };
    };
    const first = await nonce();
    const done = await citel.login({ ...first, freshNonce: nonce, signal, onEvent: progress });
    progress("checking");
    const answer = await post("/api/login/token", JSON.stringify({
      token: done.token, nonce: done.nonce, fingerprint: done.fingerprint ?? "", next: box.dataset["next"] || "/area",
    }), json, signal);
    progress("done");
    location.assign(String(answer["next"]));
  } finally {
    citel.close();
  }
});

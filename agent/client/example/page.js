// All that a portal's page does to log somebody in.
import { connect, CitelError } from "/citel.js";

const state = document.querySelector("#state");
const nonce = async () => (await fetch("/nonce", { method: "POST" })).json();

document.querySelector("#enter").addEventListener("click", async () => {
  try {
    const citel = await connect({ language: "it", onState: (s) => { state.textContent = s; } });
    const first = await nonce();
    const login = await citel.login({ ...first, freshNonce: nonce });
    const answer = await fetch("/login", { method: "POST", body: JSON.stringify({ token: login.token, nonce: login.nonce }) });
    state.textContent = await answer.text();
    citel.close();
  } catch (e) {
    state.textContent = e instanceof CitelError ? e.sentence("it") : String(e);
  }
});

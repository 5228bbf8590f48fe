// A page made for Web eID: the import below is all that changes.
import * as webeid from "/web-eid.js";

const lang = navigator.language.substring(0, 2);
const show = (id, text) => { document.getElementById(id).textContent = text; };
const problem = (e) => `${e.name} ${e.code ?? ""} ${e.message}`;
const get = async (address) => (await fetch(address)).json();
const post = async (address, body) => {
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${await answer.text()}`);
  return answer.json();
};
let login; // the token, for the last button

document.getElementById("webeid-auth-button").addEventListener("click", async (e) => {
  e.target.disabled = true;
  try {
    const { nonce } = await get("/auth/challenge");
    login = await webeid.authenticate(nonce, { lang });
    const { name } = await post("/auth/login", { authToken: login });
    show("result", `Benvenuto, ${name}`);
  } catch (error) {
    show("result", problem(error));
  } finally {
    e.target.disabled = false;
  }
});

document.getElementById("webeid-sign-button").addEventListener("click", async () => {
  try {
    const { certificate, supportedSignatureAlgorithms } = await webeid.getSigningCertificate({ lang });
    const { hash, hashFunction } = await post("/sign/prepare", { certificate, supportedSignatureAlgorithms });
    const { signature, signatureAlgorithm } = await webeid.sign(certificate, hash, hashFunction, { lang });
    const { state } = await post("/sign/finalize", { signature, signatureAlgorithm });
    show("signed", `${signatureAlgorithm.cryptoAlgorithm} ${signatureAlgorithm.hashFunction} ${signatureAlgorithm.paddingScheme} ${state}`);
  } catch (error) {
    show("signed", problem(error));
  }
});

// What a CNS or a CIE never does: sign a hash with the key that logs in.
document.getElementById("webeid-forge-button").addEventListener("click", async () => {
  try {
    const { hash, hashFunction } = await post("/sign/prepare", { certificate: login.unverifiedCertificate });
    await webeid.sign(login.unverifiedCertificate, hash, hashFunction, { lang });
    show("signed", "signed");
  } catch (error) {
    show("signed", problem(error));
  }
});

// The link's proof (agent/wire/PROTOCOL.md, Hello).
export interface Proof { key: string; signature: string }

export const toBase64 = (b: Uint8Array): string => btoa(Array.from(b, (x) => String.fromCharCode(x)).join(""));
const fromBase64 = (s: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));

export const challenge = (): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(32));

// verify gives the key's fingerprint, or undefined where the proof does not hold.
export async function verify(proof: Proof | undefined, origin: string, random: Uint8Array): Promise<string | undefined> {
  if (!proof) return undefined;
  try {
    const der = fromBase64(proof.key);
    const key = await crypto.subtle.importKey("spki", der, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    const head = new TextEncoder().encode(`citel-link-v1\0${origin}\0`);
    const data = new Uint8Array(head.length + random.length);
    data.set(head);
    data.set(random, head.length);
    if (!(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, fromBase64(proof.signature), data))) return undefined;
    return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", der)), (x) => x.toString(16).padStart(2, "0")).join("");
  } catch {
    return undefined;
  }
}

// What a browser gives a page, played: the sockets, the permission, and the part of a
// Web eID extension that sits in a page.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

export const golden = (name) => JSON.parse(readFileSync(new URL(`../../wire/golden/${name}`, import.meta.url), "utf8"));
export const index = golden("index.json");

export const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
const fixed = new Uint8Array(Buffer.from(index.challenge, "base64"));
define("crypto", { subtle: webcrypto.subtle, getRandomValues: (b) => (b.set(fixed), b) });
define("location", { origin: index.origin });

export const world = { permission: "prompt", behaviour: {}, sockets: [], extension: undefined, posted: [] };
define("navigator", { language: "en-GB", permissions: { query: async ({ name }) => {
  if (world.permission === "unknown") throw new TypeError(name);
  return { state: world.permission };
} } });

// A socket of each port: "closed", or a function that plays the agent.
class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  constructor(url) {
    world.sockets.push(this);
    const b = world.behaviour[Number(new URL(url).port)] ?? world.behaviour.all ?? "closed";
    if (typeof b === "function") {
      this.play = b;
      setTimeout(() => { if (this.readyState === 0) { this.readyState = 1; this.onopen?.({}); } }, 1);
    } else setTimeout(() => { this.readyState = 3; this.onerror?.({}); }, 1);
  }
  send(data) {
    const m = JSON.parse(data);
    this.sent.push(m);
    setTimeout(() => this.play?.(this, m), 1);
  }
  tell(m) { this.onmessage?.({ data: JSON.stringify(m) }); }
  close(code = 1000, reason = "") { if (this.readyState !== 3) { this.readyState = 3; setTimeout(() => this.onclose?.({ code, reason }), 1); } }
}
define("WebSocket", FakeSocket);

// The page's window: what is posted goes to the extension's part, and its answers come
// back as events of the same window.
const listeners = new Set();
export const say = (data, more = {}) => { for (const l of [...listeners]) l({ data, source: globalThis.window, origin: index.origin, ...more }); };
define("window", {
  isSecureContext: true,
  addEventListener: (_name, l) => listeners.add(l),
  removeEventListener: (_name, l) => listeners.delete(l),
  postMessage(m, target) {
    world.posted.push({ m, target });
    setTimeout(() => { say(m); world.extension?.(m, say); }, 1);
  },
});
export const listening = () => listeners.size;

export const versions = { library: "2.1.0", extension: "2.5.0", nativeApp: "2.9.0" };

// webeid is an extension with a program behind it that answers with answers[ACTION].
export const webeid = (answers) => (m, say) => {
  const reply = { "web-eid:status": versions, ...answers }[m.action];
  if (reply === undefined || /-(ack|success|failure)$/.test(m.action)) return;
  say({ action: `${m.action}-ack` });
  const answer = typeof reply === "function" ? reply(m) : reply;
  if (answer === undefined) return; // silent
  say(answer.code ? { action: `${m.action}-failure`, error: answer } : { action: `${m.action}-success`, ...answer });
};

export function play({ behaviour = {}, permission = "prompt", extension } = {}) {
  Object.assign(world, { behaviour, permission, extension, sockets: [], posted: [] });
}

export const greet = (reply = "hello-reply-remembered.json") => (s, m) => { if (m.type === "hello") s.tell({ ...golden(reply), id: m.id }); };

// agent greets, and answers requests with answers[TYPE]: a message, or an error's code.
export const agent = (answers) => (s, m) => {
  greet()(s, m);
  const a = answers[m.type];
  if (a === undefined) return;
  const reply = typeof a === "function" ? a(m, s) : a;
  if (typeof reply === "string") s.tell({ type: "error", id: m.id, code: reply });
  else if (reply) s.tell({ ...reply, id: m.id });
};

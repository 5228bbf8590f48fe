// The page's side against a socket that plays the agent's part, message by message
// with the golden files that the Go side reads too. Run by client_test.go:
// CITEL_BUNDLE is the built module.
import test from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";

const golden = (name) => JSON.parse(readFileSync(new URL(`../../wire/golden/${name}`, import.meta.url), "utf8"));
const index = golden("index.json");

const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
const fixed = new Uint8Array(Buffer.from(index.challenge, "base64"));
define("crypto", { subtle: webcrypto.subtle, getRandomValues: (b) => (b.set(fixed), b) });
define("location", { origin: index.origin });

// permission is what the browser would say: granted, prompt, denied, or an
// exception where it does not know the name.
let permission = "prompt";
define("navigator", { permissions: { query: async ({ name }) => {
  if (permission === "unknown" || (permission === "old" && name === "loopback-network")) throw new TypeError(name);
  return { state: permission === "old" ? "denied" : permission };
} } });

// behaviour of each port: "closed", "held", "held-then-closed" or a function that
// plays the agent.
let behaviour = {};
let sockets = [];
class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  constructor(url, protocol) {
    this.url = url;
    this.protocol = protocol;
    sockets.push(this);
    const b = behaviour[Number(new URL(url).port)] ?? "closed";
    if (typeof b === "function") {
      this.play = b;
      setTimeout(() => { if (this.readyState === 0) { this.readyState = 1; this.onopen?.({}); } }, 1);
    } else if (b === "closed") setTimeout(() => this.fail(), 1);
    else if (b === "held-then-closed") setTimeout(() => this.fail(), 1700);
  }
  fail() { this.readyState = 3; this.onerror?.({}); }
  send(data) {
    const m = typeof data === "string" ? JSON.parse(data) : data;
    this.sent.push(m);
    setTimeout(() => this.play?.(this, m), 1);
  }
  tell(m) { this.onmessage?.({ data: m instanceof Uint8Array ? m.buffer : JSON.stringify(m) }); }
  close(code = 1000, reason = "") { if (this.readyState !== 3) { this.readyState = 3; setTimeout(() => this.onclose?.({ code, reason }), 1); } }
}
define("WebSocket", FakeSocket);

const { connect, CitelError } = await import(process.env.CITEL_BUNDLE);

function play(b, p = "prompt") {
  behaviour = b;
  permission = p;
  sockets = [];
  const states = [];
  return { states, onState: (s) => states.push(s), ports: [1, 2] };
}
const greet = (reply = "hello-reply-remembered.json") => (s, m) => { if (m.type === "hello") s.tell({ ...golden(reply), id: m.id }); };
const code = (want) => (e) => e instanceof CitelError && e.code === want && e.sentence("it").length > 10 && e.sentence("en").length > 10;
const fields = (m) => Object.keys(m).sort();

test("five different things to a person", async (t) => {
  for (const [name, b, p, states, err] of [
    ["missing", {}, "prompt", ["connecting", "missing"], "agent-missing"],
    ["missing, allowed", {}, "granted", ["connecting", "missing"], "agent-missing"],
    ["missing, a browser that knows no such permission", {}, "unknown", ["connecting", "missing"], "agent-missing"],
    ["denied", {}, "denied", ["connecting", "denied"], "permission-denied"],
    ["denied, by the older name", {}, "old", ["connecting", "denied"], "permission-denied"],
    ["dismissed", { 1: "held-then-closed", 2: "held-then-closed" }, "prompt", ["connecting", "question-open", "dismissed"], "permission-dismissed"],
  ]) {
    await t.test(name, async () => {
      const o = play(b, p);
      await assert.rejects(connect(o), code(err));
      assert.deepEqual(o.states, states);
      assert.deepEqual(sockets.map((s) => s.url), ["ws://127.0.0.1:1/", "ws://127.0.0.1:2/"]);
    });
  }
});

test("a question that stays open is said, and can be given up", async () => {
  const o = play({ 1: "held", 2: "held" });
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 1800);
  await assert.rejects(connect({ ...o, signal: stop.signal }), code("cancelled"));
  assert.deepEqual(o.states, ["connecting", "question-open"]);
});

test("the greeting is the golden one, and the proof is checked", async () => {
  const o = play({ 2: greet() });
  const citel = await connect(o);
  assert.deepEqual(o.states, ["connecting", "there"]);
  assert.deepEqual(sockets[1].sent[0], golden("hello.json"));
  assert.equal(citel.fingerprint, index.fingerprint);
  assert.equal(citel.card, "present");
  citel.close();
});

test("a proof for another site is none", async () => {
  define("location", { origin: "https://evil.example" });
  const citel = await connect(play({ 1: greet() }));
  define("location", { origin: index.origin });
  assert.equal(citel.fingerprint, undefined);
});

test("an agent that never greets is given up", { timeout: 20_000 }, async () => {
  await assert.rejects(connect(play({ 1: () => undefined })), code("link-lost"));
});

test("login: the golden messages, events, and a fresh nonce", async () => {
  const events = [];
  const citel = await connect(play({ 1: (s, m) => {
    greet()(s, m);
    if (m.type === "login") s.tell({ ...golden("event-nonce-needed.json"), id: m.id });
    if (m.type === "nonce") s.tell({ ...golden("login-reply.json"), id: m.id });
  } }));
  const fresh = golden("nonce.json").nonce;
  const done = await citel.login({ nonce: golden("login.json").nonce, expiresIn: 300, onEvent: (e) => events.push(e), freshNonce: async () => ({ nonce: fresh, expiresIn: 300 }) });
  const [, login, nonce] = sockets[0].sent;
  assert.deepEqual(fields(login), fields(golden("login.json")));
  assert.deepEqual(fields(nonce), fields(golden("nonce.json")));
  assert.equal(nonce.nonce, fresh);
  assert.deepEqual(events, ["nonce-needed"]);
  assert.deepEqual(done.token, golden("login-reply.json").token);
  assert.equal(done.fingerprint, index.fingerprint);
});

test("a wrong PIN comes with the tries left", async () => {
  const citel = await connect(play({ 1: (s, m) => { greet()(s, m); if (m.type === "login") s.tell({ ...golden("error-pin-wrong.json"), id: m.id }); } }));
  await assert.rejects(citel.login({ nonce: "x", expiresIn: 1 }), (e) => code("pin-wrong")(e) && e.triesLeft === 2 && e.name === "CardError");
});

test("a code of tomorrow is an error of the agent's", async () => {
  const citel = await connect(play({ 1: (s, m) => { greet()(s, m); if (m.type === "login") s.tell({ type: "error", id: m.id, code: "of-tomorrow" }); } }));
  await assert.rejects(citel.login({ nonce: "x", expiresIn: 1 }), code("internal"));
});

const content = new Uint8Array(600_000).fill(7);
const signer = (ready) => (s, m) => {
  greet()(s, m);
  if (m.type === "sign") s.tell({ ...ready, id: m.id });
  if (m.type === "document") s.got = 0;
  if (m instanceof Uint8Array) {
    s.got += m.length;
    if (s.got !== content.length) return;
    s.tell({ ...golden("signed.json"), id: s.sent[1].id, size: 5 });
    s.tell(new Uint8Array([1, 2]));
    s.tell(new Uint8Array([3, 4, 5]));
    s.tell({ ...golden("done.json"), id: s.sent[1].id });
  }
};
const documents = [{ name: "istanza.pdf", mediaType: "application/pdf", bytes: content }];

test("sign: documents in pieces, the signed file back", async () => {
  const citel = await connect(play({ 1: signer(golden("ready.json")) }));
  const done = await citel.sign({ documents, fingerprint: index.fingerprint, codiceFiscale: "PRVMRA80A01H501Z" });
  assert.deepEqual(fields(sockets[0].sent[1]), fields(golden("sign.json")));
  assert.deepEqual(fields(sockets[0].sent[2]), fields(golden("document.json")));
  assert.ok(sockets[0].sent.slice(3).every((b) => b.length <= 256 << 10));
  assert.deepEqual([...done.results[0].bytes], [1, 2, 3, 4, 5]);
  assert.deepEqual(done.certificate, golden("done.json").certificate);
});

test("a squatted port gets no byte of a document", async (t) => {
  const { proof, ...without } = golden("ready.json");
  for (const [name, ready, fingerprint] of [
    ["no proof", without, index.fingerprint],
    ["no proof, nothing known", without, undefined],
    ["another key", golden("ready.json"), "00".repeat(32)],
    ["a proof that does not hold", { ...without, proof: { ...proof, signature: proof.key } }, index.fingerprint],
  ]) {
    await t.test(name, async () => {
      const citel = await connect(play({ 1: signer(ready) }));
      await assert.rejects(citel.sign({ documents, fingerprint }), code("proof-mismatch"));
      assert.ok(sockets[0].sent.every((m) => !(m instanceof Uint8Array) && m.type !== "document"));
      assert.deepEqual(fields(sockets[0].sent[2]), fields(golden("cancel.json")));
    });
  }
});

test("more bytes than were announced end the link", async () => {
  const citel = await connect(play({ 1: (s, m) => {
    greet()(s, m);
    if (m.type === "sign") s.tell({ ...golden("ready.json"), id: m.id });
    if (m instanceof Uint8Array && !s.done) {
      s.done = true;
      s.tell({ ...golden("signed.json"), id: s.sent[1].id, size: 1 });
      s.tell(new Uint8Array(2));
    }
  } }));
  await assert.rejects(citel.sign({ documents, fingerprint: index.fingerprint }), code("link-lost"));
});

test("giving up tells the agent", async () => {
  const stop = new AbortController();
  const citel = await connect(play({ 1: (s, m) => { greet()(s, m); if (m.type === "login") stop.abort(); } }));
  await assert.rejects(citel.login({ nonce: "x", expiresIn: 1, signal: stop.signal }), code("cancelled"));
  assert.deepEqual(sockets[0].sent[2], { type: "cancel", id: 2 });
});

test("a lost link ends what was under way; a gate's reason is told", async (t) => {
  for (const [c, reason, want] of [[1006, "", "link-lost"], [4403, "origin-blocked", "origin-blocked"], [4403, "user-refused", "user-refused"]]) {
    await t.test(want, async () => {
      const citel = await connect(play({ 1: (s, m) => { greet()(s, m); if (m.type === "login") s.close(c, reason); } }));
      await assert.rejects(citel.login({ nonce: "x", expiresIn: 1 }), code(want));
    });
  }
});

test("the card's coming and going", async () => {
  const seen = [];
  const citel = await connect(play({ 1: greet() }));
  citel.onCard = (c) => seen.push(c);
  sockets[0].tell(golden("event-card-absent.json"));
  sockets[0].tell(golden("event-card-present.json"));
  assert.deepEqual(seen, ["absent", "present"]);
});

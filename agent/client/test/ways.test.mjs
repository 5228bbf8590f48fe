// The client picks the way in by itself. Run by client_test.go: CITEL_BUNDLE is the built
// module.
import test from "node:test";
import assert from "node:assert/strict";
import { agent, golden, greet, index, listening, play, say, versions, webeid, world } from "./world.mjs";

const { connect, CitelError } = await import(process.env.CITEL_BUNDLE);

const code = (want) => (e) => e instanceof CitelError && e.code === want && e.sentence("it").length > 10 && e.sentence("en").length > 10;
const token = golden("login-reply.json").token;
const nonce = golden("login.json").nonce;
const go = (more = {}) => {
  const states = [];
  return { states, ports: [1, 2], onState: (s) => states.push(s), ...more };
};

test("the WebSocket first, whatever the extension", async () => {
  play({ behaviour: { 2: greet() }, permission: "denied", extension: webeid({}) });
  const o = go();
  const c = await connect(o);
  assert.equal(c.way, "websocket");
  assert.deepEqual(o.states, ["connecting", "there"]);
  assert.deepEqual(world.posted, []);
});

for (const permission of ["denied", "prompt", "granted", "unknown"]) {
  test(`no socket opens (${permission}): the extension, where it is there`, async () => {
    play({ permission, extension: webeid({ "web-eid:authenticate": token }) });
    const o = go({ language: "en" });
    const c = await connect(o);
    assert.equal(c.way, "extension");
    assert.equal(c.agent, versions.nativeApp);
    assert.deepEqual(o.states, ["connecting", "there"]);
    const done = await c.login({ nonce, expiresIn: 300 });
    assert.deepEqual(done, { token: { ...token }, nonce });
    const { m, target } = world.posted.at(-1);
    assert.deepEqual(m, { action: "web-eid:authenticate", libraryVersion: "2.1.0", challengeNonce: nonce, options: { userInteractionTimeout: 120000, lang: "en" } });
    assert.equal(target, index.origin);
    assert.equal(listening(), 0);
  });
}

test("no extension: the state and the error say what is the matter", async (t) => {
  for (const [permission, state, err] of [["denied", "denied", "permission-denied"], ["prompt", "missing", "agent-missing"]]) {
    await t.test(state, async () => {
      play({ permission });
      const o = go();
      await assert.rejects(connect(o), code(err));
      assert.deepEqual(o.states, ["connecting", state]);
      assert.equal(listening(), 0);
    });
  }
});

test("an extension without a program behind it is none", async () => {
  play({ extension: webeid({ "web-eid:status": { code: "ERR_WEBEID_NATIVE_UNAVAILABLE", message: "x" } }) });
  await assert.rejects(connect(go()), code("agent-missing"));
});

test("the extension can be left aside; then no page learns of it", async () => {
  play({ extension: webeid({}) });
  await assert.rejects(connect(go({ extension: false })), code("agent-missing"));
  assert.deepEqual(world.posted, []);
});

test("a closed question and a person's no are no reason for another way", async () => {
  play({ behaviour: { 1: (s, m) => { greet()(s, m); if (m.type === "login") s.close(4403, "origin-blocked"); } }, extension: webeid({}) });
  const c = await connect(go());
  await assert.rejects(c.login({ nonce, expiresIn: 300 }), code("origin-blocked"));
  assert.deepEqual(world.posted, []);
});

test("what goes wrong behind the extension is told in our words", async (t) => {
  for (const [error, want, tries] of [
    [{ code: "ERR_WEBEID_NATIVE_FATAL", message: "x", citel: "pin-wrong", triesLeft: 2 }, "pin-wrong", 2],
    [{ code: "ERR_WEBEID_USER_CANCELLED", message: "x", citel: "origin-silent" }, "origin-silent"],
    [{ code: "ERR_WEBEID_USER_CANCELLED", message: "x" }, "refused"],
    [{ code: "ERR_WEBEID_USER_TIMEOUT", message: "x" }, "timed-out"],
    [{ code: "ERR_WEBEID_NATIVE_INVALID_ARGUMENT", message: "x" }, "malformed"],
    [{ code: "ERR_WEBEID_NATIVE_FATAL", message: "x" }, "internal"],
    [{ code: "of tomorrow", citel: "of-tomorrow" }, "internal"],
  ]) {
    await t.test(want, async () => {
      play({ extension: webeid({ "web-eid:authenticate": error }) });
      const c = await connect(go());
      await assert.rejects(c.login({ nonce, expiresIn: 300 }), (e) => code(want)(e) && e.triesLeft === tries);
    });
  }
});

test("messages of others are not the extension's", async () => {
  play({ extension: (m, say) => {
    if (m.action !== "web-eid:status") return;
    say({ action: "web-eid:status-success", ...versions }, { source: {} });
    say({ action: "web-eid:status-success", ...versions }, { origin: "https://evil.example" });
    say(null);
    say("web-eid:status-success");
  } });
  await assert.rejects(connect(go()), code("agent-missing"));
});

test("no documents through the extension", async () => {
  play({ extension: webeid({}) });
  const c = await connect(go());
  await assert.rejects(c.sign({ documents: [] }), code("extension-no-documents"));
});

test("giving up", async () => {
  play({ extension: webeid({ "web-eid:authenticate": () => undefined }) });
  const stop = new AbortController();
  const c = await connect(go({ signal: stop.signal }));
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(c.login({ nonce, expiresIn: 300, signal: stop.signal }), code("cancelled"));
  assert.equal(listening(), 0);
});

test("more time without a fresh nonce is what the first has left", async () => {
  play({ behaviour: { 1: agent({ login: golden("event-nonce-needed.json"), nonce: golden("login-reply.json") }) } });
  const c = await connect(go());
  await c.login({ nonce, expiresIn: 300 });
  const [, login, again] = world.sockets[0].sent;
  assert.deepEqual([again.type, again.nonce, again.expires], ["nonce", login.nonce, login.expires]);
});

test("a certificate and a hash, over the link", async () => {
  play({ behaviour: { 1: agent({ certificate: golden("certificate-reply.json"), "sign-hash": golden("sign-hash-reply.json") }) } });
  const c = await connect(go());
  const { certificate, supportedSignatureAlgorithms } = await c.certificate();
  assert.deepEqual({ certificate, supportedSignatureAlgorithms }, (({ certificate, supportedSignatureAlgorithms }) => ({ certificate, supportedSignatureAlgorithms }))(golden("certificate-reply.json")));
  const { hash, hashFunction } = golden("sign-hash.json");
  const done = await c.signHash({ certificate, hash, hashFunction });
  assert.equal(done.signature, golden("sign-hash-reply.json").signature);
  const [, first, second] = world.sockets[0].sent;
  assert.deepEqual({ ...first, id: 4 }, golden("certificate.json"));
  assert.deepEqual({ ...second, id: 5 }, golden("sign-hash.json"));
  void say;
});

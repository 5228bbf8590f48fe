// The drop-in for Web eID's library: its published names, shapes, codes and classes. Run
// by client_test.go: CITEL_WEBEID is the built module.
import test from "node:test";
import assert from "node:assert/strict";
import { agent, golden, greet, play, versions, webeid, world } from "./world.mjs";

const lib = await import(process.env.CITEL_WEBEID);
const { status, authenticate, getSigningCertificate, sign, ErrorCode, Action, config } = lib;
const token = golden("login-reply.json").token;
const nonce = golden("login.json").nonce;
const { certificate, hash, hashFunction } = golden("sign-hash.json");
const over = (answers) => play({ behaviour: { all: agent(answers) } });

test("the published names", () => {
  for (const name of ["status", "authenticate", "getSigningCertificate", "sign", "Action", "ErrorCode", "config", "ActionPendingError", "ActionTimeoutError",
    "ContextInsecureError", "DeveloperError", "ExtensionUnavailableError", "MissingParameterError", "NativeFatalError", "NativeInvalidArgumentError",
    "NativeUnavailableError", "UnknownError", "UserCancelledError", "UserTimeoutError", "VersionInvalidError", "VersionMismatchError"]) assert.ok(lib[name], name);
  assert.deepEqual({ ...config }, { VERSION: "2.1.0", EXTENSION_HANDSHAKE_TIMEOUT: 1000, NATIVE_APP_HANDSHAKE_TIMEOUT: 5000, DEFAULT_USER_INTERACTION_TIMEOUT: 120000, MAX_EXTENSION_LOAD_DELAY: 1000 });
  assert.ok(Object.isFrozen(config));
  assert.equal(Object.keys(ErrorCode).length, 13);
  for (const [k, v] of Object.entries(ErrorCode)) assert.equal(k, v);
  assert.equal(Object.keys(Action).length, 17);
  assert.equal(Action.GET_SIGNING_CERTIFICATE_ACK, "web-eid:get-signing-certificate-ack");
});

test("each class has its name and code", () => {
  for (const [name, code, family] of [
    ["ActionPendingError", "ACTION_PENDING", "DeveloperError"], ["ActionTimeoutError", "ACTION_TIMEOUT"], ["ContextInsecureError", "CONTEXT_INSECURE"],
    ["ExtensionUnavailableError", "EXTENSION_UNAVAILABLE"], ["MissingParameterError", "MISSING_PARAMETER", "DeveloperError"], ["NativeFatalError", "NATIVE_FATAL"],
    ["NativeInvalidArgumentError", "NATIVE_INVALID_ARGUMENT", "DeveloperError"], ["NativeUnavailableError", "NATIVE_UNAVAILABLE"], ["UnknownError", "UNKNOWN_ERROR"],
    ["UserCancelledError", "USER_CANCELLED"], ["UserTimeoutError", "USER_TIMEOUT"], ["VersionInvalidError", "VERSION_INVALID"], ["VersionMismatchError", "VERSION_MISMATCH"],
  ]) {
    const e = new lib[name]();
    assert.ok(e instanceof Error && e instanceof lib[name]);
    assert.equal(e.name, name);
    assert.equal(e.code, `ERR_WEBEID_${code}`);
    assert.equal(e instanceof lib.DeveloperError, family === "DeveloperError", name);
    assert.equal(new lib[name]("words").message, "words");
  }
  const e = new lib.VersionMismatchError(undefined, { library: "1.0.0", extension: "2.0.0", nativeApp: "3.0.0" }, { extension: true, nativeApp: false });
  assert.deepEqual([e.library, e.extension, e.nativeApp, e.requiresUpdate], ["1.0.0", "2.0.0", "3.0.0", { extension: true, nativeApp: false }]);
  assert.deepEqual(new lib.VersionMismatchError().requiresUpdate, { extension: false, nativeApp: false });
});

test("status: versions of the interface, and which way", async () => {
  over({});
  const s = await status();
  for (const v of [s.library, s.extension, s.nativeApp]) assert.match(v, /^\d+\.\d+\.\d+$/);
  assert.deepEqual(s.citel, { way: "websocket", agent: "1.0.0" });
  play({ permission: "denied", extension: webeid({}) });
  assert.deepEqual(await status(), { ...versions, citel: { way: "extension", agent: versions.nativeApp } });
});

test("authenticate: the token, and nothing else", async () => {
  over({ login: golden("login-reply.json") });
  assert.deepEqual(await authenticate(nonce, { lang: "it" }), token);
  const m = world.sockets.find((s) => s.sent.length).sent[1];
  assert.deepEqual([m.type, m.nonce, m.language], ["login", nonce, "it"]);
  assert.ok(world.sockets.every((s) => s.readyState === 3), "nothing stays open");
});

test("through the extension, with the site's own wishes", async () => {
  play({ permission: "denied", extension: webeid({ "web-eid:authenticate": { ...token, extra: 1 } }) });
  assert.deepEqual(await authenticate(nonce, { lang: "it", userInteractionTimeout: 30000 }), token);
  assert.deepEqual(world.posted.at(-1).m.options, { userInteractionTimeout: 30000, lang: "it" });
});

test("getSigningCertificate and sign: the published shapes", async () => {
  over({ certificate: golden("certificate-reply.json"), "sign-hash": golden("sign-hash-reply.json") });
  const c = await getSigningCertificate();
  assert.deepEqual(Object.keys(c).sort(), ["certificate", "supportedSignatureAlgorithms"]);
  assert.deepEqual(c.supportedSignatureAlgorithms[0], { cryptoAlgorithm: "ECC", hashFunction: "SHA-256", paddingScheme: "NONE" });
  const s = await sign(c.certificate, hash, hashFunction);
  assert.deepEqual(Object.keys(s).sort(), ["signature", "signatureAlgorithm"]);
  assert.deepEqual(s.signatureAlgorithm, { cryptoAlgorithm: "ECC", hashFunction: "SHA-256", paddingScheme: "NONE" });
});

test("a key that can log in signs no hash: an error of its own", async () => {
  for (const call of [() => getSigningCertificate(), () => sign(certificate, hash, hashFunction)]) {
    over({ certificate: "hash-refused", "sign-hash": "hash-refused" });
    await assert.rejects(call(), (e) => e instanceof lib.HashRefusedError && e instanceof lib.DeveloperError && e.name === "HashRefusedError" &&
      e.code === "ERR_CITEL_HASH_REFUSED" && e.cause.code === "hash-refused" && /log in/.test(e.message));
  }
});

test("the agent's codes in Web eID's words", async (t) => {
  for (const [ours, name] of Object.entries({
    "refused": "UserCancelledError", "origin-silent": "UserCancelledError", "timed-out": "UserTimeoutError", "nonce-invalid": "NativeInvalidArgumentError",
    "malformed": "NativeInvalidArgumentError", "busy": "ActionPendingError", "unknown-type": "VersionMismatchError", "no-card": "NativeFatalError",
    "pin-locked": "NativeFatalError", "internal": "NativeFatalError", "of-tomorrow": "NativeFatalError",
  })) {
    await t.test(ours, async () => {
      over({ login: ours });
      await assert.rejects(authenticate(nonce), (e) => e.name === name && e instanceof lib[name] && e.cause.name !== undefined && e.message.length > 10);
    });
  }
});

test("nobody there, and a browser that does not let the page", async () => {
  play({});
  await assert.rejects(authenticate(nonce), (e) => e instanceof lib.NativeUnavailableError);
  play({ permission: "denied" });
  await assert.rejects(status(), (e) => e instanceof lib.ExtensionUnavailableError && e.library === config.VERSION);
});

test("the site's mistakes", async () => {
  over({});
  await assert.rejects(authenticate(""), (e) => e instanceof lib.MissingParameterError);
  for (const args of [["", hash, hashFunction], [certificate, "", hashFunction], [certificate, hash, ""]]) await assert.rejects(sign(...args), (e) => e instanceof lib.MissingParameterError);
  const first = authenticate(nonce, { userInteractionTimeout: 1 });
  await assert.rejects(authenticate(nonce), (e) => e instanceof lib.ActionPendingError);
  window.isSecureContext = false;
  await assert.rejects(sign(certificate, hash, hashFunction), (e) => e instanceof lib.ContextInsecureError);
  window.isSecureContext = true;
  void first.catch(() => undefined);
  await assert.rejects(first, (e) => e instanceof lib.UserTimeoutError);
  assert.deepEqual(world.sockets.find((s) => s.sent.length).sent.at(-1), { type: "cancel", id: 2 });
});

test("a status that nobody answers", { timeout: 20_000 }, async () => {
  play({ behaviour: { all: (s, m) => { void greet; void s; void m; } } });
  await assert.rejects(status(), (e) => e.code === "ERR_WEBEID_NATIVE_FATAL" || e.code === "ERR_WEBEID_ACTION_TIMEOUT");
});

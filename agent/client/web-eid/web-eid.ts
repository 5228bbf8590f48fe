// The published interface of Web eID's library, version 2, on top of CiTel: a site made
// for Web eID changes one import. The agent is reached over its WebSocket, or through the
// Web eID extension where the browser does not allow that.
import { connect } from "../src/client";
import type { Connection } from "../src/connection";
import { Extension, library, times } from "../src/extension";
import { ActionPendingError, ActionTimeoutError, ContextInsecureError, MissingParameterError, UserTimeoutError, webeidError, type Versions } from "./errors";

export * from "./errors";

export enum Action {
  WARNING = "web-eid:warning",

  STATUS = "web-eid:status",
  STATUS_ACK = "web-eid:status-ack",
  STATUS_SUCCESS = "web-eid:status-success",
  STATUS_FAILURE = "web-eid:status-failure",

  AUTHENTICATE = "web-eid:authenticate",
  AUTHENTICATE_ACK = "web-eid:authenticate-ack",
  AUTHENTICATE_SUCCESS = "web-eid:authenticate-success",
  AUTHENTICATE_FAILURE = "web-eid:authenticate-failure",

  GET_SIGNING_CERTIFICATE = "web-eid:get-signing-certificate",
  GET_SIGNING_CERTIFICATE_ACK = "web-eid:get-signing-certificate-ack",
  GET_SIGNING_CERTIFICATE_SUCCESS = "web-eid:get-signing-certificate-success",
  GET_SIGNING_CERTIFICATE_FAILURE = "web-eid:get-signing-certificate-failure",

  SIGN = "web-eid:sign",
  SIGN_ACK = "web-eid:sign-ack",
  SIGN_SUCCESS = "web-eid:sign-success",
  SIGN_FAILURE = "web-eid:sign-failure",
}

export const config = Object.freeze({
  VERSION: library,
  EXTENSION_HANDSHAKE_TIMEOUT: times.extension,
  NATIVE_APP_HANDSHAKE_TIMEOUT: times.native,
  DEFAULT_USER_INTERACTION_TIMEOUT: times.person,
  MAX_EXTENSION_LOAD_DELAY: 1000,
});

// Versions of Web eID's extension and application for which CiTel stands in.
const stoodIn = { extension: "2.5.0", nativeApp: "2.9.0" };

export interface ActionOptions {
  // userInteractionTimeout is the person's time in milliseconds; two minutes where it is
  // not given.
  userInteractionTimeout?: number;
  // lang is a two-letter code (ISO 639-1). CiTel speaks Italian and English.
  lang?: string;
}

export type SignatureHashFunction = "SHA-224" | "SHA-256" | "SHA-384" | "SHA-512" | "SHA3-224" | "SHA3-256" | "SHA3-384" | "SHA3-512";
export type SignatureCryptoAlgorithm = "ECC" | "RSA";
export type SignaturePaddingScheme = "NONE" | "PKCS1.5" | "PSS";
export interface SignatureAlgorithm {
  hashFunction: SignatureHashFunction;
  paddingScheme: SignaturePaddingScheme;
  cryptoAlgorithm: SignatureCryptoAlgorithm;
}

export interface LibraryStatusResponse {
  library: string;
  extension: string;
  nativeApp: string;
  // citel is not in Web eID's answer: which way was taken, and what answers there.
  citel?: { way: "websocket" | "extension"; agent: string };
}
export interface LibraryAuthenticateResponse {
  unverifiedCertificate: string;
  algorithm: "ES256" | "ES384" | "ES512" | "PS256" | "PS384" | "PS512" | "RS256" | "RS384" | "RS512";
  signature: string;
  format: string;
  appVersion: string;
}
export interface LibraryGetSigningCertificateResponse { certificate: string; supportedSignatureAlgorithms: SignatureAlgorithm[] }
export interface LibrarySignResponse { signatureAlgorithm: SignatureAlgorithm; signature: string }
export type LibraryResponse = LibraryStatusResponse | LibraryAuthenticateResponse | LibraryGetSigningCertificateResponse | LibrarySignResponse;

// nonceLife is what a server that follows Web eID gives its challenge, in seconds.
const nonceLife = 300;

const language = (lang = typeof navigator === "object" ? navigator.language : ""): "it" | "en" => (/^it\b/i.test(lang) ? "it" : "en");

const handshake = config.EXTENSION_HANDSHAKE_TIMEOUT + config.NATIVE_APP_HANDSHAKE_TIMEOUT;

const pending = new Set<Action>();

// act connects, works and closes, one action of a kind at a time.
async function act<T>(action: Action, lang: string | undefined, patience: number, late: () => Error, work: (c: Connection, signal: AbortSignal) => Promise<T>): Promise<T> {
  if (pending.has(action)) throw new ActionPendingError();
  if (!window.isSecureContext) throw new ContextInsecureError();
  pending.add(action);
  const stop = new AbortController();
  let over: Error | undefined;
  const end = (): void => { over = late(); stop.abort(); };
  // The browser's own question is the person's time too.
  let timer = setTimeout(end, handshake + patience);
  let c: Connection | undefined;
  try {
    c = await connect({ language: language(lang), signal: stop.signal });
    clearTimeout(timer);
    timer = setTimeout(end, (patience || handshake) + (c.way === "extension" ? handshake : 0));
    return await work(c, stop.signal);
  } catch (e) {
    throw over ?? webeidError(e);
  } finally {
    clearTimeout(timer);
    c?.close();
    pending.delete(action);
  }
}

const person = (o: ActionOptions | undefined): number => o?.userInteractionTimeout ?? config.DEFAULT_USER_INTERACTION_TIMEOUT;
const userLate = (): Error => new UserTimeoutError();

// status tells the versions of Web eID's interface that are there.
export async function status(): Promise<LibraryStatusResponse> {
  try {
    return await act(Action.STATUS, undefined, 0, () => new ActionTimeoutError(), async (c) => ({
      ...(c instanceof Extension ? { extension: c.versions.extension, nativeApp: c.versions.nativeApp } : stoodIn),
      library: config.VERSION,
      citel: { way: c.way, agent: c.agent },
    }));
  } catch (e) {
    throw Object.assign(e as Error, { library: config.VERSION } satisfies Versions);
  }
}

// authenticate gives a token over the server's nonce, for the server to validate.
export async function authenticate(challengeNonce: string, options?: ActionOptions): Promise<LibraryAuthenticateResponse> {
  if (!challengeNonce) throw new MissingParameterError("authenticate needs a challengeNonce");
  return act(Action.AUTHENTICATE, options?.lang, person(options), userLate, async (c, signal) => {
    const { token } = await c.login({ nonce: challengeNonce, expiresIn: nonceLife, patience: person(options), signal });
    const { unverifiedCertificate, algorithm, signature, format, appVersion } = token as LibraryAuthenticateResponse;
    return { unverifiedCertificate, algorithm, signature, format, appVersion };
  });
}

// getSigningCertificate lets the person choose a certificate whose key signs hashes.
export async function getSigningCertificate(options?: ActionOptions): Promise<LibraryGetSigningCertificateResponse> {
  return act(Action.GET_SIGNING_CERTIFICATE, options?.lang, 2 * person(options), userLate,
    async (c, signal) => (await c.certificate({ patience: person(options), signal })) as LibraryGetSigningCertificateResponse);
}

// sign has a hash signed with the key of a certificate that getSigningCertificate gave.
// Keys that can log in (CNS, CIE) sign no hash: HashRefusedError.
export async function sign(certificate: string, hash: string, hashFunction: string, options?: ActionOptions): Promise<LibrarySignResponse> {
  if (!certificate) throw new MissingParameterError("sign needs a certificate");
  if (!hash) throw new MissingParameterError("sign needs a hash");
  if (!hashFunction) throw new MissingParameterError("sign needs a hashFunction");
  return act(Action.SIGN, options?.lang, 2 * person(options), userLate,
    async (c, signal) => (await c.signHash({ certificate, hash, hashFunction, patience: person(options), signal })) as LibrarySignResponse);
}

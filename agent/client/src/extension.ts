import type { Connection, HashOptions, HashSignature, LoginOptions, LoginResult, SigningCertificate, Waiting } from "./connection";
import { CitelError, errorOf } from "./errors";

// Times of Web eID's library, in milliseconds: what the extension has to say that it is
// there, what its program has to say the same, and what a person has.
// load is what a page gives the extension to put its part in.
export const times = { extension: 1000, native: 5000, person: 120_000, load: 1000 };

const loaded = Date.now();

// library is the version of Web eID's interface that is spoken here; the extension
// compares its major number with its own.
export const library = "2.1.0";

export interface Versions { library: string; extension: string; nativeApp: string }

// failures are Web eID's codes in our words, for programs that do not add ours.
const failures: Record<string, string> = {
  ERR_WEBEID_USER_CANCELLED: "refused", ERR_WEBEID_USER_TIMEOUT: "timed-out", ERR_WEBEID_ACTION_TIMEOUT: "timed-out",
  ERR_WEBEID_NATIVE_INVALID_ARGUMENT: "malformed", ERR_WEBEID_CONTEXT_INSECURE: "origin-refused", ERR_WEBEID_NATIVE_UNAVAILABLE: "agent-missing",
  ERR_WEBEID_VERSION_MISMATCH: "version-unsupported", ERR_WEBEID_VERSION_INVALID: "version-unsupported", ERR_WEBEID_ACTION_PENDING: "busy",
};

interface Failure { code?: unknown; citel?: unknown; triesLeft?: unknown }

function failed(e: Failure | undefined): CitelError {
  const ours = typeof e?.citel === "string" ? e.citel : failures[String(e?.code)];
  return errorOf(ours ?? "internal", typeof e?.triesLeft === "number" ? e.triesLeft : undefined);
}

// NoExtension: nothing said that it heard.
class NoExtension extends Error {}

// ask sends one request to the extension's part in this page and waits for its answer:
// web-eid:ACTION, then -ack, then -success or -failure.
function ask<T>(action: string, fields: object, patience: number, signal?: AbortSignal): Promise<T> {
  const name = `web-eid:${action}`;
  return new Promise<T>((resolve, reject) => {
    const end = (): void => {
      clearTimeout(ack);
      clearTimeout(reply);
      window.removeEventListener("message", hear);
      signal?.removeEventListener("abort", abort);
    };
    const fail = (e: Error): void => { end(); reject(e); };
    const abort = (): void => fail(errorOf("cancelled"));
    const hear = (e: MessageEvent): void => {
      const m = e.data as { action?: unknown; error?: Failure } | null;
      if (e.source !== window || e.origin !== location.origin) return;
      switch (m?.action) {
        case `${name}-ack`: return clearTimeout(ack);
        case `${name}-success`: end(); return resolve(m as T);
        case `${name}-failure`: return fail(failed(m.error));
      }
    };
    const ack = setTimeout(() => fail(new NoExtension(name)), times.extension);
    const reply = setTimeout(() => fail(errorOf("timed-out")), times.extension + times.native + patience);
    window.addEventListener("message", hear);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) return abort();
    window.postMessage({ action: name, libraryVersion: library, ...fields }, location.origin);
  });
}

// extension finds the Web eID extension and the program behind it; undefined where there
// is none, or none that answers.
export async function extension(language: "it" | "en", signal?: AbortSignal): Promise<Extension | undefined> {
  if (typeof window === "undefined" || typeof window.postMessage !== "function") return undefined;
  await new Promise((done) => setTimeout(done, loaded + times.load - Date.now()));
  try {
    return new Extension(await ask<Versions>("status", {}, 0, signal), language);
  } catch (e) {
    if (e instanceof CitelError && e.code === "cancelled") throw e;
    return undefined;
  }
}

// Extension is the way in through the browser's Web eID extension: one request, one
// answer, no documents.
export class Extension implements Connection {
  readonly way = "extension";
  readonly agent: string;

  constructor(readonly versions: Versions, private readonly language: "it" | "en") {
    this.agent = versions.nativeApp;
  }

  close(): void {
    // nothing is open between two requests
  }

  #ask<T>(action: string, fields: object, o: Waiting, windows: number): Promise<T> {
    const patience = o.patience ?? times.person;
    return ask<T>(action, { ...fields, options: { userInteractionTimeout: patience, lang: this.language } }, windows * patience, o.signal);
  }

  async login(o: LoginOptions): Promise<LoginResult> {
    const m = await this.#ask<Record<string, unknown>>("authenticate", { challengeNonce: o.nonce }, o, 1);
    const { unverifiedCertificate, algorithm, signature, format, appVersion } = m;
    return { token: { unverifiedCertificate, algorithm, signature, format, appVersion }, nonce: o.nonce };
  }

  sign(): Promise<never> {
    return Promise.reject(errorOf("extension-no-documents"));
  }

  async certificate(o: Waiting = {}): Promise<SigningCertificate> {
    const { certificate, supportedSignatureAlgorithms } = await this.#ask<SigningCertificate>("get-signing-certificate", {}, o, 2);
    return { certificate, supportedSignatureAlgorithms };
  }

  async signHash(o: HashOptions): Promise<HashSignature> {
    const { certificate, hash, hashFunction } = o;
    const m = await this.#ask<HashSignature>("sign", { certificate, hash, hashFunction }, o, 2);
    return { signature: m.signature, signatureAlgorithm: m.signatureAlgorithm };
  }
}

import type { Certificate, Connection, HashOptions, HashSignature, LoginOptions, LoginResult, NonceOf, SignatureAlgorithm, SignedFile, SigningCertificate, SignOptions, SignResult, Waiting } from "./connection";
import { CitelError, errorOf } from "./errors";
import { extension } from "./extension";
import { open, type State } from "./link";
import { challenge, toBase64, verify, type Proof } from "./proof";

interface Message {
  type: string; id?: number; code?: string; triesLeft?: number; event?: string; card?: "present" | "absent"; agent?: string;
  proof?: Proof; token?: object; nonce?: string; name?: string; mediaType?: string; size?: number; certificate?: Certificate | string;
  supportedSignatureAlgorithms?: SignatureAlgorithm[]; signature?: string; signatureAlgorithm?: SignatureAlgorithm;
}
type Handler = { message(m: Message): void; bytes?(b: Uint8Array): void; fail(e: CitelError): void };

const frame = 256 << 10;
const busy = 4 << 20; // bytes waiting in the socket
const greeting = 5000; // milliseconds

export interface ConnectOptions {
  ports?: number[]; language?: "it" | "en"; onState?: (s: State) => void; signal?: AbortSignal;
  // extension false leaves the Web eID extension aside: it carries no documents.
  extension?: boolean;
}

// ends are the states in which finding the agent can end badly.
const ends: Partial<Record<string, State>> = { "agent-missing": "missing", "permission-denied": "denied", "permission-dismissed": "dismissed" };

// connect finds the agent and greets it: over its WebSocket; where nobody listens, or the
// browser does not let this page, through the Web eID extension, if that is there.
export async function connect(o: ConnectOptions = {}): Promise<Connection> {
  const state = o.onState ?? (() => undefined);
  const language = o.language ?? "it";
  try {
    const socket = await open(o.ports ?? [52310, 52311, 52312, 52313], state, o.signal);
    const citel = new Citel(socket, language);
    await citel.hello();
    state("there");
    return citel;
  } catch (e) {
    if (!(e instanceof CitelError)) throw e;
    if (o.extension !== false && (e.code === "agent-missing" || e.code === "permission-denied")) {
      const through = await extension(language, o.signal);
      if (through) {
        state("there");
        return through;
      }
    }
    const end = ends[e.code];
    if (end) state(end);
    throw e;
  }
}

export class Citel implements Connection {
  readonly way = "websocket";
  agent = "";
  fingerprint?: string;
  card?: "present" | "absent";
  onCard?: (card: "present" | "absent") => void;
  #id = 0;
  #handlers = new Map<number, Handler>();
  #receiving?: Handler; // whose bytes are due

  constructor(private readonly socket: WebSocket, private readonly language: "it" | "en") {
    socket.onmessage = (e) => this.#received(e.data as string | ArrayBuffer);
    socket.onclose = (e) => this.#lost(e.code === 4403 ? errorOf(e.reason) : errorOf("link-lost"));
  }

  close(): void {
    this.socket.close();
  }

  #lost(e: CitelError): void {
    const all = [...this.#handlers.values()];
    this.#handlers.clear();
    for (const h of all) h.fail(e);
  }

  #received(data: string | ArrayBuffer): void {
    if (typeof data !== "string") return this.#receiving?.bytes?.(new Uint8Array(data));
    const m = JSON.parse(data) as Message;
    if (m.type === "event" && m.event === "card" && m.card) {
      this.card = m.card;
      this.onCard?.(m.card);
      return;
    }
    const h = this.#handlers.get(m.id ?? 0);
    if (!h) return; // of a request that has ended
    if (m.type === "error") {
      this.#handlers.delete(m.id ?? 0);
      h.fail(errorOf(m.code ?? "internal", m.triesLeft));
    } else h.message(m);
  }

  #send(m: object): void {
    this.socket.send(JSON.stringify(m));
  }

  // request runs one exchange; step gets each message and resolves through done.
  #request<T>(first: object, signal: AbortSignal | undefined, step: (m: Message, id: number, done: (v: T) => void, fail: (e: unknown) => void) => void, bytes?: (b: Uint8Array, done: (v: T) => void) => void, started?: (fail: (e: unknown) => void) => void): Promise<T> {
    const id = ++this.#id;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => {
        if (this.#handlers.has(id) && this.socket.readyState === WebSocket.OPEN) this.#send({ type: "cancel", id });
        handler.fail(errorOf("cancelled"));
      };
      const finish = (): void => {
        this.#handlers.delete(id);
        if (this.#receiving === handler) this.#receiving = undefined;
        signal?.removeEventListener("abort", abort);
      };
      const done = (v: T): void => { finish(); resolve(v); };
      const fail = (e: unknown): void => { finish(); reject(e as Error); };
      const handler: Handler = {
        message: (m) => {
          if (m.type === "signed") this.#receiving = handler;
          step(m, id, done, fail);
        },
        bytes: (b) => bytes?.(b, done),
        fail,
      };
      this.#handlers.set(id, handler);
      if (this.socket.readyState !== WebSocket.OPEN) return fail(errorOf("link-lost"));
      signal?.addEventListener("abort", abort);
      if (signal?.aborted) return abort();
      this.#send({ ...first, id });
      started?.(fail);
    });
  }

  async hello(): Promise<void> {
    const random = challenge();
    // Something that listens but does not greet is no agent: the greeting needs
    // no person.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const m = await this.#request<Message>({ type: "hello", version: 1, challenge: toBase64(random) }, undefined, (m, _id, done, fail) => {
      if (m.type === "hello") done(m);
      else fail(errorOf("link-lost"));
    }, undefined, (fail) => {
      timer = setTimeout(() => { fail(errorOf("link-lost")); this.close(); }, greeting);
    }).finally(() => clearTimeout(timer));
    this.agent = m.agent ?? "";
    this.card = m.card;
    this.fingerprint = await verify(m.proof, location.origin, random);
  }

  // login gives a token for the server. Its nonce may be a fresh one, where the
  // person asked for more time.
  async login(o: LoginOptions): Promise<LoginResult> {
    const random = challenge();
    const expires = (n: NonceOf): string => new Date(Date.now() + n.expiresIn * 1000).toISOString();
    const first = expires(o);
    const m = await this.#request<Message>({ type: "login", nonce: o.nonce, expires: first, challenge: toBase64(random), language: this.language }, o.signal, (m, id, done, fail) => {
      if (m.type === "login") done(m);
      if (m.type !== "event" || !m.event) return;
      o.onEvent?.(m.event);
      if (m.event !== "nonce-needed") return;
      // Without a fresh one, more time is what the first has left.
      if (o.freshNonce) o.freshNonce().then((n) => this.#send({ type: "nonce", id, nonce: n.nonce, expires: expires(n) }), fail);
      else this.#send({ type: "nonce", id, nonce: o.nonce, expires: first });
    });
    return { token: m.token ?? {}, nonce: m.nonce ?? "", fingerprint: await verify(m.proof, location.origin, random) };
  }

  // certificate lets the person choose one that may sign a hash; the PIN is not asked.
  async certificate(o: Waiting = {}): Promise<SigningCertificate> {
    const m = await this.#request<Message>({ type: "certificate", language: this.language }, o.signal, (m, _id, done) => {
      if (m.type === "certificate") done(m);
    });
    if (typeof m.certificate !== "string") throw errorOf("internal");
    return { certificate: m.certificate, supportedSignatureAlgorithms: m.supportedSignatureAlgorithms ?? [] };
  }

  // signHash has a hash signed that this page computed; only keys for signatures alone do.
  async signHash(o: HashOptions): Promise<HashSignature> {
    const { certificate, hash, hashFunction } = o;
    const m = await this.#request<Message>({ type: "sign-hash", certificate, hash, hashFunction, language: this.language }, o.signal, (m, _id, done) => {
      if (m.type === "sign-hash") done(m);
    });
    if (!m.signature || !m.signatureAlgorithm) throw errorOf("internal");
    return { signature: m.signature, signatureAlgorithm: m.signatureAlgorithm };
  }

  // sign has documents signed. With a fingerprint, no byte of them goes to an
  // agent that does not prove that key.
  async sign(o: SignOptions): Promise<SignResult> {
    const random = challenge();
    const results: SignedFile[] = [];
    let due = 0;
    const first = { type: "sign", challenge: toBase64(random), documents: o.documents.length, format: o.format ?? "cades", detached: o.detached ?? false, codiceFiscale: o.codiceFiscale, language: this.language };
    return this.#request(first, o.signal, (m, id, done, fail) => {
      switch (m.type) {
        case "event":
          if (m.event) o.onEvent?.(m.event);
          return;
        case "ready":
          verify(m.proof, location.origin, random).then(async (key) => {
            if (key === undefined || (o.fingerprint !== undefined && key !== o.fingerprint)) {
              this.#send({ type: "cancel", id });
              return fail(errorOf("proof-mismatch"));
            }
            await this.#upload(id, o.documents, o.signal);
          }).catch(fail);
          return;
        case "signed":
          due = 0;
          results.push({ name: m.name ?? "", mediaType: m.mediaType ?? "", bytes: new Uint8Array(Math.min(m.size ?? 0, 1 << 30)) });
          return;
        case "done":
          if (typeof m.certificate === "object" && results.length === o.documents.length) done({ results, certificate: m.certificate });
          else fail(errorOf("internal"));
      }
    }, (b) => {
      const last = results[results.length - 1];
      if (!last || due + b.length > last.bytes.length) return this.close();
      last.bytes.set(b, due);
      due += b.length;
    });
  }

  async #upload(id: number, documents: SignedFile[], signal?: AbortSignal): Promise<void> {
    for (const [index, d] of documents.entries()) {
      this.#send({ type: "document", id, index, name: d.name, mediaType: d.mediaType, size: d.bytes.length });
      for (let at = 0; at < d.bytes.length; at += frame) {
        while (this.socket.bufferedAmount > busy) await new Promise((r) => setTimeout(r, 10));
        if (signal?.aborted || !this.#handlers.has(id)) return;
        this.socket.send(d.bytes.slice(at, at + frame));
      }
    }
  }
}

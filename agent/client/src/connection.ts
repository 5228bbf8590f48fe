// What a page can ask of an agent, whichever way it came.
export interface Certificate { sha256: string; subject: string; issuer: string; codiceFiscale?: string; notAfter: string }
export interface SignedFile { name: string; mediaType: string; bytes: Uint8Array }
export interface NonceOf { nonce: string; expiresIn: number }

// patience is the person's time in milliseconds. Only the Web eID extension asks the page
// for it; the agent has its own two minutes, which the person can extend.
export interface Waiting { patience?: number; signal?: AbortSignal }

export type LoginOptions = NonceOf & Waiting & { onEvent?: (e: string) => void; freshNonce?: () => Promise<NonceOf> };
export interface LoginResult { token: object; nonce: string; fingerprint?: string }
export interface SignOptions { documents: SignedFile[]; format?: "cades" | "pades"; detached?: boolean; codiceFiscale?: string; fingerprint?: string; onEvent?: (e: string) => void; signal?: AbortSignal }
export interface SignResult { results: SignedFile[]; certificate: Certificate }

export interface SignatureAlgorithm { cryptoAlgorithm: string; hashFunction: string; paddingScheme: string }
export interface SigningCertificate { certificate: string; supportedSignatureAlgorithms: SignatureAlgorithm[] }
export type HashOptions = Waiting & { certificate: string; hash: string; hashFunction: string };
export interface HashSignature { signature: string; signatureAlgorithm: SignatureAlgorithm }

export interface Connection {
  // way is how the agent was reached: over its WebSocket, or through the browser's Web
  // eID extension, which carries logins but no documents.
  readonly way: "websocket" | "extension";
  readonly agent: string;
  readonly fingerprint?: string;
  card?: "present" | "absent";
  onCard?: (card: "present" | "absent") => void;
  login(o: LoginOptions): Promise<LoginResult>;
  sign(o: SignOptions): Promise<SignResult>;
  certificate(o?: Waiting): Promise<SigningCertificate>;
  signHash(o: HashOptions): Promise<HashSignature>;
  close(): void;
}

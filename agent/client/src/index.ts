export { connect, Citel, type ConnectOptions } from "./client";
export type { Certificate, Connection, HashOptions, HashSignature, LoginOptions, LoginResult, NonceOf, SignatureAlgorithm, SignedFile, SigningCertificate, SignOptions, SignResult, Waiting } from "./connection";
export type { Extension } from "./extension";
export { CitelError, PageError, GateError, PersonError, CardError, AgentError, LinkError, errorOf } from "./errors";
export { sentences } from "./sentences";
export type { Code } from "./codes";
export type { State } from "./link";

export { connect, Citel, type Certificate, type ConnectOptions, type NonceOf, type SignedFile } from "./client";
export { CitelError, PageError, GateError, PersonError, CardError, AgentError, LinkError, errorOf } from "./errors";
export { sentences } from "./sentences";
export type { Code } from "./codes";
export type { State } from "./link";

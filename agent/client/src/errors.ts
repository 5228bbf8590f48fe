import type { Code } from "./codes";
import { sentences } from "./sentences";

// CitelError is every failure of this module; its families are the subclasses.
export class CitelError extends Error {
  constructor(readonly code: Code, readonly triesLeft?: number) {
    super(code);
    this.name = new.target.name;
  }
  sentence(lang: "it" | "en"): string {
    return sentences[this.code][lang];
  }
}
export class PageError extends CitelError {}
export class GateError extends CitelError {}
export class PersonError extends CitelError {}
export class CardError extends CitelError {}
export class AgentError extends CitelError {}
export class LinkError extends CitelError {}

const families: [typeof CitelError, Code[]][] = [
  [GateError, ["origin-refused", "origin-blocked", "origin-silent", "host-refused", "user-refused"]],
  [PersonError, ["refused", "timed-out", "cancelled"]],
  [CardError, ["no-service", "no-reader", "no-card", "card-unknown", "card-removed", "card-busy", "card-failed", "no-certificate", "certificate-unfit", "pin-wrong", "pin-locked", "pin-uncertain"]],
  [AgentError, ["busy", "internal"]],
  [LinkError, ["agent-missing", "permission-dismissed", "permission-denied", "link-lost", "proof-mismatch", "extension-no-documents"]],
];

export function errorOf(code: string, triesLeft?: number): CitelError {
  const known: Code = code in sentences ? (code as Code) : "internal";
  const Family = families.find(([, codes]) => codes.includes(known))?.[0] ?? PageError;
  return new Family(known, triesLeft);
}

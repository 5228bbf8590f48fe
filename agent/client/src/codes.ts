// Every code that a page can meet: those of agent/wire, and those of this side.
export type Code =
  | "malformed" | "unknown-type" | "version-unsupported" | "too-large" | "too-many" | "nonce-invalid" | "format-unsupported"
  | "document-unfit" | "hash-refused" | "cancelled"
  | "origin-refused" | "origin-blocked" | "origin-silent" | "host-refused" | "user-refused"
  | "refused" | "timed-out"
  | "no-service" | "no-reader" | "no-card" | "card-unknown" | "card-removed" | "card-busy" | "card-failed" | "no-certificate"
  | "certificate-unfit" | "pin-wrong" | "pin-locked" | "pin-uncertain"
  | "busy" | "internal"
  | "agent-missing" | "permission-dismissed" | "permission-denied" | "link-lost" | "proof-mismatch" | "extension-no-documents";

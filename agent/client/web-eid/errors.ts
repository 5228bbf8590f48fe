// The error classes of Web eID's library, by their published names and codes, and what
// makes them of ours.
import { CitelError } from "../src/errors";
import type { Code } from "../src/codes";

export enum ErrorCode {
  ERR_WEBEID_ACTION_TIMEOUT = "ERR_WEBEID_ACTION_TIMEOUT",
  ERR_WEBEID_USER_TIMEOUT = "ERR_WEBEID_USER_TIMEOUT",
  ERR_WEBEID_VERSION_MISMATCH = "ERR_WEBEID_VERSION_MISMATCH",
  ERR_WEBEID_VERSION_INVALID = "ERR_WEBEID_VERSION_INVALID",
  ERR_WEBEID_EXTENSION_UNAVAILABLE = "ERR_WEBEID_EXTENSION_UNAVAILABLE",
  ERR_WEBEID_NATIVE_UNAVAILABLE = "ERR_WEBEID_NATIVE_UNAVAILABLE",
  ERR_WEBEID_UNKNOWN_ERROR = "ERR_WEBEID_UNKNOWN_ERROR",
  ERR_WEBEID_CONTEXT_INSECURE = "ERR_WEBEID_CONTEXT_INSECURE",
  ERR_WEBEID_USER_CANCELLED = "ERR_WEBEID_USER_CANCELLED",
  ERR_WEBEID_NATIVE_INVALID_ARGUMENT = "ERR_WEBEID_NATIVE_INVALID_ARGUMENT",
  ERR_WEBEID_NATIVE_FATAL = "ERR_WEBEID_NATIVE_FATAL",
  ERR_WEBEID_ACTION_PENDING = "ERR_WEBEID_ACTION_PENDING",
  ERR_WEBEID_MISSING_PARAMETER = "ERR_WEBEID_MISSING_PARAMETER",
}

export interface RequiresUpdate { nativeApp: boolean; extension: boolean }
export interface Versions { library: string; nativeApp?: string; extension?: string }

// DeveloperError is the family of a site's own mistakes.
export class DeveloperError extends Error {
  override name = "DeveloperError";
}

export class ActionPendingError extends DeveloperError {
  override name = "ActionPendingError";
  code = ErrorCode.ERR_WEBEID_ACTION_PENDING;
  constructor(message = "the same action is pending already") { super(message); }
}
export class ActionTimeoutError extends Error {
  override name = "ActionTimeoutError";
  code = ErrorCode.ERR_WEBEID_ACTION_TIMEOUT;
  constructor(message = "no answer in time") { super(message); }
}
export class ContextInsecureError extends Error {
  override name = "ContextInsecureError";
  code = ErrorCode.ERR_WEBEID_CONTEXT_INSECURE;
  constructor(message = "a secure context (https) is needed") { super(message); }
}
export class ExtensionUnavailableError extends Error {
  override name = "ExtensionUnavailableError";
  code = ErrorCode.ERR_WEBEID_EXTENSION_UNAVAILABLE;
  constructor(message = "neither the local link nor the Web eID extension can be used") { super(message); }
}
export class MissingParameterError extends DeveloperError {
  override name = "MissingParameterError";
  code = ErrorCode.ERR_WEBEID_MISSING_PARAMETER;
  constructor(message = "a parameter is missing") { super(message); }
}
export class NativeFatalError extends Error {
  override name = "NativeFatalError";
  code = ErrorCode.ERR_WEBEID_NATIVE_FATAL;
  constructor(message = "the agent failed") { super(message); }
}
export class NativeInvalidArgumentError extends DeveloperError {
  override name = "NativeInvalidArgumentError";
  code = ErrorCode.ERR_WEBEID_NATIVE_INVALID_ARGUMENT;
  constructor(message = "the agent received an invalid argument") { super(message); }
}
export class NativeUnavailableError extends Error {
  override name = "NativeUnavailableError";
  code = ErrorCode.ERR_WEBEID_NATIVE_UNAVAILABLE;
  constructor(message = "the agent is not there") { super(message); }
}
export class UnknownError extends Error {
  override name = "UnknownError";
  code = ErrorCode.ERR_WEBEID_UNKNOWN_ERROR;
  constructor(message = "something that is not known went wrong") { super(message); }
}
export class UserCancelledError extends Error {
  override name = "UserCancelledError";
  code = ErrorCode.ERR_WEBEID_USER_CANCELLED;
  constructor(message = "the person refused") { super(message); }
}
export class UserTimeoutError extends Error {
  override name = "UserTimeoutError";
  code = ErrorCode.ERR_WEBEID_USER_TIMEOUT;
  constructor(message = "the person did not answer in time") { super(message); }
}
export class VersionInvalidError extends Error {
  override name = "VersionInvalidError";
  code = ErrorCode.ERR_WEBEID_VERSION_INVALID;
  constructor(message = "not a version") { super(message); }
}
export class VersionMismatchError extends Error {
  override name = "VersionMismatchError";
  code = ErrorCode.ERR_WEBEID_VERSION_MISMATCH;
  library?: string;
  extension?: string;
  nativeApp?: string;
  requiresUpdate: RequiresUpdate;
  constructor(message?: string, versions?: Versions, requiresUpdate: RequiresUpdate = { nativeApp: false, extension: false }) {
    super(message ?? `an update is required: ${Object.entries(requiresUpdate).filter(([, needed]) => needed).map(([what]) => what).join(", ")}`);
    this.requiresUpdate = requiresUpdate;
    Object.assign(this, versions);
  }
}

// HashRefusedError is CiTel's own. CNS and CIE have one key for login and signature, and
// whoever gets a hash of their choice signed by it can log in as that person anywhere: a
// hash is signed only with keys for signatures alone. Such a site sends the document
// instead (`sign` of @citel/client).
export class HashRefusedError extends DeveloperError {
  override name = "HashRefusedError";
  code = "ERR_CITEL_HASH_REFUSED" as const;
}

const agentTooOld: RequiresUpdate = { nativeApp: true, extension: false };

// classes puts the agent's codes into Web eID's words; what is missing is
// NativeFatalError: the card, its PIN, the agent itself.
const classes: Partial<Record<Code, (text: string) => Error>> = {
  "agent-missing": (t) => new NativeUnavailableError(t),
  "permission-denied": (t) => new ExtensionUnavailableError(t),
  "permission-dismissed": (t) => new UserCancelledError(t),
  "refused": (t) => new UserCancelledError(t),
  "cancelled": (t) => new UserCancelledError(t),
  "origin-blocked": (t) => new UserCancelledError(t),
  "origin-silent": (t) => new UserCancelledError(t),
  "timed-out": (t) => new UserTimeoutError(t),
  "malformed": (t) => new NativeInvalidArgumentError(t),
  "nonce-invalid": (t) => new NativeInvalidArgumentError(t),
  "too-large": (t) => new NativeInvalidArgumentError(t),
  "hash-refused": (t) => new HashRefusedError(t),
  "origin-refused": (t) => new ContextInsecureError(t),
  "version-unsupported": (t) => new VersionMismatchError(t, undefined, agentTooOld),
  "unknown-type": (t) => new VersionMismatchError(t, undefined, agentTooOld),
  "busy": (t) => new ActionPendingError(t),
  "too-many": (t) => new ActionPendingError(t),
};

// webeidError gives the published error for one of ours; `cause` is ours, with its code,
// the tries left, and `sentence("it" | "en")` for the person.
export function webeidError(e: unknown): Error {
  if (e instanceof CitelError) {
    const text = `${e.sentence("en")} (${e.code})`;
    const error = (classes[e.code] ?? ((t: string) => new NativeFatalError(t)))(text);
    error.cause = e;
    return error;
  }
  if (e instanceof Error && "code" in e) return e;
  return new UnknownError(e instanceof Error ? e.message : String(e));
}

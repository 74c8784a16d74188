import type { ErrorCode } from "./error-codes/index.ts";

/**
 * Who can do something about an error. A `user` error is a mistake in what the caller gave, and its message says how to
 * correct it. A `transient` fault may pass by itself, so the caller may try again. An `internal` error is a bug of
 * Serin.
 */
export type ErrorKind = "user" | "transient" | "internal";

export interface SerinErrorOptions {
  readonly cause?: unknown;
  /** The next action for the reader, as a full sentence or a command. */
  readonly hint?: string;
  /** The code of another program or protocol for the fault: `ECONNREFUSED`, an HTTP status, or OpenSSL's code. */
  readonly reason?: string;
  /** How long a busy server asks the client to wait before the next request. */
  readonly retryAfterMs?: number;
}

/**
 * The type of all errors that this program throws on purpose. Make it with {@link userError}, {@link transientError} or
 * {@link internalError}.
 */
export class SerinError extends Error {
  override readonly name = "SerinError";
  readonly kind: ErrorKind;
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly reason: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(kind: ErrorKind, code: ErrorCode, message: string, options: SerinErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.code = code;
    this.hint = options.hint;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * A mistake in what the user gave. Trying again does not help. The message must name the file, object or field, and
 * what was expected.
 */
export function userError(code: ErrorCode, message: string, options?: SerinErrorOptions): SerinError {
  return new SerinError("user", code, message, options);
}

/** A fault that may pass by itself, such as a server that does not answer. The caller may try again. */
export function transientError(code: ErrorCode, message: string, options?: SerinErrorOptions): SerinError {
  return new SerinError("transient", code, message, options);
}

/** A fault in this program. The user can only report it. */
export function internalError(code: ErrorCode, message: string, options?: SerinErrorOptions): SerinError {
  return new SerinError("internal", code, message, options);
}

/** Converts any thrown value to a {@link SerinError}. A value of another type counts as a bug of Serin. */
export function toSerinError(value: unknown): SerinError {
  if (value instanceof SerinError) return value;
  if (value instanceof Error) return internalError("unexpected", messageOf(value), { cause: value });
  return internalError("unexpected", String(value));
}

/** Whether JavaScript itself has thrown the value, because the program has a bug. */
export function isProgramError(value: unknown): boolean {
  return value instanceof TypeError || value instanceof ReferenceError || value instanceof RangeError;
}

/**
 * The message of any thrown value, for log lines. For an error of a TLS connection, it returns OpenSSL's reason,
 * because the message also contains a thread number, a source file and a line break.
 */
export function messageOf(value: unknown): string {
  if (!(value instanceof Error)) return String(value);
  const isOfTls = "reason" in value && typeof value.reason === "string" && /^[\dA-F]+:error:/.test(value.message);
  if (isOfTls) return String(value.reason);
  if (value.message !== "") return value.message;
  // Node throws an AggregateError with a code and an empty message if all addresses of a name refuse a connection.
  return "code" in value && typeof value.code === "string" ? value.code : value.name;
}

/** The exit code of wrong use: an unknown verb or flag, or a wrong argument. istioctl uses it too, from sysexits.h. */
export const usageExitCode = 64;
const usageCodes: ReadonlySet<ErrorCode> = new Set([
  "argument-invalid",
  "argument-missing",
  "arguments-conflict",
  "usage",
]);
/** Codes of commands that have done their work with a negative result. */
const resultCodes: ReadonlySet<ErrorCode> = new Set(["cancelled", "difference-found", "problem-found"]);

/**
 * The exit code of the command line: 1 if it failed or found something, 2 if it refused, 64 for wrong use. (0 means
 * done. Commands of rollouts also use 3 for rolled back, and 4 for waiting.)
 */
export function exitCodeOf({ kind, code }: SerinError): number {
  if (kind !== "user" || resultCodes.has(code)) return 1;
  return usageCodes.has(code) ? usageExitCode : 2;
}

/** The whole error for a person, in lines: the message, each cause that the message does not quote, and the hint. */
export function describeError(value: unknown): string {
  const error = toSerinError(value);
  const lines = [error.message];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    const message = messageOf(cause);
    if (!lines.some((line) => line.includes(message))) lines.push(`  caused by: ${message}`);
  }
  if (error.hint !== undefined) lines.push(`  hint: ${error.hint}`);
  return lines.join("\n");
}

/**
 * Thrown when a signal ends a command. The message is for the person, and says for example what the command left
 * behind.
 */
export class Interruption extends Error {
  override readonly name = "AbortError";
}

/**
 * Thrown by {@link invariant}. It ends the process, because continuing with a wrong assumption would be harmful. If it
 * belongs to one connection, it ends only that (`containErrors`).
 */
class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** Asserts a condition that must hold for any input. Do not check input with it: parse the input instead. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}

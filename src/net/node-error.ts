import { getSystemErrorName } from "node:util";
import { messageOf, SerinError, transientError, userError, type ErrorCode } from "../base/index.ts";

/** The codes of faults that may pass by themselves, by errno. */
const transientCodes: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: "connection-refused",
  ECONNRESET: "connection-reset",
  EPIPE: "connection-reset",
  ECONNABORTED: "connection-aborted",
  ECANCELED: "connection-aborted",
  ETIMEDOUT: "timeout",
  EHOSTUNREACH: "host-unreachable",
  EHOSTDOWN: "host-unreachable",
  ENETUNREACH: "network-unreachable",
  ENETDOWN: "network-unreachable",
  EADDRNOTAVAIL: "address-not-available",
  ENOTCONN: "not-connected",
  EMFILE: "resources-exhausted",
  ENFILE: "resources-exhausted",
  ENOBUFS: "resources-exhausted",
  ENOMEM: "resources-exhausted",
  EAGAIN: "resources-exhausted",
};

/** The codes of faults that the user must correct on this machine, by errno. */
const userCodes: Readonly<Record<string, readonly [code: ErrorCode, hint: string]>> = {
  EADDRINUSE: ["address-in-use", "end the process that listens there, or choose another port"],
  EACCES: ["permission-denied", "run with the capability that this needs, or choose a port above 1023"],
  EPERM: ["permission-denied", "run inside a user namespace of your own, or with CAP_NET_ADMIN"],
  ENOENT: ["not-found", "check that the path exists"],
  EPROTONOSUPPORT: [
    "kernel-support-missing",
    "the kernel of this node lacks it: load its modules (modprobe nf_tables nft_chain_nat nft_ct nft_redir), or use a kernel with CONFIG_NF_TABLES",
  ],
};

/** The error for an errno such as `ECONNREFUSED`. `operation` says what was tried, such as `connect to 10.0.0.1:80`. */
export function systemError(operation: string, name: string, cause?: unknown): SerinError {
  const options = { reason: name, ...(cause === undefined ? {} : { cause }) };
  const message = `${operation}: ${name}`;
  const transientCode = transientCodes[name];
  if (transientCode !== undefined) return transientError(transientCode, message, options);
  const [code, hint] = userCodes[name] ?? [];
  if (code !== undefined && hint !== undefined) return userError(code, message, { ...options, hint });
  return transientError("network-failure", message, options);
}

export function uvError(operation: string, status: number): SerinError {
  return systemError(operation, uvErrorName(status));
}

function uvErrorName(status: number): string {
  if (status === -4095) return "EOF";
  try {
    return getSystemErrorName(status);
  } catch {
    return `error ${status}`;
  }
}

/**
 * Converts an error of Node's sockets, of TLS or of a system call to a {@link SerinError}. No other code need know
 * their codes.
 */
export function networkError(operation: string, thrown: unknown): SerinError {
  if (thrown instanceof SerinError) return thrown;
  const code = codeOf(thrown);
  if (code !== undefined && /^E[A-Z0-9]+$/.test(code)) return systemError(operation, code, thrown);
  const text = messageOf(thrown);
  if (code === "ABORT_ERR") return transientError("aborted", `${operation}: aborted`, { cause: thrown });
  if (code !== undefined)
    return transientError(codeOfNode(code), `${operation}: ${text}`, { cause: thrown, reason: code });
  return transientError("network-failure", `${operation}: ${text}`, { cause: thrown });
}

function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/**
 * The error code for a code of Node that is a word. Such a word is OpenSSL's (`UNABLE_TO_VERIFY_LEAF_SIGNATURE`,
 * `ERR_SSL_…`), unless its prefix is that of another module of Node.
 */
function codeOfNode(word: string): ErrorCode {
  return /^(?:ERR_(?!SSL_|TLS_|OSSL_)|HPE_)/.test(word) ? "network-failure" : "tls-failed";
}

/** Whether the error came from one of these errnos. */
export function isSystemCode(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof SerinError && error.reason !== undefined && names.includes(error.reason);
}

const tlsFaults = new WeakSet<SerinError>();

export function tlsFault(error: SerinError): SerinError {
  tlsFaults.add(error);
  return error;
}

/** Whether the error came from a TLS handshake or connection. Its code may still be that of a network fault below. */
export function isTlsFault(error: SerinError): boolean {
  return tlsFaults.has(error);
}

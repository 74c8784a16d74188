import { constants, type X509Certificate } from "node:crypto";
import { createSecureContext, getCiphers, type SecureContext } from "node:tls";
import { userError } from "../base/index.ts";

export interface TlsContextOptions {
  /** Leaf first; PEM. Absent for a client that shows none. Several, of different kinds of keys, as lists of one order. */
  readonly certificateChain?: string | readonly string[];
  readonly privateKey?: string | readonly string[];
  /** The roots to verify the peer with; PEM, any number. The system's when absent. */
  readonly roots?: string;
  /** Revocation lists, PEM, one a text: of each authority of a peer's chain there must be one that is in force, and no certificate of the chain may be on it. */
  readonly revocations?: readonly string[];
  /** Looks at peers besides their chain. */
  readonly guard?: PeerGuard;
  /** `mesh`: TLS 1.3 with AES-GCM alone, as HBONE wants. `web` (default): TLS 1.2 and up with node's ciphers. */
  readonly profile?: "mesh" | "web";
  /** Take the place of the profile's. */
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  /** OpenSSL's names, of TLS 1.2 and before; unknown ones are left out. Those of TLS 1.3 are always all offered. */
  readonly ciphers?: readonly string[];
  /** No session is resumed by a ticket: every connection shows its certificate. */
  readonly noTickets?: boolean;
}

/** Judges peers whose chain is good: at the handshake, and later for as long as the connection lives. */
export interface PeerGuard {
  /** Why the holder is refused; `peer` is what it is in the handshake. */
  refuse(certificate: X509Certificate, peer: "client" | "server"): string | undefined;
  /** A connection begins; `close` ends it, and the answer is disposed of when it has ended. */
  admitted(certificate: X509Certificate, peer: "client" | "server", close: (reason: string) => void): Disposable;
}

export type SecureVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** Keys, certificates and roots, checked and parsed once; make a new one to rotate. */
export class TlsContext {
  readonly secureContext: SecureContext;

  readonly guard: PeerGuard | undefined;

  private constructor(secureContext: SecureContext, guard: PeerGuard | undefined) {
    this.secureContext = secureContext;
    this.guard = guard;
  }

  /** Throws a user error (`tls-material-invalid`) when something does not parse or fit together. Costs about a millisecond. */
  static create(options: TlsContextOptions): TlsContext {
    const { certificateChain, privateKey, roots } = options;
    try {
      return new TlsContext(
        createSecureContext({
          ...(certificateChain === undefined ? {} : { cert: mutable(certificateChain) }),
          ...(privateKey === undefined ? {} : { key: mutable(privateKey) }),
          ...(roots === undefined ? {} : { ca: roots }),
          ...(options.revocations === undefined ? {} : { crl: [...options.revocations] }),
          ...(options.profile === "mesh" ? meshSettings : { minVersion: "TLSv1.2" as const }),
          ...(options.minVersion === undefined ? {} : { minVersion: options.minVersion }),
          ...(options.maxVersion === undefined ? {} : { maxVersion: options.maxVersion }),
          ...cipherSettings(options.ciphers ?? []),
          ...(options.noTickets === true && options.profile !== "mesh"
            ? { secureOptions: constants.SSL_OP_NO_TICKET }
            : {}),
        }),
        options.guard,
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw userError(
        "tls-material-invalid",
        `the certificate, key, roots or revocation lists cannot be used: ${reason}`,
        {
          cause: error,
          hint: "check that each is PEM, and that the key belongs to the first certificate",
        },
      );
    }
  }
}

function mutable(text: string | readonly string[]): string | string[] {
  return typeof text === "string" ? text : [...text];
}

const latestSuites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

function cipherSettings(names: readonly string[]): { readonly ciphers?: string } {
  const known = new Set(getCiphers().map((name) => name.toUpperCase()));
  // Envoy writes equally good ones as [a|b].
  const usable = names
    .flatMap((name) => name.replace(/^\[(.*)\]$/, "$1").split("|"))
    .filter((name) => known.has(name.toUpperCase()) && !name.startsWith("TLS_"));
  return usable.length === 0 ? {} : { ciphers: [...latestSuites, ...usable].join(":") };
}

const meshSettings = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
  ecdhCurve: "X25519:P-256",
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

/**
 * Gives the context for a connection; asked anew for each, so that what it gives may change. May wait, such as for the
 * first certificate. A server is asked first without a name, then again with the client's SNI if it sent one.
 */
export type TlsContextSource = (servername?: string) => TlsContext | Promise<TlsContext>;

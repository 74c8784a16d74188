import { constants } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import { userError } from "../base/index.ts";

export interface TlsContextOptions {
  /** Leaf first; PEM. Absent for a client that shows none. */
  readonly certificateChain?: string;
  readonly privateKey?: string;
  /** The roots to verify the peer with; PEM, any number. The system's when absent. */
  readonly roots?: string;
  /** `mesh`: TLS 1.3 with AES-GCM alone, as HBONE wants. `web` (default): TLS 1.2 and up with node's ciphers. */
  readonly profile?: "mesh" | "web";
}

/** Keys, certificates and roots, checked and parsed once; make a new one to rotate. */
export class TlsContext {
  readonly secureContext: SecureContext;

  private constructor(secureContext: SecureContext) {
    this.secureContext = secureContext;
  }

  /** Throws a user error (`tls-material-invalid`) when something does not parse or fit together. Costs about a millisecond. */
  static create(options: TlsContextOptions): TlsContext {
    const { certificateChain, privateKey, roots } = options;
    try {
      return new TlsContext(
        createSecureContext({
          ...(certificateChain === undefined ? {} : { cert: certificateChain }),
          ...(privateKey === undefined ? {} : { key: privateKey }),
          ...(roots === undefined ? {} : { ca: roots }),
          ...(options.profile === "mesh" ? meshSettings : { minVersion: "TLSv1.2" }),
        }),
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw userError("tls-material-invalid", `the certificate, key or roots cannot be used: ${reason}`, {
        cause: error,
        hint: "check that each is PEM, and that the key belongs to the first certificate",
      });
    }
  }
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

import { constants, type X509Certificate } from "node:crypto";
import { createSecureContext, getCiphers, type SecureContext, type SecureContextOptions } from "node:tls";
import { moduleCache, userError } from "../base/index.ts";
import { approvedCiphers, approvedCurves, type CompliancePolicy } from "../base/compliance/index.ts";

export interface TlsContextOptions {
  /**
   * The certificate chain in PEM, the leaf first. Absent for a client without a certificate. A list has one chain for
   * each key, in the order of the keys.
   */
  readonly certificateChain?: string | readonly string[];
  readonly privateKey?: string | readonly string[];
  /** The roots in PEM by which peers are verified. Absent means the system's roots. */
  readonly roots?: string;
  /**
   * The revocation lists, each a PEM text. Every authority in a peer's chain must have a valid list, and no certificate
   * of the chain may be on one.
   */
  readonly revocations?: readonly string[];
  /** Checks the peers whose chains are valid. */
  readonly guard?: PeerGuard;
  /**
   * `mesh` allows only TLS 1.3 with AES-GCM, as HBONE requires. `web`, the default, allows TLS 1.2 and later with
   * Node's ciphers.
   */
  readonly profile?: "mesh" | "web";
  /** The lowest TLS version, in place of the profile's. */
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
  /**
   * OpenSSL's names of ciphers up to TLS 1.2. Unknown names are ignored. The ciphers of TLS 1.3 are offered in any case
   * (see {@link aesGcmOnly}).
   */
  readonly ciphers?: readonly string[];
  /** Whether TLS 1.3 uses only AES-GCM. Unless `ciphers` names others, TLS 1.2 does too. */
  readonly aesGcmOnly?: boolean;
  /** OpenSSL's names of key exchange groups, such as `X25519MLKEM768`. Absent or empty means the profile's groups. */
  readonly curves?: readonly string[];
  /** Whether to issue no session tickets, so that each connection proves its certificate anew. */
  readonly noTickets?: boolean;
  /** The policy whose versions, ciphers and groups replace those above. */
  readonly compliance?: CompliancePolicy | undefined;
}

/** Checks peers with a valid chain: during the handshake, and again while the connection is open. */
export interface PeerGuard {
  /** Why the holder of the certificate is refused. Undefined if it is accepted. `peer` is its role in the handshake. */
  refuse(certificate: X509Certificate, peer: "client" | "server"): string | undefined;
  /** Whether only URIs in the certificate prove who the holder is. If absent, names of all kinds do. */
  provesOnlyUris?(certificate: X509Certificate): boolean;
  /**
   * Called when a connection begins. `close` ends the connection. The caller disposes of the result when the connection
   * has ended.
   */
  admitted(certificate: X509Certificate, peer: "client" | "server", close: (reason: string) => void): Disposable;
}

export type SecureVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** Checked and parsed keys, certificates and roots. A rotation needs a new context. */
export class TlsContext {
  readonly secureContext: SecureContext;

  readonly guard: PeerGuard | undefined;

  private constructor(secureContext: SecureContext, guard: PeerGuard | undefined) {
    this.secureContext = secureContext;
    this.guard = guard;
  }

  /**
   * Makes a context, which takes about a millisecond. Throws the user error `tls-material-invalid` if something cannot
   * be parsed or does not fit together.
   */
  static create(options: TlsContextOptions): TlsContext {
    const { certificateChain, privateKey, roots } = options;
    try {
      return new TlsContext(
        createSecureContext({
          ...(certificateChain === undefined ? {} : { cert: mutable(certificateChain) }),
          ...(privateKey === undefined ? {} : { key: mutable(privateKey) }),
          ...(roots === undefined ? {} : { ca: roots }),
          ...(options.revocations === undefined ? {} : { crl: [...options.revocations] }),
          ...negotiationOf(options),
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

/**
 * The names of key exchange groups that OpenSSL has accepted. It accepts each of its few dozen groups in any mixture of
 * upper and lower case, so their number needs a bound.
 */
const knownCurves = moduleCache<string, true>("tls-curves", 256);

/**
 * Whether OpenSSL knows a key exchange group of this name. Only making a context shows that, so accepted names are
 * cached.
 */
export function isTlsCurve(name: string): boolean {
  if (knownCurves.get(name) === true) return true;
  if (!/^[\w-]+$/.test(name)) return false;
  try {
    createSecureContext({ ecdhCurve: name });
  } catch {
    return false;
  }
  knownCurves.set(name, true);
  return true;
}

function mutable(text: string | readonly string[]): string | string[] {
  return typeof text === "string" ? text : [...text];
}

type Negotiation = Pick<SecureContextOptions, "minVersion" | "maxVersion" | "ciphers" | "ecdhCurve">;

function negotiationOf(options: TlsContextOptions): Negotiation & Pick<SecureContextOptions, "secureOptions"> {
  const { profile, compliance, minVersion, maxVersion, ciphers = [], curves = [] } = options;
  return {
    ...(profile === "mesh" ? meshSettings : { minVersion: "TLSv1.2" as const }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...cipherSettings(ciphers, options.aesGcmOnly === true),
    ...(curves.length === 0 ? {} : { ecdhCurve: curves.join(":") }),
    ...(compliance === undefined ? {} : limitsOf(compliance, profile)),
  };
}

const aesGcmSuites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"];
const approved = [...aesGcmSuites, ...approvedCiphers].join(":");

const versions: Readonly<Record<CompliancePolicy, Pick<Negotiation, "minVersion" | "maxVersion">>> = {
  "fips-140-2": { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
  "fips-140-3": { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
  pqc: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
};

/**
 * The TLS versions of the mesh under each policy. HBONE needs TLS 1.3. With FIPS 140-2, upstream's waypoints accept
 * only TLS 1.2, but upstream's ztunnels speak TLS 1.2 only if they are configured so. So both versions must be
 * possible.
 */
const meshVersions: typeof versions = {
  "fips-140-2": { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
  "fips-140-3": { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
  pqc: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
};

function limitsOf(policy: CompliancePolicy, profile: TlsContextOptions["profile"]): Negotiation {
  const allowed = profile === "mesh" ? meshVersions : versions;
  return { ...allowed[policy], ciphers: approved, ecdhCurve: approvedCurves[policy].join(":") };
}

/** The TLS options of a server that uses Node's own HTTPS. Without a policy, it accepts TLS 1.2 and later. */
export function negotiationUnder(policy: CompliancePolicy | undefined): Negotiation {
  return policy === undefined ? { minVersion: "TLSv1.2" } : limitsOf(policy, "web");
}

function cipherSettings(names: readonly string[], aesGcmOnly: boolean): { readonly ciphers?: string } {
  const known = new Set(getCiphers().map((name) => name.toUpperCase()));
  // Envoy writes ciphers of equal preference as `[a|b]`.
  const usable = names
    .flatMap((name) => name.replace(/^\[(.*)\]$/, "$1").split("|"))
    .filter((name) => known.has(name.toUpperCase()) && !name.startsWith("TLS_"));
  if (usable.length === 0) return aesGcmOnly ? { ciphers: approved } : {};
  return { ciphers: [...aesGcmSuites, ...(aesGcmOnly ? [] : ["TLS_CHACHA20_POLY1305_SHA256"]), ...usable].join(":") };
}

const meshSettings = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
  // A client sends a key share for the first group only, so the last one costs nothing unless a peer insists on it.
  ecdhCurve: "X25519:P-256:X25519MLKEM768",
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

/**
 * Returns the context for a connection. It is called for each connection, so it may return another context each time.
 * It may wait, for example for the first certificate. For a server, it is called without a name first, and again with
 * the client's SNI if there is one.
 */
export type TlsContextSource = (servername?: string) => TlsContext | Promise<TlsContext>;

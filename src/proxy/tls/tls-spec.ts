/** Where a certificate with its key comes from. */
export type CertificateRef =
  /** `default` is this proxy's own; else by SDS: `kubernetes://…`, or files as `file-cert:<chain>~<key>`. */
  | { readonly kind: "sds"; readonly name: string }
  | { readonly kind: "files"; readonly chain: string; readonly key: string }
  | { readonly kind: "inline"; readonly chain: string; readonly key: string };

/** Where the roots come from that vouch for the peer. */
export type RootsRef =
  /** `ROOTCA` are the mesh's; else by SDS: `kubernetes://…-cacert`, files as `file-root:<path>`, the system's as `file-root:system`. */
  | { readonly kind: "sds"; readonly name: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "inline"; readonly pem: string };

/** Where revocation lists come from, of those that say it themselves; a secret with roots may have lists of its own, which count before these. */
export type RevocationsRef = Extract<RootsRef, { readonly kind: "file" | "inline" }>;

export interface SubjectAltNameMatcher {
  /** `any` looks at all of them, as Envoy's older field does. */
  readonly type: "uri" | "dns" | "ip" | "email" | "any";
  readonly match: "exact" | "prefix" | "suffix" | "contains" | "regex";
  readonly value: string;
  readonly ignoreCase: boolean;
}

/** Of names of secrets that there never are. */
export const invalidPrefix = "invalid://";

/** What both directions of TLS are configured with; plain data. */
export interface TlsSpec {
  /** The same for equal specifications: contexts and pools are shared by it. */
  readonly key: string;
  readonly certificates: readonly CertificateRef[];
  /** Undefined: the peer's certificate is not verified. */
  readonly roots: RootsRef | undefined;
  /** Undefined: no certificate counts as revoked, unless the secret with the roots says so. */
  readonly revocations: RevocationsRef | undefined;
  /** One of them must match; none asks for no name. */
  readonly subjectAltNames: readonly SubjectAltNameMatcher[];
  /** Base64 of the SHA-256 of the peer's public key; one must match. */
  readonly publicKeyHashes: readonly string[];
  /** Hex of the SHA-256 of the peer's certificate, in lower case, without colons; one must match. */
  readonly certificateHashes: readonly string[];
  readonly alpnProtocols: readonly string[];
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  /** OpenSSL's names, of TLS 1.2 and before; empty means the library's own. */
  readonly ciphers: readonly string[];
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

export interface DownstreamTlsSpec extends TlsSpec {
  /** `any`: one is asked for, and whoever comes is let in. */
  readonly clientCertificate: "require" | "request" | "any" | "none";
  readonly requireServerName: boolean;
}

export interface UpstreamTlsSpec extends TlsSpec {
  /** The SNI that is sent; undefined sends none. */
  readonly serverName: string | undefined;
  /** The endpoint's hostname is sent as SNI when it has one. */
  readonly hostnameAsServerName: boolean;
  /** Sent when there is no other name: the service's host. */
  readonly fallbackServerName: string | undefined;
  /** The certificate must be for the name that is sent. */
  readonly verifiesServerName: boolean;
}

/** Whether this is Istio's mutual TLS: our workload certificate is shown, and protocols are told by Istio's names. */
export function isMeshTls(tls: TlsSpec): boolean {
  return tls.certificates.some((certificate) => certificate.kind === "sds" && certificate.name === "default");
}

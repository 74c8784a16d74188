/** A service in a cluster that serves its own secrets by SDS over gRPC. */
export interface SecretService {
  readonly cluster: string;
  readonly authority: string;
}

/** A secret by its name. Without a service, it comes from the control plane, or the name contains its location. */
export interface NamedSecret {
  readonly kind: "sds";
  readonly name: string;
  readonly service?: SecretService | undefined;
}

/** A secret that a service has. */
export type ServiceSecret = NamedSecret & { readonly service: SecretService };

/** The source of a certificate with its key. */
export type CertificateRef =
  /** `default` is this proxy's own. Others come by SDS: `kubernetes://…`, or files as `file-cert:<chain>~<key>`. */
  | NamedSecret
  | { readonly kind: "files"; readonly chain: string; readonly key: string }
  | { readonly kind: "inline"; readonly chain: string; readonly key: string };

/** The source of the roots that verify the peer. */
export type RootsRef =
  /**
   * `ROOTCA` are the mesh's roots. Others come by SDS: `kubernetes://…-cacert`, files as `file-root:<path>`, the
   * system's as `file-root:system`.
   */
  NamedSecret | { readonly kind: "file"; readonly path: string } | { readonly kind: "inline"; readonly pem: string };

/**
 * The source of revocation lists, if the configuration sets one. A secret with roots may contain its own lists, which
 * take precedence.
 */
export type RevocationsRef = Extract<RootsRef, { readonly kind: "file" | "inline" }>;

export interface SubjectAltNameMatcher {
  /** `any` compares all kinds of names, as Envoy's older field does. */
  readonly type: "uri" | "dns" | "ip" | "email" | "any";
  readonly match: "exact" | "prefix" | "suffix" | "contains" | "regex";
  readonly value: string;
  readonly ignoreCase: boolean;
}

/** Marks names of secrets that never exist. */
export const invalidPrefix = "invalid://";

/** The TLS settings that both directions share. Plain data. */
export interface TlsSpec {
  /** Equal for equal specifications, so that contexts and pools can be shared. */
  readonly key: string;
  readonly certificates: readonly CertificateRef[];
  /** The roots that verify the peer's certificate. If undefined, it is not verified. */
  readonly roots: RootsRef | undefined;
  /**
   * The revocation lists. If undefined, no certificate counts as revoked, unless the secret with the roots has lists.
   */
  readonly revocations: RevocationsRef | undefined;
  /** One of them must match. If empty, no name is checked. */
  readonly subjectAltNames: readonly SubjectAltNameMatcher[];
  /** Base64 of the SHA-256 of the peer's public key. One must match. */
  readonly publicKeyHashes: readonly string[];
  /** Hex of the SHA-256 of the peer's certificate, in lower case, without colons. One must match. */
  readonly certificateHashes: readonly string[];
  readonly alpnProtocols: readonly string[];
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  /** OpenSSL's names for TLS 1.2 and earlier. Empty means the library's defaults. */
  readonly ciphers: readonly string[];
  /** Whether AES-GCM is the only cipher of TLS 1.3. */
  readonly aesGcmOnly?: boolean;
  /** OpenSSL's names of groups for the key exchange. Empty means the library's defaults. */
  readonly curves: readonly string[];
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

export interface DownstreamTlsSpec extends TlsSpec {
  /** With `any`, the server requests a certificate, and admits every client. */
  readonly clientCertificate: "require" | "request" | "any" | "none";
  readonly requireServerName: boolean;
}

export interface UpstreamTlsSpec extends TlsSpec {
  /** The SNI to send. Undefined sends none. */
  readonly serverName: string | undefined;
  /** Whether the endpoint's hostname, if any, is sent as SNI. */
  readonly hostnameAsServerName: boolean;
  /** The name that is sent if there is no other: the service's host. */
  readonly fallbackServerName: string | undefined;
  /** Whether the certificate must be valid for the SNI. */
  readonly verifiesServerName: boolean;
}

/** Whether this is Istio's mutual TLS: we show our workload certificate, and ALPN uses Istio's names. */
export function isMeshTls(tls: TlsSpec): boolean {
  return tls.certificates.some(
    (certificate) => certificate.kind === "sds" && certificate.name === "default" && certificate.service === undefined,
  );
}

/** A key that distinguishes secrets of the same name from different services. */
export function secretKey({ name, service }: NamedSecret): string {
  return service === undefined ? name : `${name} of ${service.cluster} ${service.authority}`;
}

export function namedSecrets(specs: Iterable<TlsSpec>): NamedSecret[] {
  return [...specs].flatMap(({ certificates, roots }) =>
    [...certificates, ...(roots === undefined ? [] : [roots])].filter((ref) => ref.kind === "sds"),
  );
}

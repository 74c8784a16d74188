/** A service in one of the proxy's clusters that delivers secrets by SDS over gRPC. */
export interface SecretService {
  readonly cluster: string;
  readonly authority: string;
}

/**
 * A secret by its name. Without `service`, the name decides where it comes from: from the CA (`default`, `ROOTCA`),
 * from a file (`file-…`), or from the control plane.
 */
export interface NamedSecret {
  readonly kind: "sds";
  readonly name: string;
  readonly service?: SecretService | undefined;
}

export type ServiceSecret = NamedSecret & { readonly service: SecretService };

export type CertificateRef =
  /**
   * `default` is this proxy's own certificate. Others come by SDS (`kubernetes://…`), or from files
   * (`file-cert:<chain>~<key>`).
   */
  | NamedSecret
  | { readonly kind: "files"; readonly chain: string; readonly key: string }
  | { readonly kind: "inline"; readonly chain: string; readonly key: string };

export type RootsRef =
  /**
   * `ROOTCA` stands for the mesh's roots. Others come by SDS (`kubernetes://…-cacert`), from a file
   * (`file-root:<path>`), or from the system (`file-root:system`).
   */
  NamedSecret | { readonly kind: "file"; readonly path: string } | { readonly kind: "inline"; readonly pem: string };

/**
 * Where revocation lists come from, if the configuration names a source. Lists in the same secret as the roots take
 * precedence.
 */
export type RevocationsRef = Extract<RootsRef, { readonly kind: "file" | "inline" }>;

export interface SubjectAltNameMatcher {
  /** The kind of name. `any` compares all kinds, as Envoy's older field does. */
  readonly type: "uri" | "dns" | "ip" | "email" | "any";
  readonly match: "exact" | "prefix" | "suffix" | "contains" | "regex";
  readonly value: string;
  readonly ignoreCase: boolean;
}

/** The prefix of names of secrets that never exist. */
export const invalidPrefix = "invalid://";

/** The TLS settings that both directions share. They are plain data. */
export interface TlsSpec {
  /** A text that is the same for equal specifications, so that they can share contexts and pools. */
  readonly key: string;
  readonly certificates: readonly CertificateRef[];
  /** The roots that verify the peer's certificate. If undefined, the certificate is not verified. */
  readonly roots: RootsRef | undefined;
  /**
   * The source of revocation lists. If undefined, no certificate counts as revoked, unless the secret with the roots
   * contains lists.
   */
  readonly revocations: RevocationsRef | undefined;
  /** The names that are accepted in the peer's certificate, one of which must match. If empty, no name is checked. */
  readonly subjectAltNames: readonly SubjectAltNameMatcher[];
  /**
   * The accepted SHA-256 hashes of the peer's public key in base64, one of which must match. If empty, the key is not
   * compared.
   */
  readonly publicKeyHashes: readonly string[];
  /**
   * The accepted SHA-256 hashes of the peer's certificate, in lower-case hexadecimal without colons. One must match. If
   * empty, the certificate is not compared.
   */
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
  /** What the server demands. With `any`, it requests a certificate and admits every client. */
  readonly clientCertificate: "require" | "request" | "any" | "none";
  readonly requireServerName: boolean;
}

export interface UpstreamTlsSpec extends TlsSpec {
  /** The SNI that the configuration sets. If undefined, the next two fields decide. */
  readonly serverName: string | undefined;
  /** Whether the endpoint's hostname, if it has one, is sent as SNI. */
  readonly hostnameAsServerName: boolean;
  /** The SNI if nothing else sets one: the host of the service. */
  readonly fallbackServerName: string | undefined;
  /** Whether the certificate must be valid for the name that is sent as SNI. */
  readonly verifiesServerName: boolean;
}

/**
 * Whether these settings are Istio's mutual TLS, in which the proxy shows its workload certificate.
 */
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

import type { ServerTls, TlsVersion } from "../../api/istio/index.ts";
import {
  CertificateValidationContext_TrustChainVerification,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { secretProvider, type ProviderCluster } from "../model/provider-cluster.ts";
import { serverCredentials, type ServerCredential } from "../model/secret-facts.ts";
import { fileOverAgentSds, secretOverAds, secretOverCluster } from "./envoy-any.ts";
import { tlsParameters } from "./tls-compliance.ts";
import { type DownstreamTlsInit, mutualTlsServer, validatedBy } from "./tls-context.ts";

const versions: Readonly<Record<TlsVersion, TlsParameters_TlsProtocol>> = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
};
const httpAlpn = ["h2", "http/1.1"];

export interface ServerTlsContext {
  readonly mesh: MeshSettings;
  readonly secretService?: ProviderCluster | undefined;
}

export interface ServerTlsOptions {
  /** Whether connections carry raw TCP. The peers then exchange metadata by a protocol that TLS negotiates. */
  readonly tcp?: boolean;
  /** Whether client certificates are requested but every one is accepted. */
  readonly untrusted?: boolean;
}

/**
 * TLS that a Gateway's server or a Sidecar's ingress terminates. It only refers to certificates: secrets come over ADS,
 * files from the proxy's agent, and names with `sds://` from the mesh config's provider.
 */
export function serverTls(
  tls: ServerTls,
  context: ServerTlsContext,
  { tcp = false, untrusted = false }: ServerTlsOptions = {},
): DownstreamTlsInit {
  const { mesh } = context;
  if (tls.mode === "ISTIO_MUTUAL") return mutualTlsServer(mesh, tcp ? ["istio-peer-exchange", ...httpAlpn] : httpAlpn);
  return {
    commonTlsContext: {
      alpnProtocols: httpAlpn,
      ...parametersOf(tls, mesh),
      tlsCertificateSdsSecretConfigs: certificatesOf(tls, context),
      ...validationOf(tls, context, untrusted),
    },
    requireClientCertificate: tls.mode === "MUTUAL",
  };
}

/**
 * The TLS parameters of a server. If the server has no setting, the mesh's applies, and without either, the proxy's
 * default TLS versions.
 */
function parametersOf(tls: ServerTls, mesh: MeshSettings) {
  const { tlsDefaults } = mesh;
  const minimum =
    tls.minProtocolVersion === "TLS_AUTO" && tlsDefaults.minProtocolVersion !== "TLSV1_2"
      ? tlsDefaults.minProtocolVersion
      : tls.minProtocolVersion;
  const cipherSuites = tls.cipherSuites.length > 0 ? tls.cipherSuites : tlsDefaults.cipherSuites;
  if (
    minimum === "TLS_AUTO" &&
    tls.maxProtocolVersion === "TLS_AUTO" &&
    cipherSuites.length === 0 &&
    tlsDefaults.ecdhCurves.length === 0
  )
    return tlsParameters(mesh);
  return tlsParameters(mesh, {
    tlsMinimumProtocolVersion: versions[minimum],
    tlsMaximumProtocolVersion: versions[tls.maxProtocolVersion],
    cipherSuites: [...cipherSuites],
    ecdhCurves: [...tlsDefaults.ecdhCurves],
  });
}

function certificatesOf(tls: ServerTls, context: ServerTlsContext) {
  const { certificates } = serverCredentials(tls, secretProvider(context.mesh) !== undefined);
  if (certificates.length > 0) return certificates.map((credential) => secretConfig(credential, context));
  const files =
    tls.tlsCertificates.length > 0
      ? tls.tlsCertificates
      : [{ serverCertificate: tls.serverCertificate ?? "", privateKey: tls.privateKey ?? "" }];
  return files.map((file) => ({
    name: `file-cert:${file.serverCertificate}~${file.privateKey}`,
    sdsConfig: fileOverAgentSds,
  }));
}

/**
 * Where a server's secret comes from. If the provider's service is unknown, there is no cluster to name, and a proxy
 * rejects a listener that names an unknown one. The name in its place never exists, so only connections to this server
 * fail.
 */
function secretConfig({ resource, from }: ServerCredential, { secretService }: ServerTlsContext) {
  if (from === "control-plane") return { name: resource, sdsConfig: secretOverAds };
  return secretService === undefined
    ? { name: `invalid://sds-provider-without-service/${resource}`, sdsConfig: secretOverAds }
    : { name: resource, sdsConfig: secretOverCluster(secretService) };
}

/** The requirements for client certificates. Empty for SIMPLE, which requests none. */
function validationOf(tls: ServerTls, context: ServerTlsContext, untrusted: boolean) {
  if (tls.mode !== "MUTUAL" && tls.mode !== "OPTIONAL_MUTUAL") return {};
  return validatedBy(authorityOf(tls, context), {
    matchTypedSubjectAltNames: tls.subjectAltNames.flatMap((name) => namedBy(name)),
    verifyCertificateSpki: [...tls.verifyCertificateSpki],
    verifyCertificateHash: [...tls.verifyCertificateHash],
    ...(untrusted
      ? { trustChainVerification: CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED }
      : {}),
    ...(tls.caCrl === undefined ? {} : { crl: { specifier: { case: "filename" as const, value: tls.caCrl } } }),
  });
}

/**
 * Matches the name in every type of subject alternative name in which it may appear. A name with `://` can only be a
 * URI.
 */
function namedBy(name: string) {
  const kinds = name.includes("://")
    ? [SubjectAltNameMatcher_SanType.URI]
    : [
        SubjectAltNameMatcher_SanType.DNS,
        SubjectAltNameMatcher_SanType.URI,
        SubjectAltNameMatcher_SanType.EMAIL,
        SubjectAltNameMatcher_SanType.IP_ADDRESS,
      ];
  return kinds.map((sanType) => ({ sanType, matcher: { matchPattern: { case: "exact" as const, value: name } } }));
}

function authorityOf(tls: ServerTls, context: ServerTlsContext) {
  const { authority } = serverCredentials(tls, secretProvider(context.mesh) !== undefined);
  return authority === undefined
    ? { name: `file-root:${tls.caCertificates ?? ""}`, sdsConfig: fileOverAgentSds }
    : secretConfig(authority, context);
}

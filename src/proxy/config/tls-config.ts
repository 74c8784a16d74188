import { createHash } from "node:crypto";
import { approvedCiphers, approvedCurves } from "../../base/compliance/index.ts";
import {
  CertificateValidationContext_TrustChainVerification,
  ApiConfigSource_ApiType,
  CertificateValidationContextSchema,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_CompliancePolicy,
  TlsParameters_TlsProtocol,
  UpstreamTlsContextSchema,
  type CertificateValidationContext,
  type CommonTlsContext,
  type DownstreamTlsContext,
  type SdsSecretConfig,
  type StringMatcher,
  type TlsParameters,
  type UpstreamTlsContext,
} from "../../wire/envoy/index.ts";
import type {
  CertificateRef,
  DownstreamTlsSpec,
  NamedSecret,
  RootsRef,
  SubjectAltNameMatcher,
  TlsSpec,
  TlsVersion,
  UpstreamTlsSpec,
} from "../tls/tls-spec.ts";
import { certificateRef, rootsRef } from "../tls/secret-source.ts";
import { isTlsCurve } from "../../net/index.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "./config-check.ts";

/** Compiles a listener's TLS settings. Throws an error that names an unsupported field. */
export function compileDownstreamTls(
  message: DownstreamTlsContext,
  where: string,
  notes: ConfigNotes,
): DownstreamTlsSpec {
  checkFields(DownstreamTlsContextSchema, message, where, notes, {
    used: ["commonTlsContext", "requireClientCertificate", "requireSni"],
    harmless: [
      "disableStatefulSessionResumption",
      "disableStatelessSessionResumption",
      "sessionTimeout",
      "ocspStaplePolicy",
      "fullScanCertsOnSniMismatch",
      "preferClientCiphers",
    ],
  });
  const common = compileCommon(message.commonTlsContext, where, notes);
  if (common.certificates.length === 0)
    throw invalid(where, "it has no certificate: expected tlsCertificates or tlsCertificateSdsSecretConfigs");
  return keyed({
    ...common,
    clientCertificate: clientCertificateOf(message, common),
    requireServerName: message.requireSni === true,
  });
}

function clientCertificateOf(
  { requireClientCertificate, commonTlsContext }: DownstreamTlsContext,
  { roots }: Pick<TlsSpec, "roots">,
): DownstreamTlsSpec["clientCertificate"] {
  const type = commonTlsContext?.validationContextType;
  const context =
    type?.case === "validationContext"
      ? type.value
      : type?.case === "combinedValidationContext"
        ? type.value.defaultValidationContext
        : undefined;
  if (context?.trustChainVerification === CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED)
    return "any";
  if (requireClientCertificate === true) return "require";
  return roots === undefined ? "none" : "request";
}

/** How a cluster chooses the server name, for TLS settings that have no server name of their own. */
export interface ServerNameRule {
  /** The host of the service. Undefined if the service has no single host. Then the endpoint's host is used. */
  readonly host: string | undefined;
  readonly verified: boolean;
}

export function compileUpstreamTls(
  message: UpstreamTlsContext,
  rule: ServerNameRule | undefined,
  where: string,
  notes: ConfigNotes,
): UpstreamTlsSpec {
  checkFields(UpstreamTlsContextSchema, message, where, notes, {
    used: ["commonTlsContext", "sni", "autoHostSni", "autoSniSanValidation"],
    harmless: ["maxSessionKeys", "allowRenegotiation", "enforceRsaKeyUsage"],
  });
  const common = compileCommon(message.commonTlsContext, where, notes);
  return keyed({
    ...common,
    serverName: message.sni === "" ? (message.autoHostSni ? undefined : rule?.host) : message.sni,
    hostnameAsServerName: message.autoHostSni || rule !== undefined,
    fallbackServerName: rule?.host,
    verifiesServerName: message.autoSniSanValidation || rule?.verified === true,
  });
}

function keyed<Spec extends Omit<TlsSpec, "key">>(spec: Spec): Spec & { readonly key: string } {
  return { ...spec, key: createHash("sha256").update(JSON.stringify(spec)).digest("base64url").slice(0, 22) };
}

function compileCommon(common: CommonTlsContext | undefined, where: string, notes: ConfigNotes): Omit<TlsSpec, "key"> {
  if (common !== undefined) {
    checkFields(CommonTlsContextSchema, common, where, notes, {
      used: [
        "tlsParams",
        "tlsCertificates",
        "tlsCertificateSdsSecretConfigs",
        "validationContext",
        "validationContextSdsSecretConfig",
        "combinedValidationContext",
        "alpnProtocols",
      ],
      harmless: ["keyLog"],
    });
  }
  return {
    certificates: [
      ...(common?.tlsCertificateSdsSecretConfigs ?? []).map((secret): CertificateRef => namedSecret(secret, where)),
      ...(common?.tlsCertificates ?? []).map((certificate) => certificateRef(certificate, `${where}: tlsCertificates`)),
    ],
    ...compileValidation(common, where, notes),
    alpnProtocols: common?.alpnProtocols ?? [],
    ...negotiationOf(common?.tlsParams, where),
  };
}

type Negotiation = Pick<TlsSpec, "minVersion" | "maxVersion" | "ciphers" | "curves" | "aesGcmOnly">;

function negotiationOf(params: TlsParameters | undefined, where: string): Negotiation {
  const configured = {
    minVersion: versionOf(params?.tlsMinimumProtocolVersion),
    maxVersion: versionOf(params?.tlsMaximumProtocolVersion),
    ciphers: params?.cipherSuites ?? [],
    curves: curvesOf(params?.ecdhCurves ?? [], where),
  };
  const [policy] = params?.compliancePolicies ?? [];
  if (policy === undefined) return configured;
  if (policy !== TlsParameters_CompliancePolicy.FIPS_202205)
    throw unsupported(where, `the compliance policy ${TlsParameters_CompliancePolicy[policy] ?? policy}`);
  // The compliance policy replaces the configured ciphers and curves. Of the TLS versions that the policy allows, the
  // configuration may exclude one.
  return {
    minVersion: configured.minVersion === "TLSv1.3" ? "TLSv1.3" : "TLSv1.2",
    maxVersion: configured.maxVersion === "TLSv1.2" && configured.minVersion !== "TLSv1.3" ? "TLSv1.2" : "TLSv1.3",
    ciphers: approvedCiphers,
    curves: approvedCurves["fips-140-3"],
    aesGcmOnly: true,
  };
}

function curvesOf(names: readonly string[], where: string): readonly string[] {
  const unknown = names.find((name) => !isTlsCurve(name));
  if (unknown !== undefined) throw unsupported(where, `the curve ${unknown}`);
  return names;
}

const versions: Readonly<Record<number, TlsVersion>> = {
  [TlsParameters_TlsProtocol.TLSv1_0]: "TLSv1",
  [TlsParameters_TlsProtocol.TLSv1_1]: "TLSv1.1",
  [TlsParameters_TlsProtocol.TLSv1_2]: "TLSv1.2",
  [TlsParameters_TlsProtocol.TLSv1_3]: "TLSv1.3",
};

function versionOf(version: TlsParameters_TlsProtocol | undefined): TlsVersion | undefined {
  return version === undefined ? undefined : versions[version];
}

type Validation = Pick<TlsSpec, "roots" | "revocations" | "subjectAltNames" | "publicKeyHashes" | "certificateHashes">;

function compileValidation(common: CommonTlsContext | undefined, where: string, notes: ConfigNotes): Validation {
  const type = common?.validationContextType;
  switch (type?.case) {
    case "validationContext":
      return validationOf(type.value, undefined, where, notes);
    case "validationContextSdsSecretConfig":
      return validationOf(undefined, namedSecret(type.value, where), where, notes);
    case "combinedValidationContext": {
      const secret = type.value.validationContextSdsSecretConfig;
      return validationOf(
        type.value.defaultValidationContext,
        secret === undefined ? undefined : namedSecret(secret, where),
        where,
        notes,
      );
    }
    default:
      return validationOf(undefined, undefined, where, notes);
  }
}

/**
 * The cluster in which Istio's bootstrap has the proxy's agent. This proxy is its own agent, so the cluster does not
 * exist here.
 */
const agentCluster = "sds-grpc";

/**
 * The name of a secret, and the service that delivers it, if its configuration names a cluster other than the agent's.
 */
function namedSecret({ name, sdsConfig }: SdsSecretConfig, where: string): NamedSecret {
  const source = sdsConfig?.configSourceSpecifier;
  if (source?.case !== "apiConfigSource") return { kind: "sds", name };
  const target = source.value.grpcServices[0]?.targetSpecifier;
  if (source.value.apiType !== ApiConfigSource_ApiType.GRPC || target?.case !== "envoyGrpc")
    throw unsupported(where, `a source of the secret ${name} that is not a cluster by gRPC`);
  const { clusterName: cluster, authority } = target.value;
  if (cluster === agentCluster) return { kind: "sds", name };
  return { kind: "sds", name, service: { cluster, authority: authority === "" ? cluster : authority } };
}

function validationOf(
  context: CertificateValidationContext | undefined,
  secret: RootsRef | undefined,
  where: string,
  notes: ConfigNotes,
): Validation {
  if (context !== undefined) {
    checkFields(CertificateValidationContextSchema, context, where, notes, {
      used: [
        "trustedCa",
        "matchSubjectAltNames",
        "matchTypedSubjectAltNames",
        "verifyCertificateSpki",
        "verifyCertificateHash",
        "systemRootCerts",
        "crl",
      ],
      harmless: ["watchedDirectory", "onlyVerifyLeafCertCrl", "maxVerifyDepth", "trustChainVerification"],
    });
  }
  const system = context?.systemRootCerts === undefined ? undefined : ({ kind: "sds", name: systemRoots } as const);
  return {
    roots: secret ?? rootsRef(context?.trustedCa, `${where}: trustedCa`) ?? system,
    revocations: rootsRef(context?.crl, `${where}: crl`),
    subjectAltNames: [
      ...(context?.matchSubjectAltNames ?? []).map((matcher) => nameMatcher("any", matcher, where)),
      ...(context?.matchTypedSubjectAltNames ?? []).map(({ sanType, matcher }) =>
        nameMatcher(sanTypes[sanType] ?? "any", matcher, where),
      ),
    ],
    publicKeyHashes: context?.verifyCertificateSpki ?? [],
    certificateHashes: (context?.verifyCertificateHash ?? []).map((hash) => hash.replaceAll(":", "").toLowerCase()),
  };
}

/** Istio's name for the roots of the operating system. */
const systemRoots = "file-root:system";

const sanTypes: Readonly<Record<number, SubjectAltNameMatcher["type"]>> = {
  [SubjectAltNameMatcher_SanType.URI]: "uri",
  [SubjectAltNameMatcher_SanType.DNS]: "dns",
  [SubjectAltNameMatcher_SanType.IP_ADDRESS]: "ip",
  [SubjectAltNameMatcher_SanType.EMAIL]: "email",
};

function nameMatcher(
  type: SubjectAltNameMatcher["type"],
  matcher: StringMatcher | undefined,
  where: string,
): SubjectAltNameMatcher {
  const pattern = matcher?.matchPattern;
  const ignoreCase = matcher?.ignoreCase ?? false;
  switch (pattern?.case) {
    case "exact":
    case "prefix":
    case "suffix":
    case "contains":
      return { type, match: pattern.case, value: pattern.value, ignoreCase };
    case "safeRegex":
      return { type, match: "regex", value: pattern.value.regex, ignoreCase };
    default:
      throw unsupported(where, `a subject alternative name match by ${pattern?.case ?? "nothing"}`);
  }
}

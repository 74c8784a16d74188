import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  DownstreamTlsContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
  type CertificateValidationContextSchema,
  type ConfigSourceSchema,
  type SubjectAltNameMatcherSchema,
  type TransportSocketSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { packed, overAgentSds } from "./envoy-any.ts";
import { tlsParameters } from "./tls-compliance.ts";

export type TransportSocketInit = MessageInitShape<typeof TransportSocketSchema>;
export type DownstreamTlsInit = Exclude<MessageInitShape<typeof DownstreamTlsContextSchema>, { $typeName: string }>;

/** The TLS 1.2 cipher suites of Istio's servers. Configured ones replace them. */
const istioCiphers: readonly string[] = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

export function downstreamTls(context: DownstreamTlsInit): TransportSocketInit {
  return {
    name: "envoy.transport_sockets.tls",
    configType: { case: "typedConfig", value: packed(DownstreamTlsContextSchema, context) },
  };
}

/**
 * The server's side of Istio's mutual TLS: it shows the workload's certificate, and accepts only clients of the mesh's
 * trust domains.
 */
export function mutualTlsServer(mesh: MeshSettings, alpnProtocols: readonly string[]): DownstreamTlsInit {
  const { minProtocolVersion, cipherSuites } = mesh.meshMutualTls;
  return {
    commonTlsContext: {
      alpnProtocols: [...alpnProtocols],
      ...tlsParameters(mesh, {
        tlsMinimumProtocolVersion:
          minProtocolVersion === "TLSV1_3" ? TlsParameters_TlsProtocol.TLSv1_3 : TlsParameters_TlsProtocol.TLSv1_2,
        tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
        cipherSuites: cipherSuites.length > 0 ? [...cipherSuites] : [...istioCiphers],
      }),
      ...ownCertificate,
      ...meshPeers(clientDomains(mesh).map(trustDomainPeers)),
    },
    requireClientCertificate: true,
  };
}

/** The server's side of HBONE's TLS: TLS 1.3, unless a compliance policy forbids it, and HTTP/2. */
export function hboneServer(mesh: MeshSettings): DownstreamTlsInit {
  return {
    commonTlsContext: {
      alpnProtocols: ["h2"],
      ...tlsParameters(mesh, {
        tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
        tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
      }),
      ...ownCertificate,
      ...meshPeers(clientDomains(mesh).map(trustDomainPeers)),
    },
    requireClientCertificate: true,
  };
}

function clientDomains({ trustDomain, trustDomainAliases, trustedDomains }: MeshSettings): readonly string[] {
  return [...new Set([trustDomain, ...trustDomainAliases, ...trustedDomains])].filter((domain) => domain !== "");
}

export const ownCertificate = { tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: overAgentSds }] };

/** Validates peers by their certificates: the named root must have signed them, and `defaults` may add conditions. */
export function validatedBy(
  root: { readonly name: string; readonly sdsConfig: MessageInitShape<typeof ConfigSourceSchema> },
  defaults: MessageInitShape<typeof CertificateValidationContextSchema>,
) {
  return {
    validationContextType: {
      case: "combinedValidationContext" as const,
      value: { defaultValidationContext: defaults, validationContextSdsSecretConfig: root },
    },
  };
}

type SubjectAltNameInit = MessageInitShape<typeof SubjectAltNameMatcherSchema>;

/** Accepts peers of the mesh with one of these names, or all peers of the mesh if there are none. */
export function meshPeers(names: readonly SubjectAltNameInit[]) {
  return validatedBy({ name: "ROOTCA", sdsConfig: overAgentSds }, { matchTypedSubjectAltNames: [...names] });
}

/** Matches all identities of a trust domain, or those below a path in it such as `domain/ns/shop/sa`. */
export function trustDomainPeers(domain: string) {
  return {
    sanType: SubjectAltNameMatcher_SanType.URI,
    matcher: { matchPattern: { case: "prefix" as const, value: `spiffe://${domain}/` } },
  };
}

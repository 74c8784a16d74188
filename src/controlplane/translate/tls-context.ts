import type { MessageInitShape } from "@bufbuild/protobuf";
import { DownstreamTlsContextSchema, SubjectAltNameMatcher_SanType, TlsParameters_TlsProtocol, type TransportSocketSchema } from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { overAgentSds, packed } from "./envoy-any.ts";

export type TransportSocketInit = MessageInitShape<typeof TransportSocketSchema>;
export type DownstreamTlsInit = Exclude<MessageInitShape<typeof DownstreamTlsContextSchema>, { $typeName: string }>;

/** Ciphers of TLS 1.2 that Istio's servers take where nobody names others. */
export const istioCiphers: readonly string[] = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-GCM-SHA256",
];

export function downstreamTls(context: DownstreamTlsInit): TransportSocketInit {
  return { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig", value: packed(DownstreamTlsContextSchema, context) } };
}

/** Istio's mutual TLS at a server: the workload's own certificate, and clients of the mesh's trust domains only. */
export function mutualTlsServer(mesh: MeshSettings, alpnProtocols: readonly string[]): DownstreamTlsInit {
  const { minProtocolVersion, cipherSuites } = mesh.meshMutualTls;
  return {
    commonTlsContext: {
      alpnProtocols: [...alpnProtocols],
      tlsParams: {
        tlsMinimumProtocolVersion: minProtocolVersion === "TLSV1_3" ? TlsParameters_TlsProtocol.TLSv1_3 : TlsParameters_TlsProtocol.TLSv1_2,
        tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
        cipherSuites: cipherSuites.length > 0 ? [...cipherSuites] : [...istioCiphers],
      },
      ...ownCertificate,
      ...peersOf([mesh.trustDomain, ...mesh.trustDomainAliases]),
    },
    requireClientCertificate: true,
  };
}

/** HBONE at a server: TLS 1.3 and HTTP/2. */
export function hboneServer(mesh: MeshSettings): DownstreamTlsInit {
  return {
    commonTlsContext: {
      alpnProtocols: ["h2"],
      tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
      ...ownCertificate,
      ...peersOf([mesh.trustDomain, ...mesh.trustDomainAliases]),
    },
    requireClientCertificate: true,
  };
}

const ownCertificate = { tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: overAgentSds }] };

function peersOf(trustDomains: readonly string[]) {
  return {
    validationContextType: {
      case: "combinedValidationContext" as const,
      value: {
        defaultValidationContext: {
          matchTypedSubjectAltNames: trustDomains.map((domain) => ({ sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern: { case: "prefix" as const, value: `spiffe://${domain}/` } } })),
        },
        validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: overAgentSds },
      },
    },
  };
}

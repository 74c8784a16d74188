import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  DownstreamTlsContextSchema,
  TransportSocketSchema,
  UpstreamTlsContextSchema,
  type CommonTlsContext,
  type CommonTlsContextSchema,
  type TransportSocket,
} from "../../../wire/envoy/index.ts";
import { packed } from "../envoy-any.ts";
import { ownCertificate } from "../tls-context.ts";

/** The name of transport sockets with TLS. gRPC libraries accept no other. */
const socketName = "envoy.transport_sockets.tls";
/** The certificate provider that the agent's bootstrap file defines. */
const instanceName = "default";

/** The mutual TLS of a gRPC client to the servers of an Envoy cluster. Undefined for plain text and for other TLS. */
export function grpcClientTls(socket: TransportSocket | undefined): TransportSocket | undefined {
  if (socket?.configType.case !== "typedConfig") return undefined;
  const context = anyUnpack(socket.configType.value, UpstreamTlsContextSchema);
  if (context === undefined || !usesMeshCertificate(context.commonTlsContext)) return undefined;
  const commonTlsContext = certificateProviders(identitiesOf(context.commonTlsContext));
  return create(TransportSocketSchema, {
    name: socketName,
    configType: { case: "typedConfig", value: packed(UpstreamTlsContextSchema, { commonTlsContext }) },
  });
}

/**
 * The mutual TLS of a gRPC server. gRPC cannot restrict the names of clients, so clients of every trust domain are
 * accepted.
 */
export function grpcServerTls(): TransportSocket {
  const context = { commonTlsContext: certificateProviders([]), requireClientCertificate: true };
  return create(TransportSocketSchema, {
    name: socketName,
    configType: { case: "typedConfig", value: packed(DownstreamTlsContextSchema, context) },
  });
}

export function isMeshServerTls(socket: TransportSocket | undefined): boolean {
  return (
    socket?.configType.case === "typedConfig" &&
    usesMeshCertificate(anyUnpack(socket.configType.value, DownstreamTlsContextSchema)?.commonTlsContext)
  );
}

function usesMeshCertificate(context: CommonTlsContext | undefined): boolean {
  const [own] = ownCertificate.tlsCertificateSdsSecretConfigs;
  return context?.tlsCertificateSdsSecretConfigs.some(({ name }) => name === own?.name) === true;
}

function identitiesOf(context: CommonTlsContext | undefined): readonly string[] {
  const validation = context?.validationContextType;
  if (validation?.case !== "combinedValidationContext") return [];
  return (validation.value.defaultValidationContext?.matchTypedSubjectAltNames ?? []).flatMap(({ matcher }) =>
    matcher?.matchPattern.case === "exact" ? [matcher.matchPattern.value] : [],
  );
}

/** Sets the fields that current libraries read and the deprecated fields that older ones read. */
function certificateProviders(identities: readonly string[]): MessageInitShape<typeof CommonTlsContextSchema> {
  const certificate = { instanceName, certificateName: "default" };
  const roots = { instanceName, certificateName: "ROOTCA" };
  return {
    tlsCertificateProviderInstance: certificate,
    tlsCertificateCertificateProviderInstance: certificate,
    validationContextType: {
      case: "combinedValidationContext",
      value: {
        defaultValidationContext: {
          caCertificateProviderInstance: roots,
          matchSubjectAltNames: identities.map((value) => ({ matchPattern: { case: "exact" as const, value } })),
        },
        validationContextCertificateProviderInstance: roots,
      },
    },
  };
}

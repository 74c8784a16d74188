// Shared by both data planes: xDS and CA clients, HBONE, relays, identities, drain, admin servers.
export type { ControlPlaneEndpoint } from "./grpc-channel.ts";
export {
  CertificateManager,
  type CertificateManagerOptions,
  type CertificateState,
  type CertificateStatus,
} from "./certificates/certificate-manager.ts";
export { addCertificateMetrics } from "./certificates/certificate-metrics.ts";
export type { CertificateAuthority, SigningRequest } from "./certificates/certificate-types.ts";
export { FakeCertificateAuthority } from "./certificates/fake-certificate-authority.ts";
export { IstioCertificateClient, type IstioCertificateClientOptions } from "./certificates/istio-certificate-client.ts";
export { followRoots } from "./certificates/root-follower.ts";
export {
  jsonRoute,
  loggingRoute,
  forOwnPod,
  listenHttp,
  listenSecureHttp,
  metricsRoute,
  namesAsked,
  readinessRoute,
  type EndpointAnswer,
  type EndpointRoute,
  type HttpEndpoint,
  type HttpEndpointOptions,
} from "./http-endpoint.ts";
export { DeltaXdsClient, nodeMessage, type DeltaXdsClientOptions } from "./xds/delta-xds-client.ts";
export type { XdsClient, XdsNode, XdsResource, XdsSubscription, XdsUpdate } from "./xds/xds-types.ts";
export * from "./tunnels/index.ts";

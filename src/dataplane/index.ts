// Shared by both data planes: xDS and CA clients, HBONE, relays, identities, drain, admin servers.
export { CertificateManager } from "./certificates/certificate-manager.ts";
export { addCertificateMetrics } from "./certificates/certificate-metrics.ts";
export type { CertificateAuthority } from "./certificates/certificate-types.ts";
export { FakeCertificateAuthority } from "./certificates/fake-certificate-authority.ts";
export { IstioCertificateClient } from "./certificates/istio-certificate-client.ts";
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
export { DeltaXdsClient, nodeMessage } from "./xds/delta-xds-client.ts";
export type { XdsClient, XdsNode, XdsResource, XdsSubscription, XdsUpdate } from "./xds/xds-types.ts";
export * from "./tunnels/index.ts";

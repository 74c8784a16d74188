// What both data planes share: xDS and CA clients, HBONE, relays, identities, drain, admin servers.
export {
  CertificateManager,
  type CertificateManagerOptions,
  type CertificateState,
  type CertificateStatus,
} from "./certificates/certificate-manager.ts";
export { addCertificateMetrics } from "./certificates/certificate-metrics.ts";
export type {
  CertificateAuthority,
  CertificateSource,
  SigningRequest,
  WorkloadCertificate,
} from "./certificates/certificate-types.ts";
export { FakeCertificateAuthority } from "./certificates/fake-certificate-authority.ts";
export { IstioCertificateClient, type IstioCertificateClientOptions } from "./certificates/istio-certificate-client.ts";
export { ReceivedCertificates } from "./certificates/received-certificates.ts";
export { followRevocations, RevocationLists } from "./certificates/revocation-lists.ts";
export { addRevocationMetrics } from "./certificates/revocation-metrics.ts";
export { followRoots } from "./certificates/root-follower.ts";
export { ConnectionTracker, type ConnectionTrackerOptions, type TrackedConnection } from "./connection-tracker.ts";
export { certificateParts, restoreCertificate, type CertificateParts } from "./certificates/workload-certificate.ts";
export { connectWithin, type InnerTunnelOptions } from "./hbone/inner-tunnel.ts";
export { TurnOutput } from "./hbone/turn-output.ts";
export { hboneDialer } from "./hbone/hbone-dialer.ts";
export { HbonePool, type HboneDialer, type HbonePoolOptions } from "./hbone/hbone-pool.ts";
export { hboneCutOffs, type HboneCutOff } from "./hbone/hbone-metrics.ts";
export { serveHbone, type ServeHboneOptions } from "./hbone/hbone-server.ts";
export type {
  HboneConnectOptions,
  HboneRequest,
  HboneServerConnection,
  HboneTarget,
  HboneTunnel,
} from "./hbone/hbone-types.ts";
export { hboneLimits } from "./hbone/limits.ts";
export {
  jsonRoute,
  loggingRoute,
  forOwnPod,
  listenHttp,
  listenSecureHttp,
  metricsRoute,
  readinessRoute,
  type EndpointAnswer,
  type EndpointRoute,
  type HttpEndpoint,
  type HttpEndpointOptions,
} from "./http-endpoint.ts";
export { formatIdentity, parseIdentity, type Identity } from "./identity.ts";
export { localProxyHeader, proxyHeader, proxyHeaderText } from "./proxy-header.ts";
export { relay, type RelayOptions, type RelayResult } from "./relay.ts";
export { DeltaXdsClient, type DeltaXdsClientOptions } from "./xds/delta-xds-client.ts";
export type {
  ControlPlaneEndpoint,
  XdsClient,
  XdsNode,
  XdsResource,
  XdsSubscription,
  XdsUpdate,
} from "./xds/xds-types.ts";

// What both data planes share: xDS and CA clients, HBONE, relays, identities, drain, admin servers.
export { formatIdentity, parseIdentity, type Identity } from "./identity.ts";
export type { CertificateAuthority, CertificateSource, SigningRequest, WorkloadCertificate } from "./certificates/certificate-types.ts";
export type {
  HboneConnectOptions,
  HboneRequest,
  HboneServerConnection,
  HboneTarget,
  HboneTunnel,
} from "./hbone/hbone-types.ts";
export type { ControlPlaneEndpoint, XdsClient, XdsNode, XdsResource, XdsSubscription, XdsUpdate } from "./xds/xds-types.ts";

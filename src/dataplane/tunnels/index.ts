// Carries connections: HBONE, relays, and peers' certificates. Threads that only carry connections use this door,
// because the clients of the control plane and the CA would cost each of them about ten megabytes.
export type { CertificateSource, HandshakeRules, WorkloadCertificate } from "../certificates/certificate-types.ts";
export { ReceivedCertificates } from "../certificates/received-certificates.ts";
export { listsInPem } from "../../x509/index.ts";
export { followRevocations, RevocationLists } from "../certificates/revocation-lists.ts";
export { addRevocationMetrics } from "../certificates/revocation-metrics.ts";
export { restrictionGuard, type RootRestriction, type TrustedRoot } from "../certificates/root-restrictions.ts";
export { certificateParts, restoreCertificate, type CertificateParts } from "../certificates/workload-certificate.ts";
export { ConnectionTracker, type TrackedConnection } from "../connection-tracker.ts";
export { hboneDialer } from "../hbone/hbone-dialer.ts";
export { hboneCutOffs, type HboneCutOff } from "../hbone/hbone-metrics.ts";
export { HeldInput, heldInput, heldInputBytes, type InputHolder } from "../hbone/held-input.ts";
export { HbonePool } from "../hbone/hbone-pool.ts";
export { serveHbone } from "../hbone/hbone-server.ts";
export type { HboneConnectOptions, HboneRequest, HboneServerConnection, HboneTunnel } from "../hbone/hbone-types.ts";
export { connectWithin } from "../hbone/inner-tunnel.ts";
export { openSingleTunnel } from "../hbone/single-tunnel.ts";
export { hboneLimits } from "../hbone/limits.ts";
export { SessionCarrier, type CarrierUser } from "../hbone/session-carrier.ts";
export { formatIdentity, parseIdentity, type Identity } from "../identity.ts";
export { localProxyHeader, proxyHeader, proxyHeaderText } from "../proxy-header.ts";
export { relay } from "../relay.ts";

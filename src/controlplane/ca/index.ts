// The certificate authority: its key and root, and the certificates of workloads.
export { SecretAccess, type ProvenAccount } from "./secret-access.ts";
export { Authenticator, type Caller, type Credentials } from "./authenticator.ts";
export {
  authoritySecretNames,
  loadAuthority,
  type AuthoritySecretOptions,
  type AuthorityState,
} from "./authority-secret.ts";
export {
  CertificateAuthority,
  createSelfSignedAuthority,
  type AuthorityMaterial,
  type ServingCertificate,
} from "./certificate-authority.ts";
export { IssuedCertificates } from "./issued-certificates.ts";
export { CertificateService, type PodDirectory } from "./certificate-service.ts";
export { addExpiryMetrics, createCertificateMetrics, type CertificateMetrics } from "./certificate-metrics.ts";
export { anchorOf, splitPem } from "./root-bundle.ts";

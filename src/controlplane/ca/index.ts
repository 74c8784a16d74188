export { Authenticator, formatSpiffeId, parseSpiffeId, type Caller, type Credentials } from "./authenticator.ts";
export { loadOrCreateAuthority } from "./authority-secret.ts";
export { CertificateAuthority, createSelfSignedAuthority, splitPem, type AuthorityMaterial, type IssuedCertificate, type ServingCertificate } from "./certificate-authority.ts";
export { CertificateService, type CertificateRequest, type PodDirectory } from "./certificate-service.ts";

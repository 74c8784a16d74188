export { Authenticator, type Caller, type Credentials } from "./authenticator.ts";
export { loadOrCreateAuthority, type AuthoritySecretOptions } from "./authority-secret.ts";
export { CertificateAuthority, createSelfSignedAuthority, type AuthorityMaterial, type IssuedCertificate, type ServingCertificate } from "./certificate-authority.ts";
export { CertificateService, type CertificateRequest, type PodDirectory } from "./certificate-service.ts";

// X.509: reads, encodes and signs certificates, requests and revocation lists.
export { checkDer, DerReader, derSequence, derBitString, derTags, type DerElement } from "./der.ts";
export {
  authorityKeyIdentifier,
  basicConstraints,
  extendedKeyUsage,
  extensionIds,
  keyIdentifierOf,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "./extensions.ts";
export { type AlternativeName, commonNameId, distinguishedName } from "./names.ts";
export { peerChain } from "./peer-chain.ts";
export { derOfPem, pemBlocks, pemOf } from "./pem.ts";
export { type IssuerParts, readCertificate, readIssuer, readPathLength, readVersion } from "./read-certificate.ts";
export { completeLists, listsInPem, RevokedCertificates } from "./revoked-certificates.ts";
export { checkKey, isIssuedBy, isSignedBy, readSigned } from "./signature-algorithms.ts";
export { type CertificateContent, X509Signer } from "./x509-signer.ts";

// The library needs reflect-metadata to be loaded first. Only this file imports the two.
import "reflect-metadata";

export {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as ParsedCertificate,
  X509CertificateGenerator,
  type X509CertificateCreateSelfSignedParams as SelfSignedParams,
} from "@peculiar/x509";

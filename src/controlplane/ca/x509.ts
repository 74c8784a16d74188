// The library needs reflect-metadata before it is loaded; nobody else here imports either.
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

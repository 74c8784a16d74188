// The library needs reflect-metadata before it is loaded; nobody else here imports either.
import "reflect-metadata";

export { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectKeyIdentifierExtension, X509CertificateGenerator } from "@peculiar/x509";

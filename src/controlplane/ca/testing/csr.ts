import "reflect-metadata";

export { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";

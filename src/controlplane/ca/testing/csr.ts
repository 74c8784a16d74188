import "../x509.ts";

export { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";

export { rootCertificateName, runRootCertificateController } from "./root-certificate-controller.ts";

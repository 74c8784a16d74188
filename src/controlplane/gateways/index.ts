export { runGatewayControllers, type GatewayControllersOptions } from "./leading.ts";
export type { ProxySettings } from "./proxy-pod.ts";
export { runRootCertificateController } from "./root-certificate-controller.ts";

// Deploys the gateways and waypoints of Gateways, and writes the statuses of the Gateway API.
export { runGatewayControllers } from "./leading.ts";
export { readGatewayPodValues } from "./pod-values.ts";
export type { ProxySettings } from "./proxy-pod.ts";
export { runRootCertificateController } from "./root-certificate-controller.ts";

// Renders the objects of Banzai Cloud's kinds.
export type { ReleaseImages } from "./banzai-settings.ts";
export { meshGatewayNames, renderMeshGateways } from "./gateway-object.ts";
export { banzaiPilotIssues, controlPlaneLabels, renderBanzaiControlPlane } from "./render-control-plane.ts";
export { gatewaySelector, renderBanzaiGateway } from "./render-gateway.ts";

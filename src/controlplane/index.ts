export { ControlPlane, type ControlPlaneOptions } from "./control-plane.ts";
export { readControlPlaneSettings, type ControlPlaneSettings } from "./control-plane-options.ts";
export { serveLogControl } from "./serve/index.ts";

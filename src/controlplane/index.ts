// The control plane of one revision: reads the mesh, and serves its configuration to proxies.
export { ControlPlane, type ControlPlaneOptions } from "./control-plane.ts";
export { readControlPlaneSettings, type ControlPlaneSettings } from "./options/control-plane-options.ts";
export { serveLogControl } from "./serve/index.ts";

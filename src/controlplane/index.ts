// The control plane of one revision: reads the mesh, and serves its configuration to proxies.
export { ControlPlane } from "./control-plane.ts";
export { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
export { serveLogControl } from "./serve/index.ts";

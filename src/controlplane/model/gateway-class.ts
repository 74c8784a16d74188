import type { CollectionReader } from "../../kube/index.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export const gatewayControllerName = "istio.io/gateway-controller";
export const ingressClassName = "istio";
/** Waypoints that objects name by label. */
export const waypointClassName = "istio-waypoint";
/** Waypoints of 2022: for the workloads of a service account, which need no label. */
export const meshClassName = "istio-mesh";

/** Whether Gateways of the class are ours to serve: the built-in one, or one that names our controller. */
export function isIngressClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return className === ingressClassName || reader.get(inputs.gatewayClasses, className)?.controllerName === gatewayControllerName;
}

export function isWaypointClass(className: string): boolean {
  return className === waypointClassName || className === meshClassName;
}

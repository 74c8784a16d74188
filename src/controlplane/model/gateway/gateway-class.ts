import type { CollectionReader } from "../../../kube/index.ts";
import { meshKey } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

export const gatewayControllerName = "istio.io/gateway-controller";
/** The controller name for the mesh itself rather than for a Gateway. */
export const meshControllerName = "istio.io/mesh-controller";
export const eastWestControllerName = "istio.io/eastwest-controller";
const unmanagedControllerName = "istio.io/unmanaged-gateway";
export const remoteClassName = "istio-remote";
/** The way into a network by HBONE, of ambient meshes. */
export const eastWestClassName = "istio-east-west";
export const ingressClassName = "istio";
/** Waypoints that objects name by label. */
export const waypointClassName = "istio-waypoint";
/** Waypoints of 2022: for the workloads of a service account, which need no label. */
export const meshClassName = "istio-mesh";

/** Whether Gateways of the class are ours to serve: the built-in one, or one that names our controller. */
export function isIngressClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return (
    className === ingressClassName ||
    reader.get(inputs.gatewayClasses, className)?.controllerName === gatewayControllerName
  );
}

/** Gateways of other clusters, which are told of here and not served. */
export function isRemoteClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return (
    className === remoteClassName ||
    reader.get(inputs.gatewayClasses, className)?.controllerName === unmanagedControllerName
  );
}

export function isWaypointClass(className: string): boolean {
  return className === waypointClassName || className === meshClassName;
}

/** The way into the own network, of ambient meshes that span several: elsewhere the class means nothing. */
export function isEastWestClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return className === eastWestClassName && reader.get(inputs.mesh, meshKey)?.ambientMultiNetwork === true;
}

import type { CollectionReader } from "../../kube/index.ts";
import { meshKey } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export const gatewayControllerName = "istio.io/gateway-controller";
/** The controller of routes whose parent is a Service. */
export const meshControllerName = "istio.io/mesh-controller";
export const eastWestControllerName = "istio.io/eastwest-controller";
export const unmanagedControllerName = "istio.io/unmanaged-gateway";
/** The label `gateway.istio.io/managed` has this value on the objects of waypoints. */
export const waypointsManagedBy = "istio.io-mesh-controller";
/** The label has this value on the objects of gateways between networks. */
export const eastWestManagedBy = "istio.io-eastwest-controller";
export const remoteClassName = "istio-remote";
/** The class of ambient mode's gateways into a network, which use HBONE. */
export const eastWestClassName = "istio-east-west";
export const ingressClassName = "istio";
/** The class of waypoints that objects name by a label. */
export const waypointClassName = "istio-waypoint";
/** The class of the waypoints of 2022. Each serves the workloads of one service account, and no label names it. */
export const meshClassName = "istio-mesh";

/** Whether this mesh serves Gateways of the class, which is the built-in one or one that names our controller. */
export function isIngressClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return (
    className === ingressClassName ||
    reader.get(inputs.gatewayClasses, className)?.controllerName === gatewayControllerName
  );
}

/** Whether a Gateway of the class describes a gateway of another cluster, which serves it. */
export function isRemoteClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return (
    className === remoteClassName ||
    reader.get(inputs.gatewayClasses, className)?.controllerName === unmanagedControllerName
  );
}

const builtInClasses: ReadonlySet<string> = new Set([
  ingressClassName,
  remoteClassName,
  eastWestClassName,
  waypointClassName,
  meshClassName,
]);
const ownControllers: ReadonlySet<string> = new Set([
  gatewayControllerName,
  meshControllerName,
  eastWestControllerName,
  unmanagedControllerName,
]);

/**
 * Whether this control plane writes the statuses of the class's Gateways. `controllerName` is that of the GatewayClass.
 */
export function isServedClass(className: string, controllerName: string | undefined): boolean {
  return builtInClasses.has(className) || (controllerName !== undefined && ownControllers.has(controllerName));
}

export function isWaypointClass(className: string): boolean {
  return className === waypointClassName || className === meshClassName;
}

/**
 * Whether a Gateway of the class leads into the cluster's own network. The class has no effect in ambient meshes
 * without several networks.
 */
export function isEastWestClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return className === eastWestClassName && reader.get(inputs.mesh, meshKey)?.ambientMultiNetwork === true;
}

import type { CollectionReader } from "../../kube/index.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export const gatewayControllerName = "istio.io/gateway-controller";
export const ingressClassName = "istio";

/** Whether Gateways of the class are ours to serve: the built-in one, or one that names our controller. */
export function isIngressClass(className: string, inputs: MeshInputs, reader: CollectionReader): boolean {
  return className === ingressClassName || reader.get(inputs.gatewayClasses, className)?.controllerName === gatewayControllerName;
}

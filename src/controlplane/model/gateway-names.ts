import { istioAnnotations } from "../../api/istio/index.ts";
import type { GatewayFacts } from "./facts.ts";
import { eastWestClassName, waypointClassName } from "./gateway-class.ts";

const nameOverrideAnnotation = "gateway.istio.io/name-override";

type Named = Pick<GatewayFacts, "name" | "annotations"> & { readonly spec: { readonly gatewayClassName: string } };

/** The name of the Service in front of a Gateway's proxies, and of their Deployment. */
export function gatewayServiceName({ name, annotations, spec }: Named): string {
  return annotations[nameOverrideAnnotation] ?? defaultName(name, spec.gatewayClassName);
}

export function gatewayAccountName({ name, annotations, spec }: Named): string {
  return annotations[istioAnnotations.serviceAccountName] ?? defaultName(name, spec.gatewayClassName);
}

function defaultName(name: string, className: string): string {
  return className === waypointClassName || className === eastWestClassName ? name : `${name}-${className}`;
}

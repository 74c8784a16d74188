import type { Tree } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readGateway, type GatewayConfiguration, type ResourceReference } from "./gateway-configuration.ts";
import type { BanzaiStatus } from "./istio.ts";

/**
 * `istio.banzaicloud.io/v1beta1` MeshGateway: a gateway's Deployment and Service, and the control plane that configures
 * it.
 */
export interface BanzaiMeshGateway extends KubernetesObject {
  spec: BanzaiMeshGatewaySpec;
  status?: BanzaiStatus;
}

export interface BanzaiMeshGatewaySpec extends GatewayConfiguration {
  readonly type: "ingress" | "egress";
  /** Undefined means the oldest Istio of the cluster. */
  readonly istioControlPlane: ResourceReference | undefined;
}

/** Parses a MeshGateway of Banzai Cloud's operator. Without a namespace, its control plane is in its own namespace. */
export function parseBanzaiMeshGateway(raw: unknown): Parsed<BanzaiMeshGateway> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "metadata", "status");
  const spec = reader.object("spec") ?? new Reader({}, "spec");
  reader.unknownFields();
  const own = (raw as KubernetesObject).metadata.namespace ?? "";
  const reference = spec.object("istioControlPlane");
  const name = reference?.required("name", reference.string("name"));
  const namespace = reference?.string("namespace") ?? own;
  reference?.unknownFields();
  const parsed = {
    ...readGateway(spec, true),
    type: spec.required("type", spec.oneOf("type", ["ingress", "egress"])) ?? ("ingress" as const),
    istioControlPlane: name === undefined ? undefined : { name, namespace },
  };
  spec.unknownFields();
  return reader.finish(() => ({ ...(raw as KubernetesObject), spec: parsed }));
}

export const banzaiMeshGatewayKind = defineKind<KubernetesObject & { spec?: Tree; status?: BanzaiStatus }>({
  group: "istio.banzaicloud.io",
  versions: ["v1beta1"],
  kind: "MeshGateway",
  plural: "meshgateways",
  namespaced: true,
});

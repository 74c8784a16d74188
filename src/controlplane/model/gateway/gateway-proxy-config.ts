import { istioLabels, type OwnProxyConfig } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import type { PodFacts } from "../facts.ts";
import { waypointKeyOf } from "../ambient/waypoint.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/** What the pods of a Gateway (Gateway API, by `namespace/name`, or a waypoint's key) have otherwise than the mesh: they are made of one template. */
export function proxyConfigOfGateway(
  gateway: string,
  { pods }: Pick<MeshInputs, "pods">,
  reader: CollectionReader,
): OwnProxyConfig | undefined {
  const byGateway = pods.index("gateway-with-proxy-config", gatewaysWithConfig);
  return reader.lookup(byGateway, gateway)[0]?.proxyConfig;
}

function gatewaysWithConfig(pod: PodFacts): readonly string[] {
  const gateway = pod.labels[istioLabels.gatewayName];
  return pod.proxyConfig === undefined || gateway === undefined
    ? []
    : [waypointKeyOf(pod) ?? `${pod.namespace}/${gateway}`];
}

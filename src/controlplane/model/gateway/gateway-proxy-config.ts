import { istioLabels, type OwnProxyConfig } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import type { PodFacts } from "../facts.ts";
import { waypointKeyOf } from "../ambient/waypoint.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/**
 * The proxy settings of a Gateway's pods that differ from the mesh's. `gateway` is `namespace/name`, or a waypoint's
 * key. All pods of a Gateway have the same settings, because they share a template.
 */
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

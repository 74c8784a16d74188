import { istioLabels } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { localNetwork } from "../../model/cluster-view.ts";
import { factsKey, type MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { nowhere } from "../../model/service/service-endpoint-model.ts";
import { waypointPods } from "../../model/ambient/waypoint.ts";
import type { ClientPlace } from "../outbound/outbound-locality.ts";

/** The scope of resources that depend on the location of a waypoint's pod `namespace/name`. */
export function waypointPodScope(waypoint: string, pod: string): string {
  return `${waypoint}@${pod}`;
}

/** The locations of a waypoint's pods. Those of pods in other clusters are unknown. */
export function placesOf(
  waypoint: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly { readonly scope: string; readonly place: ClientPlace }[] {
  return reader.lookup(waypointPods(inputs), waypoint).map((pod) => {
    const { region, zone, subzone } = reader.get(inputs.nodes, pod.node) ?? nowhere;
    const network = pod.labels[istioLabels.network] ?? localNetwork(mesh, inputs, reader);
    return {
      scope: waypointPodScope(waypoint, factsKey(pod)),
      place: {
        locality: { region, zone, subzone },
        node: pod.node,
        network,
        clusterId: mesh.clusterId,
        labels: pod.labels,
      },
    };
  });
}

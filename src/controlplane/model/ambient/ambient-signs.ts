import { istioLabels } from "../../../api/istio/index.ts";
import type { Collection } from "../../../kube/index.ts";
import type { Labels, PodFacts } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import type { Waypoints } from "./waypoint.ts";

interface Labelled {
  readonly labels: Labels;
}

/**
 * Calls `onSign` at the first sign that ztunnels run or will run: a captured pod, a ztunnel's own pod, a waypoint, or a
 * label that adds a namespace or pod to ambient or names a waypoint. It is called at most once, and never after the
 * result was disposed of. Objects that existed before this call are no sign.
 */
export function watchForAmbient(inputs: MeshInputs, waypoints: Waypoints, onSign: () => void): Disposable {
  const watched: Disposable[] = [];
  const end = (): void => {
    for (const watch of watched.splice(0)) watch[Symbol.dispose]();
  };
  const watch = <Item>(collection: Collection<Item>, isSign: (item: Item) => boolean): void => {
    watched.push(
      collection.onChange((changes) => {
        if (watched.length === 0 || !changes.some((change) => change.type === "set" && isSign(change.item))) return;
        end();
        onSign();
      }),
    );
  };
  for (const { namespaces, pods, services } of [inputs, inputs.remote]) {
    watch(namespaces, isInAmbient);
    watch(pods, isAmbientPod);
    watch(services, isInAmbient);
  }
  watch(inputs.serviceEntries, isInAmbient);
  watch(inputs.workloadEntries, isInAmbient);
  watch(waypoints.all, () => true);
  return { [Symbol.dispose]: end };
}

function isAmbientPod(pod: PodFacts): boolean {
  return pod.redirected || pod.labels["app"] === "ztunnel" || isInAmbient(pod);
}

function isInAmbient({ labels }: Labelled): boolean {
  return labels[istioLabels.dataplaneMode] === "ambient" || labels[istioLabels.useWaypoint] !== undefined;
}

import { objectsOf } from "./canary-shape.ts";
import type { ModelCluster } from "./model-cluster.ts";
import type { ModelObject } from "./model-object.ts";
import { isApp, strangePointer } from "./pod-groups.ts";
import type { SimRollout } from "./scenario.ts";

const writer = "somebody";
const subsetsPointer = "/spec/subsets";

type Subset = { readonly name: string; readonly labels: Readonly<Record<string, string>> };

/** The second subset of a DestinationRule that the user has made for both versions. */
const secondSubset: Subset = { name: "v2", labels: { version: "v2" } };

/**
 * Somebody gives a Service of a Canary a selector that fits no pod. Without `at`, they restore the former selectors.
 */
export function changeSelector(cluster: ModelCluster, sim: SimRollout, at: number | undefined): void {
  const services = objectsOfApp(cluster, sim, "Service");
  if (at === undefined) {
    for (const service of services)
      if (service.fields.has(strangePointer)) cluster.setField(service, strangePointer, undefined, writer);
    return;
  }
  const service = services[at % services.length];
  if (service !== undefined) cluster.setField(service, strangePointer, "yes", writer);
}

/**
 * With `begins`, somebody removes the last subset from the DestinationRules of a Canary, which may be one that the
 * Canary has added. Otherwise, the user adds it again if it was the user's.
 */
export function dropSubsets(cluster: ModelCluster, sim: SimRollout, begins: boolean): void {
  for (const rule of objectsOfApp(cluster, sim, "DestinationRule")) {
    const subsets = (rule.fields.get(subsetsPointer) ?? []) as readonly Subset[];
    const isOfUser = subsets[0]?.name === "v1";
    if (begins && subsets.length > 1) cluster.setField(rule, subsetsPointer, subsets.slice(0, -1), writer);
    if (!begins && isOfUser && subsets.every(({ name }) => name !== secondSubset.name))
      cluster.setField(rule, subsetsPointer, [...subsets, secondSubset], writer);
  }
}

export function drainNode(cluster: ModelCluster, sim: SimRollout): void {
  for (const deployment of objectsOfApp(cluster, sim, "Deployment"))
    if (isApp(deployment.reference)) cluster.start(deployment);
}

/** An autoscaler scales the application's own Deployment to 0, and later to one pod. */
export function scaleToZero(cluster: ModelCluster, sim: SimRollout, begins: boolean): void {
  const app = cluster.find(objectsOf(sim).app);
  const pods = app?.fields.get("/spec/replicas");
  if (app !== undefined && (begins || pods === 0))
    cluster.setField(app, "/spec/replicas", begins ? 0 : 1, "autoscaler");
}

function objectsOfApp(cluster: ModelCluster, sim: SimRollout, kind: string): readonly ModelObject[] {
  return [...cluster.objects.values()].filter(
    ({ reference }) => reference.kind === kind && reference.name.split("-").includes(sim.name),
  );
}

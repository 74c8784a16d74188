import { destinationRuleKind, hostCovers, type DestinationRule } from "../../api/istio/index.ts";
import { serviceKind } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { hostInMesh } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { storedSpec } from "./stored-fields.ts";

export interface LabelSources {
  readonly client: KubeClient;
  readonly view: ClusterView;
}

export async function selectorOf(
  { client, view }: LabelSources,
  name: string,
  namespace: string,
): Promise<Record<string, string> | undefined> {
  const found = await view.recently(
    `service ${namespace}/${name}`,
    async () => await client.get(serviceKind, name, namespace),
  );
  const { selector } = (found?.spec ?? {}) as { selector?: Record<string, string> };
  return selector !== undefined && Object.keys(selector).length > 0 ? selector : undefined;
}

/**
 * The labels of a subset. Undefined if no DestinationRule of any namespace has the subset for the host; then no proxy
 * can send requests there. Rules for exactly the host come before rules for a wildcard. Among equal ones, rules in
 * `namespaces` come first, and those of its last namespace before those of the others.
 */
export async function subsetLabels(
  { client, view }: LabelSources,
  host: string,
  subset: string,
  namespaces: readonly string[],
): Promise<Readonly<Record<string, string>> | undefined> {
  const { items } = await view.recently("destination rules", async () => await client.list(destinationRuleKind));
  const rules = items.flatMap((item) => {
    const { namespace = "" } = item.metadata;
    const { host: pattern, subsets } = storedSpec<DestinationRule["spec"]>("DestinationRule", item);
    const covered = hostInMesh(pattern, namespace);
    return hostCovers(covered, host)
      ? [{ isWide: covered !== host, rank: namespaces.indexOf(namespace), subsets }]
      : [];
  });
  const [found] = rules
    .toSorted((a, b) => Number(a.isWide) - Number(b.isWide) || b.rank - a.rank)
    .flatMap(({ subsets }) => subsets.filter(({ name }) => name === subset));
  return found?.labels;
}

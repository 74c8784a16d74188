import { matchesLabelSelector, type UntypedObject } from "../../api/index.ts";
import { maxNamed, type EnvoyFilterReport } from "../report.ts";
import { resourceChanges, signatureOf, type ProxyResources, type ResourceChange } from "./resources.ts";

/**
 * A proxy with the four configurations that it would get: from each release, with the cluster's EnvoyFilters and
 * without them.
 */
export interface FilteredProxy {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly from: { readonly with: ProxyResources; readonly without: ProxyResources };
  readonly to: { readonly with: ProxyResources; readonly without: ProxyResources };
}

/**
 * The effect of each EnvoyFilter in both releases, which is the difference between configurations with and without the
 * filters. Nothing interprets the filters themselves, so those that select the same proxy share their report.
 */
export function envoyFilterEffects(
  filters: readonly UntypedObject[],
  proxies: readonly FilteredProxy[],
  rootNamespace: string,
): EnvoyFilterReport[] {
  const effects = proxies.map((proxy) => ({
    proxy,
    from: effectOf(proxy.name, proxy.from),
    to: effectOf(proxy.name, proxy.to),
  }));
  return filters.map((filter) => {
    const own = effects.filter(({ proxy }) => selects(filter, proxy, rootNamespace));
    const differing = own.flatMap(({ proxy, from, to }) =>
      [...new Set([...from.keys(), ...to.keys()])]
        .filter((key) => from.get(key) !== to.get(key))
        .map((key) => `${proxy.name}: ${key}`),
    );
    return {
      name: `${filter.metadata.namespace ?? ""}/${filter.metadata.name ?? ""}`,
      patchedByFrom: own.reduce((sum, { from }) => sum + from.size, 0),
      patchedByTo: own.reduce((sum, { to }) => sum + to.size, 0),
      differing: differing.slice(0, maxNamed),
      differingCount: differing.length,
    };
  });
}

/**
 * The effect of the filters in one release, by the type and name of the resource. It is the difference from the same
 * release without the filters, so it contains no other difference between the releases.
 */
function effectOf(
  proxy: string,
  answers: { readonly with: ProxyResources; readonly without: ProxyResources },
): ReadonlyMap<string, string> {
  return new Map(
    resourceChanges(proxy, answers.without, answers.with).map((change: ResourceChange) => [
      `${change.type} ${change.resource}`,
      effectSignature(change),
    ]),
  );
}

function effectSignature({ changes, ...change }: ResourceChange): string {
  return signatureOf({
    ...change,
    changes: changes.map(({ path, after }) => (after === undefined ? { path } : { path, after })),
  });
}

function selects(
  { metadata, ...object }: UntypedObject,
  { namespace, labels }: FilteredProxy,
  rootNamespace: string,
): boolean {
  if (metadata.namespace !== rootNamespace && metadata.namespace !== namespace) return false;
  const spec = object["spec"] as
    | { readonly workloadSelector?: { readonly labels?: Record<string, string> } }
    | undefined;
  return matchesLabelSelector({ matchLabels: spec?.workloadSelector?.labels ?? {} }, labels);
}

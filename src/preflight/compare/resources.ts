import { canonicalJson } from "../../base/index.ts";
import { maxNamed, type ResourceChangeType, type ResourceGroup } from "../report.ts";
import { fieldChanges, type FieldChange, type Json } from "../tree-diff.ts";

/** The configuration that one proxy would receive: resources by their type (`cluster`), then by their name. */
export type ProxyResources = ReadonlyMap<string, ReadonlyMap<string, Json>>;

export interface ResourceChange {
  readonly proxy: string;
  readonly type: string;
  readonly resource: string;
  readonly change: ResourceChangeType;
  readonly changes: readonly FieldChange[];
}

export function resourceChanges(proxy: string, before: ProxyResources, after: ProxyResources): ResourceChange[] {
  const found: ResourceChange[] = [];
  for (const type of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(type) ?? noResources, after.get(type) ?? noResources];
    for (const resource of new Set([...old.keys(), ...now.keys()])) {
      const [was, is] = [old.get(resource), now.get(resource)];
      if (was === undefined) found.push({ proxy, type, resource, change: "added", changes: [] });
      else if (is === undefined) found.push({ proxy, type, resource, change: "removed", changes: [] });
      else {
        const changes = fieldChanges(was, is);
        if (changes.length > 0) found.push({ proxy, type, resource, change: "changed", changes });
      }
    }
  }
  return found;
}

const noResources: ReadonlyMap<string, Json> = new Map();

interface Grouping {
  readonly first: ResourceChange;
  readonly resources: Set<string>;
  readonly proxies: Set<string>;
}

/** Joins equal changes into one group with all its resources and proxies. The most frequent come first. */
export function groupChanges(changes: readonly ResourceChange[]): ResourceGroup[] {
  const groups = new Map<string, Grouping>();
  for (const change of changes) {
    const key = signatureOf(change);
    const group = groups.get(key) ?? { first: change, resources: new Set<string>(), proxies: new Set<string>() };
    group.resources.add(change.resource);
    group.proxies.add(change.proxy);
    groups.set(key, group);
  }
  const weight = ({ resources, proxies }: Grouping): number => resources.size * proxies.size;
  return [...groups.values()]
    .toSorted((left, right) => weight(right) - weight(left))
    .map(({ first: { type, change, changes: fields }, resources, proxies }) => ({
      type,
      change,
      changes: fields,
      resources: [...resources].toSorted().slice(0, maxNamed),
      resourceCount: resources.size,
      proxies: [...proxies].toSorted().slice(0, maxNamed),
      proxyCount: proxies.size,
    }));
}

/** A key that is the same for equal changes of different resources. */
export function signatureOf({ type, change, changes }: ResourceChange): string {
  return canonicalJson([
    type,
    change,
    changes.map(({ path, before, after }) => [
      path,
      before ?? null,
      before === undefined,
      after ?? null,
      after === undefined,
    ]),
  ]);
}

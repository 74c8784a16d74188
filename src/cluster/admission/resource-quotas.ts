import type { UntypedObject } from "../../api/index.ts";
import { addQuantities, compareQuantities, quantityText, type Quantity } from "../schema/quantity.ts";
import type { Store, StoredRecord } from "../store/index.ts";
import { addAmounts, amountsOf, podSpecOf, wholePodAmounts, type Amounts } from "../schema/pod-amounts.ts";
import { isInScopes, type QuotaSpec } from "./quota-scopes.ts";
import { claimsKey, collectionOf, podsKey, quotaNames, servicesKey, usageOf } from "./quota-usage.ts";
import { forbidden, type AdmissionRequest } from "./request.ts";

export const quotasKey = "/resourcequotas";
const zero: Quantity = { nanos: 0n, format: "decimal" };
/** Resources whose quota requires that each container states a request or limit for them. */
const explicit = new Set(["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]);
/** The kinds whose objects may use more of a quota after an update. Pods may use more only after a resize. */
const growing = new Set([claimsKey, servicesKey]);

type QuotaRequest = Pick<AdmissionRequest, "operation" | "type" | "subresource" | "namespace" | "name">;

/**
 * Throws an admission refusal if the write would exceed a ResourceQuota of its namespace. Call it right before the
 * write, without an await in between, so that no other write can use up the rest of the quota.
 */
export function checkQuotas(
  store: Store,
  request: QuotaRequest,
  object: UntypedObject,
  old: UntypedObject | undefined,
): void {
  const { operation, type, subresource, namespace } = request;
  const isResize = type.storageKey === podsKey && subresource === "resize";
  if (!type.namespaced || (subresource !== "" && !isResize)) return;
  if (operation !== "CREATE" && !isResize && !(operation === "UPDATE" && growing.has(type.storageKey))) return;
  const quotas = store.newest(quotasKey, namespace).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  if (quotas.length === 0) return;
  const more = growth(usageOf(type.storageKey, object), old === undefined ? new Map() : usageOf(type.storageKey, old));
  for (const quota of quotas) {
    const problem = problemOf(store, quota, request, object, more);
    if (problem !== undefined) throw forbidden({ ...request, object }, problem);
  }
}

/** The status of a quota: its limits, and the amounts that its namespace uses. */
export function quotaStatus(
  store: Store,
  quota: StoredRecord,
): { hard: Record<string, string>; used: Record<string, string> } {
  const spec = specOf(quota);
  const used: Record<string, string> = {};
  const byCollection = Map.groupBy(Object.keys(spec.hard ?? {}), collectionOf);
  for (const [collection, names] of byCollection) {
    const amounts = usedIn(store, quota, collection);
    for (const name of names) used[name] = quantityText(amounts.get(name) ?? zero);
  }
  return { hard: { ...spec.hard }, used };
}

export function specOf(quota: StoredRecord): QuotaSpec {
  return quota.object["spec"] ?? {};
}

function problemOf(
  store: Store,
  quota: StoredRecord,
  { type, operation }: QuotaRequest,
  object: UntypedObject,
  more: Amounts,
): string | undefined {
  const spec = specOf(quota);
  if (!isInScopes(spec, type.storageKey, object)) return undefined;
  const hard = amountsOf(spec.hard);
  if (type.storageKey === podsKey && operation === "CREATE") {
    const missing = unstated(object, [...hard.keys()]);
    if (missing !== "") return `failed quota: ${quota.name}: must specify ${missing}`;
  }
  const wanted = new Map([...more].filter(([name]) => hard.has(name)));
  if (wanted.size === 0) return undefined;
  const used = usedIn(store, quota, type.storageKey);
  const exceeded = [...wanted.keys()].filter((name) => {
    const total = addQuantities(used.get(name) ?? zero, wanted.get(name) ?? zero);
    return compareQuantities(total, hard.get(name) ?? zero) > 0;
  });
  if (exceeded.length === 0) return undefined;
  const text = (amounts: Amounts): string =>
    exceeded
      .toSorted()
      .map((name) => `${name}=${quantityText(amounts.get(name) ?? zero)}`)
      .join(",");
  return `exceeded quota: ${quota.name}, requested: ${text(wanted)}, used: ${text(used)}, limited: ${text(hard)}`;
}

function growth(now: Amounts, before: Amounts): Amounts {
  const more = new Map<string, Quantity>();
  for (const [name, { nanos, format }] of now) {
    const difference = nanos - (before.get(name)?.nanos ?? 0n);
    if (difference > 0n) more.set(name, { nanos: difference, format });
  }
  return more;
}

function usedIn(store: Store, quota: StoredRecord, collection: string): Amounts {
  const total = new Map<string, Quantity>();
  for (const { object } of store.newest(collection, quota.namespace))
    if (isInScopes(specOf(quota), collection, object)) addAmounts(total, usageOf(collection, object));
  return total;
}

/**
 * The resources in the quota that containers do not state, such as `cpu for: web; memory for: web`. Returns the empty
 * text if the containers state all of them, or if the pod states resources as a whole.
 */
function unstated(pod: UntypedObject, limited: readonly string[]): string {
  const spec = podSpecOf(pod);
  if (wholePodAmounts(spec, "requests").size > 0 || wholePodAmounts(spec, "limits").size > 0) return "";
  const { containers = [], initContainers = [] } = spec;
  const stated = [...containers, ...initContainers].map(({ name, resources }) => {
    return { name, names: quotaNames(amountsOf(resources?.requests), amountsOf(resources?.limits)) };
  });
  return limited
    .filter((resource) => explicit.has(resource))
    .toSorted()
    .flatMap((resource) => {
      const without = stated.filter(({ names }) => !names.has(resource)).map(({ name }) => name);
      return without.length === 0 ? [] : [`${resource} for: ${without.toSorted().join(",")}`];
    })
    .join("; ");
}

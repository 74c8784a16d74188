import type { UntypedObject } from "../../api/index.ts";
import { compareQuantities, quantityText, type Quantity } from "../schema/quantity.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import {
  amountsOf,
  podAmounts,
  podSpecOf,
  type AmountField,
  type Amounts,
  type ContainerAmounts,
} from "../schema/pod-amounts.ts";
import { forbidden, type AdmissionRequest } from "./request.ts";

type Bounds = Readonly<Record<string, string>>;

interface Limit {
  readonly type: string;
  readonly min?: Bounds;
  readonly max?: Bounds;
  readonly default?: Bounds;
  readonly defaultRequest?: Bounds;
  readonly maxLimitRequestRatio?: Bounds;
}

type Usage = Readonly<Record<AmountField, Amounts>>;

const annotation = "kubernetes.io/limit-ranger";
const pods = "/pods";
const claims = "/persistentvolumeclaims";

/**
 * Gives the containers of new pods the defaults of their namespace's LimitRanges, and refuses pods and claims that are
 * outside the limits.
 */
export function limitRanger(store: Store): AdmissionPlugin {
  return {
    name: "LimitRanger",
    mutate(request) {
      const { object } = request;
      if (!isChecked(request) || request.type.storageKey !== pods || object === undefined) return;
      if (request.operation !== "CREATE") return;
      for (const limit of rangesIn(store, request.namespace).flat())
        if (limit.type === "Container") setDefaults(object, limit);
    },
    validate(request) {
      const { object } = request;
      if (!isChecked(request) || object === undefined || object.metadata.deletionTimestamp !== undefined) return;
      // The first LimitRange that refuses the object decides the answer. Containers with the same fault share a
      // message.
      for (const limits of rangesIn(store, request.namespace)) {
        const found = limits.flatMap((limit) => problemsOf(request.type.storageKey, object, limit));
        const problems = [...new Set(found)];
        if (problems.length === 0) continue;
        throw forbidden(request, problems.length === 1 ? (problems[0] ?? "") : `[${problems.join(", ")}]`);
      }
    },
  };
}

/** Gives the defaults to containers that webhooks added. Kubernetes too calls its plugins again after the webhooks. */
export function limitRangerAfterWebhooks(store: Store): AdmissionPlugin {
  const ranger = limitRanger(store);
  return { name: "LimitRangerAfterWebhooks", mutate: (request) => ranger.mutate?.(request) };
}

/**
 * Whether the request is checked. The resources of a pod's containers change only by a resize, so other updates of pods
 * are not checked.
 */
function isChecked({ operation, type, subresource }: AdmissionRequest): boolean {
  if (subresource !== "") return type.storageKey === pods && subresource === "resize";
  return (
    (type.storageKey === pods && operation === "CREATE") ||
    (type.storageKey === claims && (operation === "CREATE" || operation === "UPDATE"))
  );
}

function rangesIn(store: Store, namespace: string): (readonly Limit[])[] {
  return store
    .collection("/limitranges")
    .list(namespace)
    .map(({ object }) => ((object["spec"] ?? {}) as { limits?: readonly Limit[] }).limits ?? []);
}

function setDefaults(pod: UntypedObject, limit: Limit): void {
  const { containers = [], initContainers = [] } = podSpecOf(pod);
  const notes = [
    ...containers.flatMap((container) => setDefaultsOf(container, limit, "container")),
    ...initContainers.flatMap((container) => setDefaultsOf(container, limit, "init container")),
  ];
  if (notes.length === 0) return;
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [annotation]: `LimitRanger plugin set: ${notes.join("; ")}`,
  };
}

/** Sets the defaults in place. Returns texts about them, in the form of kube-apiserver's annotation. */
function setDefaultsOf(container: ContainerAmounts, limit: Limit, noun: string): string[] {
  const fill = (field: AmountField, defaults: Bounds = {}): string[] => {
    const given = container.resources?.[field] ?? {};
    const missing = Object.keys(defaults)
      .filter((name) => !Object.hasOwn(given, name))
      .sort();
    if (missing.length === 0) return [];
    const filled = Object.fromEntries(missing.map((name) => [name, defaults[name] ?? ""]));
    container.resources = { ...container.resources, [field]: { ...given, ...filled } };
    return [`${missing.join(", ")} ${field.slice(0, -1)} for ${noun} ${container.name}`];
  };
  return [...fill("requests", limit.defaultRequest), ...fill("limits", limit.default)];
}

function problemsOf(storageKey: string, object: UntypedObject, limit: Limit): string[] {
  if (storageKey === claims) return limit.type === "PersistentVolumeClaim" ? claimProblems(object, limit) : [];
  const spec = podSpecOf(object);
  if (limit.type === "Pod")
    return usageProblems({ requests: podAmounts(spec, "requests"), limits: podAmounts(spec, "limits") }, limit);
  if (limit.type !== "Container") return [];
  return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].flatMap(({ resources }) =>
    usageProblems({ requests: amountsOf(resources?.requests), limits: amountsOf(resources?.limits) }, limit),
  );
}

function usageProblems(usage: Usage, limit: Limit): string[] {
  return [
    ...each(limit.min, (name, bound) => belowMinimum(name, bound, limit.type, usage)),
    ...each(limit.max, (name, bound) => aboveMaximum(name, bound, limit.type, usage)),
    ...each(limit.maxLimitRequestRatio, (name, bound) => aboveRatio(name, bound, limit.type, usage)),
  ];
}

function claimProblems(claim: UntypedObject, limit: Limit): string[] {
  const { resources } = (claim["spec"] ?? {}) as { resources?: { requests?: Bounds } };
  const requests = amountsOf(resources?.requests);
  return [
    ...each(limit.min, (name, bound) => belowMinimum(name, bound, limit.type, { requests, limits: new Map() })),
    ...each(limit.max, (name, bound) => {
      const start = `maximum ${name} usage per ${limit.type} is ${quantityText(bound)}`;
      const request = requests.get(name);
      if (request === undefined) return `${start}.  No request is specified`;
      return compareQuantities(request, bound) > 0 ? `${start}, but request is ${quantityText(request)}` : undefined;
    }),
  ];
}

function each(bounds: Bounds | undefined, problemOf: (name: string, bound: Quantity) => string | undefined): string[] {
  return [...amountsOf(bounds)].flatMap(([name, bound]) => problemOf(name, bound) ?? []);
}

function belowMinimum(name: string, bound: Quantity, type: string, { requests, limits }: Usage): string | undefined {
  const start = `minimum ${name} usage per ${type} is ${quantityText(bound)}`;
  const [request, limit] = [requests.get(name), limits.get(name)];
  if (request === undefined) return `${start}.  No request is specified`;
  if (compareQuantities(request, bound) < 0) return `${start}, but request is ${quantityText(request)}`;
  return limit !== undefined && compareQuantities(limit, bound) < 0
    ? `${start}, but limit is ${quantityText(limit)}`
    : undefined;
}

function aboveMaximum(name: string, bound: Quantity, type: string, { requests, limits }: Usage): string | undefined {
  const start = `maximum ${name} usage per ${type} is ${quantityText(bound)}`;
  const [request, limit] = [requests.get(name), limits.get(name)];
  if (limit === undefined) return `${start}.  No limit is specified`;
  if (compareQuantities(limit, bound) > 0) return `${start}, but limit is ${quantityText(limit)}`;
  return request !== undefined && compareQuantities(request, bound) > 0
    ? `${start}, but request is ${quantityText(request)}`
    : undefined;
}

function aboveRatio(name: string, bound: Quantity, type: string, { requests, limits }: Usage): string | undefined {
  const start = `${name} max limit to request ratio per ${type} is ${quantityText(bound)}`;
  const [request, limit] = [requests.get(name), limits.get(name)];
  if (request === undefined || request.nanos === 0n) return `${start}, but no request is specified or request is 0`;
  if (limit === undefined || limit.nanos === 0n) return `${start}, but no limit is specified or limit is 0`;
  // Compare whole numbers, because quotients of large numbers are not exact.
  if (limit.nanos * 1_000_000_000n <= bound.nanos * request.nanos) return undefined;
  return `${start}, but provided ratio is ${(Number(limit.nanos) / Number(request.nanos)).toFixed(6)}`;
}

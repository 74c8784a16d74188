import { matchesLabels } from "../../api/index.ts";
import {
  canaryKind,
  rolloutPhases,
  type Canary,
  type CanaryTarget,
  type DestinationTarget,
} from "../../api/serin/index.ts";
import type { Inventory } from "./inventory.ts";

/** One side of a rollout's comparison. The names are those in metrics' labels. */
export interface ComparedBackend {
  readonly namespace: string;
  readonly service?: string;
  readonly workload?: string;
  /** The labels of the pods, if the side is a subset of a service. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ComparedSides {
  readonly canary: ComparedBackend;
  readonly stable: ComparedBackend;
}

const atRest: ReadonlySet<string> = new Set(["Watching", "Completed", "RolledBack"]);
/** The phases of a rollout that has not ended, and has begun or waits to begin. */
export const phasesUnderWay: ReadonlySet<string> = new Set(rolloutPhases.filter((phase) => !atRest.has(phase)));
const found = new WeakMap<Inventory, ReadonlyMap<string, string>>();

/** By workload, the Canary that is moving its traffic: `Canary shop/shop`. */
export function rolloutsByWorkload(inventory: Inventory): ReadonlyMap<string, string> {
  let rollouts = found.get(inventory);
  if (rollouts === undefined) {
    const made = new Map<string, string>();
    for (const canary of inventory.objects.canaries) {
      if (!phasesUnderWay.has(canary.status?.phase ?? "")) continue;
      const { namespace = "", name = "" } = canary.metadata;
      for (const side of Object.values(comparedSides(canary, inventory) ?? {}))
        for (const key of workloadsOf(side as ComparedBackend, inventory)) made.set(key, `Canary ${namespace}/${name}`);
    }
    found.set(inventory, (rollouts = made));
  }
  return rollouts;
}

/** The two sides that a Canary compares. Undefined if its spec is invalid or its target has no such sides. */
export function comparedSides(canary: Canary, inventory: Inventory): ComparedSides | undefined {
  const target = canaryKind.parse?.(canary).value?.spec.target;
  return target === undefined ? undefined : sidesOf(target, canary.metadata.namespace ?? "", inventory);
}

function sidesOf(target: CanaryTarget, home: string, inventory: Inventory): ComparedSides | undefined {
  if ("httpRoute" in target || "grpcRoute" in target) {
    const { canary, stable } = "httpRoute" in target ? target.httpRoute : target.grpcRoute;
    return {
      canary: { namespace: canary.namespace ?? home, service: canary.name },
      stable: { namespace: stable.namespace ?? home, service: stable.name },
    };
  }
  if ("virtualService" in target) {
    const { canary, stable } = target.virtualService;
    return { canary: destinationOf(canary, home, inventory), stable: destinationOf(stable, home, inventory) };
  }
  if ("deployment" in target) {
    const { name } = target.deployment;
    return { canary: { namespace: home, workload: `${name}-canary` }, stable: { namespace: home, workload: name } };
  }
  if ("services" in target)
    return {
      canary: { namespace: home, service: target.services.canary },
      stable: { namespace: home, service: target.services.stable },
    };
  return { canary: { namespace: target.namespaces.canary }, stable: { namespace: target.namespaces.stable } };
}

function destinationOf({ host, subset }: DestinationTarget, home: string, inventory: Inventory): ComparedBackend {
  const [service = "", namespace = home] = host.split(".");
  if (subset === undefined) return { namespace, service };
  for (const { kind, metadata, ...rest } of inventory.objects.configs) {
    if (kind !== "DestinationRule") continue;
    const spec = rest["spec"] as
      | {
          readonly host?: string;
          readonly subsets?: readonly { readonly name?: string; readonly labels?: Record<string, string> }[];
        }
      | undefined;
    const [ruleService, ruleNamespace = metadata.namespace] = (spec?.host ?? "").split(".");
    if (ruleService !== service || ruleNamespace !== namespace) continue;
    const labels = spec?.subsets?.find(({ name }) => name === subset)?.labels;
    if (labels !== undefined) return { namespace, service, labels };
  }
  return { namespace, service, labels: { version: subset } };
}

export function workloadsOf(
  { namespace, service, workload, labels }: ComparedBackend,
  inventory: Inventory,
): readonly string[] {
  if (workload !== undefined) return [`${namespace}/${workload}`];
  const all =
    service === undefined
      ? [...inventory.workloads.values()].filter((workload) => workload.namespace === namespace)
      : (inventory.services.get(`${namespace}/${service}`)?.workloads ?? []);
  return all.filter((workload) => labels === undefined || matchesLabels(labels, workload.labels)).map(({ key }) => key);
}

/** The text for a side in a request: `service shop/shop version=v2`. */
export function backendText({ namespace, service, workload, labels }: ComparedBackend): string {
  const subset = Object.entries(labels ?? {})
    .map(([name, value]) => ` ${name}=${value}`)
    .join("");
  if (workload !== undefined) return `workload ${namespace}/${workload}`;
  return service === undefined ? `namespace ${namespace}` : `service ${namespace}/${service}${subset}`;
}

/** Parses a text of {@link backendText}. Undefined for any other text. */
export function parseBackend(text: string): ComparedBackend | undefined {
  const [kind, key = "", ...rest] = text.split(" ");
  const [namespace = "", name = ""] = key.split("/");
  if (namespace === "") return undefined;
  if (kind === "namespace") return { namespace };
  if (kind === "workload" && name !== "") return { namespace, workload: name };
  if (kind !== "service" || name === "") return undefined;
  if (rest.length === 0) return { namespace, service: name };
  return {
    namespace,
    service: name,
    labels: Object.fromEntries(
      rest.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    ),
  };
}

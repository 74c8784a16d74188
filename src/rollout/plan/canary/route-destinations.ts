import { treesOf, treeOf, canonicalJsonWithoutNulls, type Tree } from "../../../base/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import { clusterSuffix, destinationOf } from "./pairings.ts";

/** A Service, or a subset of its pods, to which a route sends requests. */
export interface RouteDestination {
  readonly namespace: string;
  readonly service: string;
  readonly subset?: string;
}

export interface GainingDestination extends RouteDestination {
  /** The destination had no share before the change. */
  readonly isNew: boolean;
}

export interface MovedDestinations {
  readonly gaining: readonly GainingDestination[];
  /** The destinations with a share before the change. */
  readonly former: readonly RouteDestination[];
}

interface Share {
  readonly destination: RouteDestination;
  readonly share: number;
}

/**
 * Compares the shares that a route's destinations have in two versions of a list, over the rules that differ. Leaves
 * out backends that are not Services of the cluster, because their pods are unknown.
 */
export function movedDestinations(route: ObjectReference, before: unknown, after: unknown): MovedDestinations {
  const [was, is] = [treesOf(before), treesOf(after)];
  const from = sharesOf(route, without(was, is));
  const to = sharesOf(route, without(is, was));
  const gaining = [...to].filter(([key, { share }]) => share > (from.get(key)?.share ?? 0) + tolerance);
  return {
    gaining: gaining.map(([key, { destination }]) => ({ ...destination, isNew: !from.has(key) })),
    former: [...from.values()].map(({ destination }) => destination),
  };
}

/** The rules that the other list does not have. Rules that are in both lists divide their requests as before. */
function without(rules: readonly Tree[], others: readonly Tree[]): readonly Tree[] {
  const left = others.map((rule) => canonicalJsonWithoutNulls(rule));
  return rules.filter((rule) => {
    const index = left.indexOf(canonicalJsonWithoutNulls(rule));
    if (index !== -1) left.splice(index, 1);
    return index === -1;
  });
}

/** Shares are fractions, which are not exact. */
const tolerance = 1e-9;

function sharesOf({ kind, namespace = "" }: ObjectReference, rules: readonly Tree[]): ReadonlyMap<string, Share> {
  const shares = new Map<string, Share>();
  for (const rule of rules) {
    const backends = kind === "VirtualService" ? treesOf(rule["route"]) : treesOf(rule["backendRefs"]);
    const weights = backends.map((backend) => weightOf(backend, kind, backends));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (const [index, backend] of backends.entries()) {
      const destination = kind === "VirtualService" ? ofHost(backend, namespace) : ofService(backend, namespace);
      const weight = weights[index] ?? 0;
      if (destination === undefined || weight === 0) continue;
      const key = JSON.stringify(destination);
      shares.set(key, { destination, share: (shares.get(key)?.share ?? 0) + weight / sum });
    }
  }
  return shares;
}

/**
 * The weight of a destination. In a VirtualService a missing weight is 0 if another destination has a weight. In the
 * Gateway API it is 1.
 */
function weightOf({ weight }: Tree, kind: string, among: readonly Tree[]): number {
  if (typeof weight === "number") return Math.max(0, weight);
  const hasWeights = among.some((other) => typeof other["weight"] === "number");
  return kind === "VirtualService" && among.length > 1 && hasWeights ? 0 : 1;
}

const fullServiceName = /^([^.]+)\.([^.]+)\.svc\.cluster\.local$/;

function ofHost(backend: Tree, home: string): RouteDestination | undefined {
  const { host, subset } = destinationOf(backend);
  const [, service, namespace] = fullServiceName.exec(hostInMesh(host, home)) ?? [];
  if (service === undefined || namespace === undefined) return undefined;
  return { namespace, service, ...(subset === undefined ? {} : { subset }) };
}

function ofService(backend: Tree, home: string): RouteDestination | undefined {
  const { name, namespace = home, kind = "Service", group = "" } = treeOf(backend);
  if (typeof name !== "string" || typeof namespace !== "string") return undefined;
  return kind === "Service" && (group === "" || group === "core") ? { namespace, service: name } : undefined;
}

/**
 * The host as the mesh reads it. The mesh expands only names without a dot, so `web.other` does not name a Service of
 * the namespace `other`. The Canary's author may have no right to learn about such a Service.
 */
export function hostInMesh(host: string, namespace: string): string {
  return host.includes(".") ? host : `${host}.${namespace}.${clusterSuffix}`;
}

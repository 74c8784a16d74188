import type { Tree } from "../../../base/index.ts";
import type { TrafficMatch } from "../../../api/serin/index.ts";

/**
 * The traffic that a step requests. Each kind of route is computed from this and from its content before the rollout.
 */
export interface Traffic {
  readonly weight: number;
  /** The matches of all steps so far. Requests that match go to the canary, whatever the weight is. */
  readonly matches: readonly TrafficMatch[];
  readonly mirrors: readonly Mirror[];
  /** Keeps a client at the canary after it was sent there once. Set while the weight is neither 0 nor 100. */
  readonly affinity?: Affinity;
  /**
   * The version that gets connections to ports that the steps do not move. While the stable pods are replaced, these
   * connections go to the canary, and afterwards back to stable. If absent, their routes stay unchanged.
   */
  readonly otherPorts?: "canary" | "stable";
}

export interface Mirror {
  readonly to: MirrorTarget;
  readonly percent: number;
}

export type MirrorTarget = "canary" | "experiment-baseline" | "experiment-canary";

export interface Affinity {
  readonly cookieName: string;
  /** The cookie's value. It differs for each run, so that cookies of earlier runs have no effect. */
  readonly value: string;
  readonly maxAgeSeconds: number;
}

export const noTraffic: Traffic = { weight: 0, matches: [], mirrors: [] };

export function setCookieValue({ cookieName, value, maxAgeSeconds }: Affinity): string {
  return `${cookieName}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly`;
}

/** Matches the requests of clients that have the cookie, because they were sent to the canary once. */
function cookieMatch({ cookieName, value }: Affinity): TrafficMatch {
  return { headers: [], cookies: [{ name: cookieName, value }], queryParams: [], paths: [], sourceLabels: {} };
}

/** Copies a rule or route beside its original, under another name, because names must be unique within their object. */
function renamedCopy(rule: Tree, suffix: string): Tree {
  const { name } = rule;
  return typeof name === "string" ? { ...rule, name: `${name}-${suffix}` } : rule;
}

/** Which backends of a rule are stable, and which canary backends belong to them. */
export interface Pairing {
  readonly isStable: (backend: Tree) => boolean;
  readonly isCanary: (backend: Tree) => boolean;
  /** The stable backend as it must be written. It is unchanged if the user wrote it. */
  readonly stableOf: (backend: Tree) => Tree;
  readonly canaryOf: (backend: Tree) => Tree;
  /** The copy of a stable backend to which mirrored requests go. Undefined if there is no such copy. */
  readonly mirrorOf: (backend: Tree, to: MirrorTarget) => Tree | undefined;
}

/**
 * The rules that precede the main one, and send all of their requests to the canary: one for each match of the step,
 * and one for the clients that an affinity's cookie keeps at the canary. `ruleFor` makes the rule of a match.
 */
export function canaryRules({ matches, affinity }: Traffic, ruleFor: (match: TrafficMatch) => Tree): Tree[] {
  const own = matches.map((match) => renamedCopy(ruleFor(match), "canary"));
  return affinity === undefined ? own : [...own, renamedCopy(ruleFor(cookieMatch(affinity)), "again")];
}

const all = 100;

/**
 * Computes the backends of a rule: `weight` percent of the stable backends' share goes to the canary. Other backends
 * keep their share. `dress` may add fields to a canary backend.
 */
export function splitBackends(
  backends: readonly Tree[],
  pairing: Pairing,
  weight: number,
  dress: (backend: Tree) => Tree = (backend) => backend,
): Tree[] {
  // Without traffic to the canary, the rule stays as its user wrote it.
  if (weight === 0 && !backends.some((backend) => pairing.isCanary(backend) && weightOf(backend, backends) > 0)) {
    return backends.map((backend) => (pairing.isStable(backend) ? pairing.stableOf(backend) : backend));
  }
  const kept = backends.filter((backend) => !pairing.isCanary(backend));
  const only = kept.length === 1;
  const parts = kept.flatMap((backend): { backend: Tree; weight: number }[] => {
    const share = only ? 1 : weightOf(backend, kept);
    if (!pairing.isStable(backend)) return [{ backend, weight: share * all }];
    return [
      { backend: pairing.stableOf(backend), weight: share * (all - weight) },
      { backend: dress(pairing.canaryOf(backend)), weight: share * weight },
    ];
  });
  const divisor = parts.every((part) => part.weight % all === 0) && !only ? all : 1;
  return parts.map((part) => ({ ...part.backend, weight: part.weight / divisor }));
}

/** Replaces each stable backend with its canary, in the same proportions, and drops the others. */
export function onlyCanaries(backends: readonly Tree[], pairing: Pairing): Tree[] {
  const stable = backends.filter((backend) => pairing.isStable(backend) && !pairing.isCanary(backend));
  return stable.map((backend) => ({
    ...pairing.canaryOf(backend),
    weight: stable.length === 1 ? 1 : weightOf(backend, stable),
  }));
}

/**
 * If no backend has a weight, all have the same weight. If others have one, a missing weight means 0, because a
 * VirtualService omits zeros.
 */
function weightOf(backend: Tree, among: readonly Tree[]): number {
  const hasWeights = among.some((other) => typeof other["weight"] === "number");
  const { weight } = backend;
  return typeof weight === "number" ? weight : hasWeights ? 0 : 1;
}

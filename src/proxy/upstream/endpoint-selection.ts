import type { Random } from "../../base/index.ts";
import { hashText } from "../terms/hash-text.ts";
import type { BalancingOptions, LoadBalancer, LoadBalancing } from "./balancing.ts";
import { createLoadBalancer, type Balanced } from "./load-balancer.ts";
import { healthOf, priorityLoads } from "./priority-load.ts";
import { zoneShares, type LocalZones, type ZoneAwareRule } from "./zone-aware.ts";

export interface Selectable extends Balanced {
  readonly config: Balanced["config"] & {
    readonly priority: number;
    /** The endpoint's locality, with its weight if localities are weighted. */
    readonly locality?: { readonly name: string; readonly weight: number } | undefined;
  };
  readonly usable: boolean;
}

export interface SelectionRules {
  readonly loadBalancing: LoadBalancing;
  readonly balancing: BalancingOptions;
  /**
   * The panic threshold, from 0 to 1. It matters only while the priorities together are not healthy enough for all
   * requests. Then, if a smaller fraction of a priority's endpoints is usable, all its endpoints get requests, whether
   * healthy or not. 0 disables this.
   */
  readonly panicThreshold: number;
  /** Whether requests are first divided among localities by weight. */
  readonly localityWeighted: boolean;
  /** Set if requests stay in the proxy's zone, as far as its endpoints there have the capacity. */
  readonly zoneAware?: ZoneAwareRule | undefined;
}

export interface SelectionInputs<Endpoint> {
  readonly random: Random;
  /** Returns an endpoint's weight, in place of the configured one. */
  readonly weightOf?: ((endpoint: Endpoint) => number) | undefined;
  /** Where the proxies of this proxy's workload are. Undefined if that is unknown. */
  readonly localZones?: LocalZones | undefined;
}

interface Share<Endpoint> {
  readonly share: number;
  readonly balancer: LoadBalancer<Endpoint>;
}

/**
 * Chooses an endpoint: first a priority, then a locality, then an endpoint by the cluster's policy. A new object is
 * made when the endpoints or their properties change.
 */
export class EndpointSelection<Endpoint extends Selectable> implements LoadBalancer<Endpoint> {
  readonly #levels: readonly Level<Endpoint>[];
  readonly #priorities: readonly Share<Endpoint>[];
  readonly #random: Random;
  readonly #balancerOf: (level: Omit<PriorityLevel<Endpoint>, "share">) => LoadBalancer<Endpoint>;
  /** The balancers that {@link without} has made, because each retry needs one, and making one may take long. */
  readonly #remaining = new Map<number, LoadBalancer<Endpoint>>();

  constructor(endpoints: readonly Endpoint[], rules: SelectionRules, inputs: SelectionInputs<Endpoint>) {
    const { random, weightOf, localZones } = inputs;
    this.#random = random;
    const make = (chosen: readonly Endpoint[]): LoadBalancer<Endpoint> =>
      createLoadBalancer(rules.loadBalancing, {
        endpoints: chosen,
        random,
        options: rules.balancing,
        ...(weightOf === undefined ? {} : { weightOf }),
      });
    this.#balancerOf = (level) => {
      const { chosen, all } = level;
      if (rules.localityWeighted) return byLocality(chosen, all, make, random);
      return byZone(level, rules, localZones, make, random) ?? make(chosen);
    };
    this.#levels = levelsOf(endpoints);
    this.#priorities = prioritiesOf(this.#levels, rules).map((level) => ({
      share: level.share,
      balancer: this.#balancerOf(level),
    }));
  }

  /** Returns a balancer over the priorities that are not excluded. Undefined if none of these has a usable endpoint. */
  without(excluded: ReadonlySet<number>): LoadBalancer<Endpoint> | undefined {
    const loads = priorityLoads(
      this.#levels.map(({ priority, all, chosen }) => ({
        healthy: excluded.has(priority) ? 0 : chosen.length,
        total: all.length,
      })),
    );
    const shares = this.#levels.flatMap((level, index) => {
      const share = loads[index] ?? 0;
      return share > 0 ? [{ share, balancer: this.#remainingOf(level) }] : [];
    });
    if (shares.length === 0) return undefined;
    return { pick: (hash, attempt) => choose(shares, fractionOf(hash, this.#random, 1))?.pick(hash, attempt) };
  }

  #remainingOf(level: Level<Endpoint>): LoadBalancer<Endpoint> {
    let balancer = this.#remaining.get(level.priority);
    if (balancer === undefined)
      this.#remaining.set(level.priority, (balancer = this.#balancerOf({ ...level, panics: false })));
    return balancer;
  }

  pick(hash?: number, attempt?: number): Endpoint | undefined {
    const priorities = this.#priorities;
    const [first] = priorities;
    if (first === undefined || priorities.length === 1) return first?.balancer.pick(hash, attempt);
    return choose(priorities, fractionOf(hash, this.#random, 1))?.pick(hash, attempt);
  }
}

interface Level<Endpoint> {
  readonly priority: number;
  /** The endpoints that may get requests: the usable ones, except in panic mode. */
  readonly chosen: readonly Endpoint[];
  readonly all: readonly Endpoint[];
}

interface PriorityLevel<Endpoint> extends Level<Endpoint> {
  readonly share: number;
  /** Whether too few endpoints are usable (Envoy's panic mode). Then all of them get requests, or none. */
  readonly panics: boolean;
}

/** Groups the endpoints by their priority. The most preferred priority comes first. */
function levelsOf<Endpoint extends Selectable>(endpoints: readonly Endpoint[]): Level<Endpoint>[] {
  return [
    ...Map.groupBy(
      endpoints.filter(({ config }) => config.weight > 0),
      ({ config }) => config.priority,
    ),
  ]
    .sort(([left], [right]) => left - right)
    .map(([priority, all]) => ({ priority, all, chosen: all.filter(({ usable }) => usable) }));
}

function prioritiesOf<Endpoint>(levels: readonly Level<Endpoint>[], rules: SelectionRules): PriorityLevel<Endpoint>[] {
  const loads = priorityLoads(levels.map(({ all, chosen }) => ({ healthy: chosen.length, total: all.length })));
  const enough =
    levels.reduce((sum, { all, chosen }) => sum + healthOf({ healthy: chosen.length, total: all.length }), 0) >= 1;
  if (loads.every((load) => load === 0)) {
    // No endpoint is usable. Try all endpoints of the first priority, unless the configuration disables panic mode.
    const tries = rules.panicThreshold > 0 && rules.zoneAware?.failsOnPanic !== true;
    return tries ? levels.slice(0, 1).map((level) => ({ ...level, share: 1, chosen: level.all, panics: true })) : [];
  }
  return levels
    .map((level, index) => {
      const { all, chosen } = level;
      const panics = !enough && chosen.length / all.length < rules.panicThreshold;
      const inPanic = rules.zoneAware?.failsOnPanic === true ? [] : all;
      return { ...level, share: loads[index] ?? 0, chosen: panics ? inPanic : chosen, panics };
    })
    .filter(({ share }) => share > 0);
}

function byLocality<Endpoint extends Selectable>(
  chosen: readonly Endpoint[],
  all: readonly Endpoint[],
  make: (endpoints: readonly Endpoint[]) => LoadBalancer<Endpoint>,
  random: Random,
): LoadBalancer<Endpoint> {
  const totals = Map.groupBy(all, ({ config }) => config.locality?.name ?? "");
  const shares = [...Map.groupBy(chosen, ({ config }) => config.locality?.name ?? "")].map(([name, members]) => {
    const health = healthOf({ healthy: members.length, total: totals.get(name)?.length ?? members.length });
    return { share: (members[0]?.config.locality?.weight ?? 0) * health, balancer: make(members) };
  });
  const total = shares.reduce((sum, { share }) => sum + share, 0);
  // Localities without a weight get no requests, unless no locality has a weight.
  if (total === 0) return make(chosen);
  const parts = shares
    .filter(({ share }) => share > 0)
    .map(({ share, balancer }) => ({ share: share / total, balancer }));
  return { pick: (hash, attempt) => choose(parts, fractionOf(hash, random, 2))?.pick(hash, attempt) };
}

/**
 * The balancer that prefers the proxy's own zone. Undefined if requests are not routed by zone. As in Envoy, only
 * requests to priority 0 are routed by zone, and only while neither its endpoints nor the proxies of the workload are
 * in panic mode.
 */
function byZone<Endpoint extends Selectable>(
  { priority, chosen, panics }: Omit<PriorityLevel<Endpoint>, "share">,
  { zoneAware: rule, panicThreshold }: SelectionRules,
  local: LocalZones | undefined,
  make: (endpoints: readonly Endpoint[]) => LoadBalancer<Endpoint>,
  random: Random,
): LoadBalancer<Endpoint> | undefined {
  if (rule === undefined || local === undefined || rule.routed === 0) return undefined;
  if (priority > 0 || panics || local.usableFraction < panicThreshold) return undefined;
  const members = Map.groupBy(chosen, ({ config }) => config.locality?.name ?? "");
  const counts = new Map([...members].map(([name, { length }]) => [name, length]));
  const shares = zoneShares(counts, local, rule.minClusterSize);
  if (shares === undefined) return undefined;
  const zones = [...shares].map(([name, share]) => ({ share, balancer: make(members.get(name) ?? []) }));
  const zoned: LoadBalancer<Endpoint> = {
    pick: (hash, attempt) => choose(zones, random())?.pick(hash, attempt),
  };
  if (rule.routed >= 1) return zoned;
  const even = make(chosen);
  return { pick: (hash, attempt) => (random() < rule.routed ? zoned : even).pick(hash, attempt) };
}

/**
 * A fraction that follows from a request's hash, and is independent for each `level`. It is random for a request
 * without a hash.
 */
function fractionOf(hash: number | undefined, random: Random, level: number): number {
  return hash === undefined ? random() : hashText(String(hash), level) / 0x1_0000_0000;
}

/** Chooses by the shares. `at` is at least 0 and below 1. */
function choose<Endpoint>(shares: readonly Share<Endpoint>[], at: number): LoadBalancer<Endpoint> | undefined {
  let rest = at;
  for (let index = 0; index < shares.length; index += 1) {
    const candidate = shares[index];
    if (candidate === undefined) break;
    rest -= candidate.share;
    if (rest < 0) return candidate.balancer;
  }
  return shares.at(-1)?.balancer;
}

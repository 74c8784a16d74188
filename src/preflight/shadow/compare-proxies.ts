import { counted, messageOf, type Clock, type Environment, type Logger } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { KubeConfig, OverlaidObject } from "../../kube/index.ts";
import { envoyFilterEffects, type FilteredProxy } from "../compare/envoy-filter-effect.ts";
import { groupChanges, resourceChanges, type ProxyResources, type ResourceChange } from "../compare/resources.ts";
import type { Release } from "../release/release.ts";
import type { ReleaseRunner } from "../release/release-runner.ts";
import type { ProxiesReport } from "../report.ts";
import { recordProxy } from "./discovery-recorder.ts";
import type { LiveProxy } from "./live-proxies.ts";
import { ResourceCache } from "./resource-cache.ts";
import { startShadowPilot, type ShadowPilot } from "./shadow-pilot.ts";

export interface ShadowSide {
  readonly release: Release;
  readonly version: string;
  readonly meshConfig: string;
  readonly env: Environment;
  /** Objects that this control plane sees in place of the live ones. */
  readonly overlaid?: readonly OverlaidObject[];
}

export interface CompareProxiesOptions {
  readonly from: ShadowSide;
  readonly to: ShadowSide;
  readonly proxies: readonly LiveProxy[];
  readonly envoyFilters: readonly UntypedObject[];
  readonly rootNamespace: string;
  readonly revision: string;
  readonly namespace: string;
  readonly runner: ReleaseRunner;
  readonly kubeConfig: KubeConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly progress: (text: string) => void;
}

export type StartBothOptions = Pick<
  CompareProxiesOptions,
  "from" | "to" | "runner" | "kubeConfig" | "clock" | "log" | "revision" | "namespace"
>;

export interface ProxiesComparison {
  readonly report: ProxiesReport;
  /** The proxies that could not be compared, with the reasons. */
  readonly failures: readonly string[];
  readonly refusedWrites: readonly string[];
}

/** How many proxies each release is asked about at the same time. */
const parallelProxies = 6;
/** The maximum number of workloads whose proxies are compared. With more, a plan would take longer than people wait. */
export const maxProxies = 400;
/**
 * Types whose resources change every second with the cluster. If they differ, they are fetched again, and only a second
 * difference is reported.
 */
const livelyTypes: ReadonlySet<string> = new Set(["endpoints", "address", "name table"]);

/**
 * What all requests of a comparison share. The live objects contain either version, so `cache` makes the texts of both
 * sides neutral for both versions.
 */
interface Asking {
  readonly from: Pick<ShadowSide, "version">;
  readonly to: Pick<ShadowSide, "version">;
  readonly cache: ResourceCache;
  readonly signal: AbortSignal;
}

export interface ShadowPilots {
  readonly from: ShadowPilot;
  readonly to: ShadowPilot;
}

interface Answers {
  readonly from: ProxyResources;
  readonly to: ProxyResources;
}

type ByProxy = ReadonlyMap<LiveProxy, Answers>;

/**
 * Compares what two releases would send to the same proxies. Runs a control plane of each release, which reads the live
 * objects.
 */
export async function compareProxies(given: CompareProxiesOptions): Promise<ProxiesComparison> {
  const options = {
    ...given,
    signal: given.runner.signal,
    cache: new ResourceCache({ revision: "default", versions: [given.from.version, given.to.version] }),
  };
  const { proxies, envoyFilters, progress } = options;
  const failures: string[] = [];
  const compared = proxies.slice(0, maxProxies);
  progress(`asking both releases about ${counted(compared.length, "proxy", "proxies")}`);
  const answers = await askBoth(options, compared, [], failures);
  const changes = [...answers.answers].flatMap(([proxy, { from, to }]) => resourceChanges(proxy.name, from, to));
  let effects: ProxiesReport["envoyFilters"] = [];
  if (envoyFilters.length > 0) {
    progress(`asking again without the ${envoyFilters.length} EnvoyFilter${envoyFilters.length === 1 ? "" : "s"}`);
    const without = await askBoth(
      options,
      compared.filter(({ type }) => type !== "ztunnel"),
      ["envoyfilters"],
      [],
    );
    effects = envoyFilterEffects(
      envoyFilters,
      filteredProxies(answers.answers, without.answers),
      options.rootNamespace,
    );
  }
  return {
    report: reportOf(proxies, compared, answers.answers, changes, effects),
    failures,
    refusedWrites: answers.refusedWrites,
  };
}

export interface CompareEachOptions {
  /** The version that the proxies claim to have, on both sides. */
  readonly version: string;
  readonly proxies: readonly LiveProxy[];
  readonly pilots: ShadowPilots;
  readonly signal: AbortSignal;
}

/**
 * Compares what two control planes of one release send to each proxy. Adds a text to `failures` for each proxy without
 * an answer.
 */
export async function compareEachProxy(
  { version, proxies, pilots, signal }: CompareEachOptions,
  failures: string[],
): Promise<ReadonlyMap<LiveProxy, readonly ResourceChange[]>> {
  const asking = {
    from: { version },
    to: { version },
    signal,
    cache: new ResourceCache({ revision: "default", versions: [version, version] }),
  };
  const answers = await askAll(asking, proxies, pilots, failures);
  // Answers arrive in any order. Keep that of the input.
  return new Map(
    proxies.flatMap((proxy) => {
      const found = answers.get(proxy);
      return found === undefined ? [] : [[proxy, resourceChanges(proxy.name, found.from, found.to)] as const];
    }),
  );
}

function reportOf(
  proxies: readonly LiveProxy[],
  compared: readonly LiveProxy[],
  answers: ByProxy,
  changes: readonly ResourceChange[],
  envoyFilters: ProxiesReport["envoyFilters"],
): ProxiesReport {
  const resources = [...answers.values()].reduce(
    (sum, { to }) => sum + [...to.values()].reduce((count, own) => count + own.size, 0),
    0,
  );
  return {
    asked: compared.length,
    live: proxies.reduce((sum, { replicas }) => sum + replicas, 0),
    resources,
    groups: groupChanges(changes),
    envoyFilters,
  };
}

function filteredProxies(seen: ByProxy, without: ByProxy): FilteredProxy[] {
  return [...seen].flatMap(([proxy, answers]) => {
    const bare = without.get(proxy);
    if (bare === undefined) return [];
    const { name, namespace, labels } = proxy;
    return [
      {
        name,
        namespace,
        labels,
        from: { with: answers.from, without: bare.from },
        to: { with: answers.to, without: bare.to },
      },
    ];
  });
}

async function askBoth(
  options: Asking & CompareProxiesOptions,
  proxies: readonly LiveProxy[],
  hidden: readonly string[],
  failures: string[],
): Promise<{ readonly answers: ByProxy; readonly refusedWrites: readonly string[] }> {
  const pilots = await startBoth(options, hidden);
  try {
    const answers = await askAll(options, proxies, pilots, failures);
    return { answers, refusedWrites: [...new Set([...pilots.from.refusedWrites, ...pilots.to.refusedWrites])] };
  } finally {
    await Promise.all([pilots.from.stop(), pilots.to.stop()]);
  }
}

/** Starts both control planes of a comparison. If one does not start, ends the other too. */
export async function startBoth(
  { from, to, runner, kubeConfig, clock, log, revision, namespace }: StartBothOptions,
  hidden: readonly string[] = [],
): Promise<ShadowPilots> {
  const started = await Promise.allSettled(
    [from, to].map(
      async (side) => await startShadowPilot({ ...side, runner, kubeConfig, revision, namespace, hidden, clock, log }),
    ),
  );
  const pilots = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = started.find((result) => result.status === "rejected");
  const [first, second] = pilots;
  if (failed === undefined && first !== undefined && second !== undefined) return { from: first, to: second };
  await Promise.all(pilots.map(async (pilot) => await pilot.stop()));
  throw failed?.reason;
}

async function askAll(
  options: Asking,
  proxies: readonly LiveProxy[],
  pilots: ShadowPilots,
  failures: string[],
): Promise<ByProxy> {
  const answers = new Map<LiveProxy, Answers>();
  const waiting = [...proxies];
  const work = async (): Promise<void> => {
    for (let proxy = waiting.shift(); proxy !== undefined; proxy = waiting.shift()) {
      options.signal.throwIfAborted();
      try {
        answers.set(proxy, await askTwice(options, proxy, pilots));
      } catch (error) {
        options.signal.throwIfAborted();
        failures.push(`${proxy.name}: ${messageOf(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: parallelProxies }, work));
  return answers;
}

async function askTwice(options: Asking, proxy: LiveProxy, pilots: ShadowPilots): Promise<Answers> {
  const first = await askOnce(options, proxy, pilots);
  const isLively = resourceChanges(proxy.name, first.from, first.to).some(({ type }) => livelyTypes.has(type));
  return isLively ? await askOnce(options, proxy, pilots) : first;
}

async function askOnce({ from, to, signal, cache }: Asking, proxy: LiveProxy, pilots: ShadowPilots): Promise<Answers> {
  const ask = async ({ version }: Pick<ShadowSide, "version">, { target }: ShadowPilot): Promise<ProxyResources> =>
    await recordProxy(proxy, { target, version, cache, signal });
  const [before, after] = await Promise.all([ask(from, pilots.from), ask(to, pilots.to)]);
  return { from: before, to: after };
}

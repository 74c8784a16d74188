import { messageOf, type Clock, type Environment, type Logger } from "../../base/index.ts";
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

/** One release's side: what it runs with. */
export interface ShadowSide {
  readonly release: Release;
  readonly version: string;
  readonly meshConfig: string;
  readonly env: Environment;
  /** Objects that it sees in the place of those that are there. */
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

export interface ProxiesComparison {
  readonly report: ProxiesReport;
  /** Proxies that could not be asked about, with the reason. */
  readonly failures: readonly string[];
  readonly refusedWrites: readonly string[];
}

/** Proxies asked about at one time, of each release. */
const parallelProxies = 6;
/** Beyond this many workloads a plan would take longer than people wait. */
export const maxProxies = 400;
/** They follow the cluster by the second, so a difference may be of the moment: it is asked for again. */
const livelyTypes: ReadonlySet<string> = new Set(["endpoints", "address", "name table"]);

/** Live objects that carry either version reach both sides, so both are neutral on both. */
interface Asking extends CompareProxiesOptions {
  readonly cache: ResourceCache;
}

interface Pilots {
  readonly from: ShadowPilot;
  readonly to: ShadowPilot;
}

interface Answers {
  readonly from: ProxyResources;
  readonly to: ProxyResources;
}

type ByProxy = ReadonlyMap<LiveProxy, Answers>;

/** What either release would send to the same proxies, by a process of each that is fed the live objects. */
export async function compareProxies(given: CompareProxiesOptions): Promise<ProxiesComparison> {
  const options = { ...given, cache: new ResourceCache({ revision: "default", versions: [given.from.version, given.to.version] }) };
  const { proxies, envoyFilters, progress } = options;
  const failures: string[] = [];
  const asked = proxies.slice(0, maxProxies);
  progress(`asking both releases about ${asked.length} proxies`);
  const seen = await askBoth(options, asked, [], failures);
  const changes = [...seen.answers].flatMap(([proxy, { from, to }]) => resourceChanges(proxy.name, from, to));
  let effects: ProxiesReport["envoyFilters"] = [];
  if (envoyFilters.length > 0) {
    progress(`asking again without the ${envoyFilters.length} EnvoyFilter${envoyFilters.length === 1 ? "" : "s"}`);
    const without = await askBoth(options, asked.filter(({ type }) => type !== "ztunnel"), ["envoyfilters"], []);
    effects = envoyFilterEffects(envoyFilters, filteredProxies(seen.answers, without.answers), options.rootNamespace);
  }
  return { report: reportOf(proxies, asked, seen.answers, changes, effects), failures, refusedWrites: seen.refusedWrites };
}

/** How what each proxy would be sent differs between the sides; those that could not be asked are told in `failures`. */
export async function compareEachProxy(given: Omit<CompareProxiesOptions, "envoyFilters" | "rootNamespace">, failures: string[]): Promise<ReadonlyMap<LiveProxy, readonly ResourceChange[]>> {
  const options = { ...given, envoyFilters: [], rootNamespace: "", cache: new ResourceCache({ revision: "default", versions: [given.from.version, given.to.version] }) };
  const { answers } = await askBoth(options, given.proxies, [], failures);
  return new Map([...answers].map(([proxy, { from, to }]) => [proxy, resourceChanges(proxy.name, from, to)]));
}

function reportOf(proxies: readonly LiveProxy[], asked: readonly LiveProxy[], answers: ByProxy, changes: readonly ResourceChange[], envoyFilters: ProxiesReport["envoyFilters"]): ProxiesReport {
  const resources = [...answers.values()].reduce((sum, { to }) => sum + [...to.values()].reduce((count, own) => count + own.size, 0), 0);
  return { asked: asked.length, live: proxies.reduce((sum, { replicas }) => sum + replicas, 0), resources, groups: groupChanges(changes), envoyFilters };
}

function filteredProxies(seen: ByProxy, without: ByProxy): FilteredProxy[] {
  return [...seen].flatMap(([proxy, answers]) => {
    const bare = without.get(proxy);
    if (bare === undefined) return [];
    const { name, namespace, labels } = proxy;
    return [{ name, namespace, labels, from: { with: answers.from, without: bare.from }, to: { with: answers.to, without: bare.to } }];
  });
}

async function askBoth(options: Asking, proxies: readonly LiveProxy[], hidden: readonly string[], failures: string[]): Promise<{ readonly answers: ByProxy; readonly refusedWrites: readonly string[] }> {
  const started = await Promise.allSettled([startSide(options, options.from, hidden), startSide(options, options.to, hidden)]);
  const pilots = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  try {
    const failed = started.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    const [from, to] = pilots as [ShadowPilot, ShadowPilot];
    const answers = await askAll(options, proxies, { from, to }, failures);
    return { answers, refusedWrites: [...new Set(pilots.flatMap(({ refusedWrites }) => refusedWrites))] };
  } finally {
    await Promise.all(pilots.map(async (pilot) => await pilot.stop()));
  }
}

async function startSide({ runner, kubeConfig, clock, log, revision, namespace }: Asking, side: ShadowSide, hidden: readonly string[]): Promise<ShadowPilot> {
  return await startShadowPilot({ ...side, runner, kubeConfig, revision, namespace, hidden, clock, log });
}

async function askAll(options: Asking, proxies: readonly LiveProxy[], pilots: Pilots, failures: string[]): Promise<ByProxy> {
  const answers = new Map<LiveProxy, Answers>();
  const waiting = [...proxies];
  const work = async (): Promise<void> => {
    for (let proxy = waiting.shift(); proxy !== undefined; proxy = waiting.shift()) {
      options.runner.signal.throwIfAborted();
      try {
        answers.set(proxy, await askTwice(options, proxy, pilots));
      } catch (error) {
        options.runner.signal.throwIfAborted();
        failures.push(`${proxy.name}: ${messageOf(error)}`);
      }
    }
  };
  await Promise.all(Array.from({ length: parallelProxies }, work));
  return answers;
}

async function askTwice(options: Asking, proxy: LiveProxy, pilots: Pilots): Promise<Answers> {
  const first = await askOnce(options, proxy, pilots);
  const isLively = resourceChanges(proxy.name, first.from, first.to).some(({ type }) => livelyTypes.has(type));
  return isLively ? await askOnce(options, proxy, pilots) : first;
}

async function askOnce({ from, to, runner: { signal }, cache }: Asking, proxy: LiveProxy, pilots: Pilots): Promise<Answers> {
  const ask = async ({ version }: ShadowSide, { target }: ShadowPilot): Promise<ProxyResources> => await recordProxy(proxy, { target, version, cache, signal });
  const [before, after] = await Promise.all([ask(from, pilots.from), ask(to, pilots.to)]);
  return { from: before, to: after };
}

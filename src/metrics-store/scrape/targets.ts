import { labelsKey, labelsOf, type Labels } from "../../promql/index.ts";
import type { SeriesOwner } from "../store/index.ts";
import { discoverTargets, type ClusterObjects } from "./kubernetes-targets.ts";
import { relabel } from "./relabel.ts";
import type { ScrapeConfig, ScrapeJob } from "./scrape-config.ts";

export interface ScrapeTarget {
  readonly job: ScrapeJob;
  /**
   * The labels that the target's series get. They replace labels that the target itself exposes, unless the job honours
   * those.
   */
  readonly labels: Labels;
  /** The labels before relabelling. */
  readonly discovered: ReadonlyMap<string, string>;
  readonly url: string;
  /** A text that is equal for equal targets only. */
  readonly key: string;
  /** The owner of the target's series: the namespace in which the target was discovered, or else the job. */
  readonly owner: SeriesOwner;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

export interface DroppedTarget {
  readonly job: ScrapeJob;
  readonly discovered: ReadonlyMap<string, string>;
}

export interface TargetSet {
  readonly active: readonly ScrapeTarget[];
  /** Targets that rules have dropped, at most `maxDropped`. */
  readonly dropped: readonly DroppedTarget[];
  readonly droppedCount: number;
}

const maxTargets = 5_000;
const maxDropped = 1_000;

/** The targets of all jobs. `ownNamespace` is the namespace of this process. */
export function targetsOf(config: ScrapeConfig, objects: ClusterObjects, ownNamespace: string): TargetSet {
  const found = new Map<string, ScrapeTarget>();
  const dropped: DroppedTarget[] = [];
  let droppedCount = 0;
  for (const job of config.jobs) {
    for (const labels of discoveredOf(job, objects, ownNamespace)) {
      const discovered = withDefaults(labels, job);
      const target = targetOf(job, discovered);
      if (target !== undefined) {
        found.set(target.key, target);
        continue;
      }
      droppedCount += 1;
      if (dropped.length < maxDropped) dropped.push({ job, discovered });
    }
  }
  return { active: inTurnsOfNamespaces([...found.values()]), dropped, droppedCount };
}

/**
 * The targets to scrape. If there are too many, it takes targets from each namespace in turn, because anybody who may
 * write Services or pods decides how many targets a namespace has.
 */
function inTurnsOfNamespaces(targets: readonly ScrapeTarget[]): readonly ScrapeTarget[] {
  if (targets.length <= maxTargets) return targets;
  const waiting = [...Map.groupBy(targets, ({ owner }) => owner.namespace).values()];
  const taken: ScrapeTarget[] = [];
  for (let round = 0; taken.length < maxTargets; round += 1)
    for (const group of waiting) {
      const target = group[round];
      if (target !== undefined && taken.length < maxTargets) taken.push(target);
    }
  return taken;
}

function discoveredOf(job: ScrapeJob, objects: ClusterObjects, ownNamespace: string): ReadonlyMap<string, string>[] {
  const fixed = job.staticTargets.flatMap(({ targets, labels }) =>
    targets.map((address) => new Map([...labels, ["__address__", address]])),
  );
  const found = job.discoveries.flatMap(({ role, namespaces, ownNamespace: own }) => {
    const wanted = new Set([...namespaces, ...(own ? [ownNamespace] : [])]);
    return discoverTargets(role, objects).filter(
      (labels) => role === "node" || wanted.size === 0 || wanted.has(labels.get("__meta_kubernetes_namespace") ?? ""),
    );
  });
  return [...fixed, ...found];
}

function withDefaults(labels: ReadonlyMap<string, string>, job: ScrapeJob): ReadonlyMap<string, string> {
  const params = [...job.params].flatMap(([name, [value]]) =>
    value === undefined ? [] : [[`__param_${name}`, value] as const],
  );
  const defaults = [
    ["job", job.name],
    ["__scheme__", job.scheme],
    ["__metrics_path__", job.metricsPath],
    ["__scrape_interval__", `${job.intervalMs}ms`],
    ["__scrape_timeout__", `${job.timeoutMs}ms`],
  ] as const;
  return new Map([...defaults, ...params, ...labels]);
}

function targetOf(job: ScrapeJob, discovered: ReadonlyMap<string, string>): ScrapeTarget | undefined {
  const labels = relabel(discovered, job.relabelRules);
  const address = labels?.get("__address__") ?? "";
  if (labels === undefined || address === "" || address.includes("/")) return undefined;
  const scheme = labels.get("__scheme__") === "https" ? "https" : "http";
  const url = urlOf(scheme, address, labels, job);
  const own = [...labels].filter(([name]) => !name.startsWith("__"));
  const full = labelsOf([["instance", address], ...own]);
  const key = `${job.fingerprint}\n${url}\n${labelsKey(full)}`;
  const namespace = discovered.get("__meta_kubernetes_namespace") ?? `job ${job.name}`;
  return {
    job,
    labels: full,
    discovered,
    url,
    key,
    owner: { namespace, target: key },
    intervalMs: job.intervalMs,
    timeoutMs: job.timeoutMs,
  };
}

function urlOf(scheme: "http" | "https", address: string, labels: ReadonlyMap<string, string>, job: ScrapeJob): string {
  const hasPort = /:\d+$/.test(address);
  const host = hasPort ? address : `${address}:${scheme === "https" ? 443 : 80}`;
  const query = new URLSearchParams();
  for (const [name, values] of job.params) for (const value of values.slice(1)) query.append(name, value);
  for (const [name, value] of labels)
    if (name.startsWith("__param_")) query.append(name.slice("__param_".length), value);
  const path = labels.get("__metrics_path__") ?? "/metrics";
  const search = query.toString();
  return `${scheme}://${host}${path.startsWith("/") ? path : `/${path}`}${search === "" ? "" : `?${search}`}`;
}

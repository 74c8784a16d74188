import { istioLabels } from "../../api/istio/index.ts";
import { configMapKind, deploymentKind, podKind, type Deployment } from "../../api/kubernetes/index.ts";
import {
  messageOf,
  userError,
  truncated,
  onAbort,
  type Clock,
  type Environment,
  type Logger,
} from "../../base/index.ts";
import { releaseOfImage } from "../../install/index.ts";
import type { KubeClient, KubeConfig, OverlaidObject } from "../../kube/index.ts";
import type { ResourceChange } from "../compare/resources.ts";
import type { FieldChange } from "../tree-diff.ts";
import { openRelease } from "../release/release.ts";
import { ReleaseRunner } from "../release/release-runner.ts";
import { compareEachProxy, startBoth, type ShadowPilots, type ShadowSide } from "../shadow/compare-proxies.ts";
import { liveProxies, type LiveProxy } from "../shadow/live-proxies.ts";
import { shadowEnvironment } from "../shadow/shadow-pilot.ts";
import { WarmShadows, type WarmKey } from "./warm-shadows.ts";

export interface WhatIfOptions {
  readonly releaseDirectory: string;
  readonly istioNamespace: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface WhatIfQuestion {
  readonly client: KubeClient;
  /** The credentials with which the control planes read the cluster. */
  readonly kubeConfig: KubeConfig;
  /** In the form in which the API server would store them. */
  readonly objects: readonly OverlaidObject[];
  readonly signal: AbortSignal;
}

export interface WhatIfChange {
  /** For example `route 80`. */
  readonly resource: string;
  readonly change: "added" | "changed" | "removed";
  readonly difference: string;
}

export interface WhatIfReport {
  readonly proxies: readonly {
    readonly proxy: string;
    readonly namespace: string;
    readonly type: string;
    readonly changes: readonly WhatIfChange[];
  }[];
  /** How many proxies were compared. All replicas of a workload count as one. */
  readonly compared: number;
  /** Sentences that say in what the answer is incomplete. */
  readonly incomplete: readonly string[];
}

/**
 * The maximum number of proxies that are compared. With more, an answer would take longer than people wait. Those in
 * the objects' own namespaces come first.
 */
const maxProxies = 120;
const maxChangesOfProxy = 50;
const maxDifferenceLength = 2_000;
const maxFields = 20;
const proxyTypes: Readonly<Record<string, string>> = { router: "gateway" };

/**
 * Compares what a control plane would send to proxies with given objects and without them. Two control planes run
 * beside the mesh. They read the live objects and write nothing, and one of them sees the given objects too. The first
 * question takes some seconds. The processes (about 200 MB) stay for {@link warmIdleMs} and follow the cluster, so a
 * later question takes less than one second.
 */
export class WhatIf {
  readonly #options: WhatIfOptions;
  readonly #warm: WarmShadows;

  constructor(options: WhatIfOptions) {
    this.#options = options;
    this.#warm = new WarmShadows(options);
  }

  /** Answers one question. The questions run one after another. */
  async ask({ client, kubeConfig, objects, signal }: WhatIfQuestion): Promise<WhatIfReport> {
    const { releaseDirectory, istioNamespace } = this.#options;
    const release = await openRelease("what-if", releaseDirectory);
    const incomplete: string[] = [];
    const [{ items: pods }, { items: deployments }] = await Promise.all([
      client.list(podKind),
      client.list(deploymentKind, { namespace: istioNamespace, labelSelector: "app=istiod" }),
    ]);
    const proxies = liveProxies(pods);
    const revision = revisionOf(proxies, deployments, incomplete);
    const version = versionOf(deployments, revision);
    if (version !== "" && version !== release.version)
      incomplete.push(`Release ${release.version} computed this, but revision ${revision} runs ${version}.`);
    const mesh = await client.get(
      configMapKind,
      revision === "default" ? "istio" : `istio-${revision}`,
      istioNamespace,
    );
    const wanted = proxies.filter(
      (proxy) => proxy.revision === undefined || proxy.revision === revision || deployments.length === 1,
    );
    const namespaces = new Set(objects.map(({ object }) => object.metadata.namespace));
    const selected = wanted
      .toSorted((a, b) => Number(namespaces.has(b.namespace)) - Number(namespaces.has(a.namespace)))
      .slice(0, maxProxies);
    if (selected.length < wanted.length)
      incomplete.push(`Only the proxies of ${selected.length} of ${wanted.length} workloads were compared.`);
    const side = {
      release,
      version: release.version,
      meshConfig: mesh?.data?.["mesh"] ?? "{}",
      env: shadowEnvironment(deploymentOf(deployments, revision)?.spec?.template),
    };
    const failures: string[] = [];
    const changes = await this.#compare(side, revision, selected, { client, kubeConfig, objects, signal }, failures);
    if (failures.length > 0)
      incomplete.push(`${failures.length} could not be compared: ${failures.slice(0, 3).join("; ")}.`);
    return {
      proxies: [...changes].flatMap(([proxy, found]) => (found.length === 0 ? [] : [changedProxy(proxy, found)])),
      compared: changes.size,
      incomplete,
    };
  }

  async close(): Promise<void> {
    await this.#warm.close();
  }

  async #compare(
    side: ShadowSide,
    revision: string,
    proxies: readonly LiveProxy[],
    question: WhatIfQuestion,
    failures: string[],
  ): Promise<ReadonlyMap<LiveProxy, readonly ResourceChange[]>> {
    const { kubeConfig, objects, signal } = question;
    const key = {
      kubeConfig,
      text: JSON.stringify([side.release.directory, side.version, revision, side.meshConfig, side.env]),
    };
    const kept = await this.#warm.take(key);
    if (kept !== undefined) {
      try {
        await kept.pilots.to.overlay(objects);
        const changes = await compareEachProxy(
          { version: side.version, proxies, pilots: kept.pilots, signal },
          failures,
        );
        await kept.pilots.to.overlay([]);
        await this.#warm.keep(kept);
        return changes;
      } catch (error) {
        await this.#warm.end(kept);
        signal.throwIfAborted();
        this.#options.log.debug("kept control planes did not answer", { error: messageOf(error) });
        failures.length = 0;
      }
    }
    return await this.#compareAnew({ side, revision, proxies, key }, question, failures);
  }

  async #compareAnew(
    { side, revision, proxies, key }: ComparedRevision,
    { objects, kubeConfig, signal }: WhatIfQuestion,
    failures: string[],
  ): Promise<ReadonlyMap<LiveProxy, readonly ResourceChange[]>> {
    const { istioNamespace: namespace, env, clock, log } = this.#options;
    // The processes continue after an answer. They end if the question is aborted.
    const ended = new AbortController();
    using _giveUp = onAbort(signal, () => ended.abort(signal.reason));
    const runner = await ReleaseRunner.open({ env, signal: ended.signal });
    let pilots: ShadowPilots | undefined;
    try {
      signal.throwIfAborted();
      pilots = await startBoth({
        from: side,
        to: { ...side, overlaid: objects },
        runner,
        kubeConfig,
        clock,
        log,
        revision,
        namespace,
      });
      const changes = await compareEachProxy({ version: side.version, proxies, pilots, signal }, failures);
      // Keep the control planes only if they have dropped the objects of this question.
      const isClean = await pilots.to.overlay([]).then(
        () => true,
        () => false,
      );
      if (isClean) await this.#warm.keep({ key, pilots, runner });
      else await this.#warm.end({ key, pilots, runner });
      return changes;
    } catch (error) {
      if (pilots !== undefined) await this.#warm.end({ key, pilots, runner });
      else await runner.close().catch(() => undefined);
      throw error;
    }
  }
}

interface ComparedRevision {
  readonly side: ShadowSide;
  readonly revision: string;
  readonly proxies: readonly LiveProxy[];
  readonly key: WarmKey;
}

/** The revision that most proxies have. The control planes read the objects of one revision only. */
function revisionOf(proxies: readonly LiveProxy[], deployments: readonly Deployment[], incomplete: string[]): string {
  const known = deployments.map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default");
  if (known.length === 0)
    throw userError("not-found", "no control plane is installed", { hint: "install one: serin install" });
  const count = (revision: string): number => proxies.filter((proxy) => proxy.revision === revision).length;
  const [first = "default", ...others] = known.toSorted((a, b) => count(b) - count(a));
  const left = others.reduce((sum, revision) => sum + count(revision), 0);
  if (left > 0) incomplete.push(`Proxies of revision ${others.join(", ")} were not compared: ${left} workloads.`);
  return first;
}

function deploymentOf(deployments: readonly Deployment[], revision: string): Deployment | undefined {
  return deployments.find(({ metadata }) => (metadata.labels?.[istioLabels.revision] ?? "default") === revision);
}

function versionOf(deployments: readonly Deployment[], revision: string): string {
  const image =
    deploymentOf(deployments, revision)?.spec?.template?.spec?.containers.find(({ name }) => name === "discovery")
      ?.image ?? "";
  return releaseOfImage(image) ?? "";
}

function changedProxy(proxy: LiveProxy, changes: readonly ResourceChange[]): WhatIfReport["proxies"][number] {
  return {
    proxy: proxy.name.endsWith(`.${proxy.namespace}`) ? proxy.name.slice(0, -proxy.namespace.length - 1) : proxy.name,
    namespace: proxy.namespace,
    type: proxyTypes[proxy.type] ?? proxy.type,
    changes: changes.slice(0, maxChangesOfProxy).map(({ type, resource, change, changes: fields }) => ({
      resource: `${type} ${resource}`,
      change,
      difference: differenceText(fields),
    })),
  };
}

function differenceText(fields: readonly FieldChange[]): string {
  const lines = fields
    .slice(0, maxFields)
    .map(
      ({ path, before, after }) =>
        `${path}: ${before === undefined ? "(none)" : JSON.stringify(before)} -> ${after === undefined ? "(none)" : JSON.stringify(after)}`,
    );
  const text = [...lines, ...(fields.length > maxFields ? [`and ${fields.length - maxFields} more fields`] : [])].join(
    "\n",
  );
  return truncated(text, maxDifferenceLength);
}

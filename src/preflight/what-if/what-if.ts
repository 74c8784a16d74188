import { configMapKind, deploymentKind, podKind, type Deployment } from "../../api/kubernetes/index.ts";
import { messageOf, userError, type Clock, type Environment, type Logger } from "../../base/index.ts";
import type { KubeClient, KubeConfig, OverlaidObject } from "../../kube/index.ts";
import type { ResourceChange } from "../compare/resources.ts";
import type { FieldChange } from "../compare/tree-diff.ts";
import { openRelease } from "../release/release.ts";
import { ReleaseRunner } from "../release/release-runner.ts";
import { compareEachProxy } from "../shadow/compare-proxies.ts";
import { liveProxies, type LiveProxy } from "../shadow/live-proxies.ts";

export interface WhatIfOptions {
  readonly client: KubeClient;
  /** By whose credentials the control planes read. */
  readonly kubeConfig: KubeConfig;
  /** The tree whose control plane is run. */
  readonly releaseDirectory: string;
  /** As the API server would have them once they are applied. */
  readonly objects: readonly OverlaidObject[];
  readonly istioNamespace: string;
  readonly env: Environment;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface WhatIfChange {
  /** `route 80`. */
  readonly resource: string;
  readonly change: "added" | "changed" | "removed";
  readonly difference: string;
}

export interface WhatIfReport {
  readonly proxies: readonly { readonly proxy: string; readonly namespace: string; readonly type: string; readonly changes: readonly WhatIfChange[] }[];
  /** Proxies that were asked for; replicas of a workload are one. */
  readonly compared: number;
  /** Why it is not the whole answer, in sentences. */
  readonly incomplete: readonly string[];
}

/** Beyond this, people would wait too long; those of the objects' own namespaces come first. */
const maxProxies = 120;
const maxChangesOfProxy = 50;
const maxDifferenceLength = 2_000;
const maxFields = 20;
const proxyTypes: Readonly<Record<string, string>> = { router: "gateway" };

/**
 * What proxies would be sent with these objects and are not sent without: by two processes of a control plane beside the mesh that read
 * the live objects, one of them with the new ones in their place, and write nothing. Takes some seconds, and some 200 MB while it runs.
 */
export async function whatIf(options: WhatIfOptions): Promise<WhatIfReport> {
  const { client, kubeConfig, releaseDirectory, objects, istioNamespace, env, clock, log, signal } = options;
  const release = await openRelease("what-if", releaseDirectory);
  const incomplete: string[] = [];
  const [{ items: pods }, { items: deployments }] = await Promise.all([client.list(podKind), client.list(deploymentKind, { labelSelector: "app=istiod" })]);
  const proxies = liveProxies(pods);
  const revision = revisionOf(proxies, deployments, incomplete);
  const version = versionOf(deployments, revision);
  if (version !== "" && version !== release.version) incomplete.push(`It is worked out by release ${release.version}, and revision ${revision} runs ${version}.`);
  const mesh = await client.get(configMapKind, revision === "default" ? "istio" : `istio-${revision}`, istioNamespace);
  const wanted = proxies.filter((proxy) => proxy.revision === undefined || proxy.revision === revision || deployments.length === 1);
  const namespaces = new Set(objects.map(({ object }) => object.metadata.namespace));
  const asked = wanted.toSorted((a, b) => Number(namespaces.has(b.namespace)) - Number(namespaces.has(a.namespace))).slice(0, maxProxies);
  if (asked.length < wanted.length) incomplete.push(`${asked.length} of ${wanted.length} workloads' proxies were asked for.`);
  const runner = await ReleaseRunner.open({ env, signal });
  try {
    const side = { release, version: release.version, meshConfig: mesh?.data?.["mesh"] ?? "{}", env: environmentOf(deployments, revision) };
    const failures: string[] = [];
    const changes = await compareEachProxy({ from: side, to: { ...side, overlaid: objects }, proxies: asked, revision, namespace: istioNamespace, runner, kubeConfig, clock, log, progress: () => undefined }, failures);
    if (failures.length > 0) incomplete.push(`${failures.length} could not be asked for: ${failures.slice(0, 3).join("; ")}.`);
    return { proxies: [...changes].flatMap(([proxy, found]) => (found.length === 0 ? [] : [changedProxy(proxy, found)])), compared: changes.size, incomplete };
  } finally {
    await runner.close().catch((error: unknown) => log.warn("files of a control plane could not be removed", { error: messageOf(error) }));
  }
}

/** The revision that most proxies are of: a control plane reads for one. */
function revisionOf(proxies: readonly LiveProxy[], deployments: readonly Deployment[], incomplete: string[]): string {
  const known = deployments.map(({ metadata }) => metadata.labels?.["istio.io/rev"] ?? "default");
  if (known.length === 0) throw userError("not-found", "no control plane is installed", { hint: "serin install" });
  const count = (revision: string): number => proxies.filter((proxy) => proxy.revision === revision).length;
  const [first = "default", ...others] = known.toSorted((a, b) => count(b) - count(a));
  const left = others.reduce((sum, revision) => sum + count(revision), 0);
  if (left > 0) incomplete.push(`Proxies of revision ${others.join(", ")} were not asked for: ${left} workloads.`);
  return first;
}

function deploymentOf(deployments: readonly Deployment[], revision: string): Deployment | undefined {
  return deployments.find(({ metadata }) => (metadata.labels?.["istio.io/rev"] ?? "default") === revision);
}

function versionOf(deployments: readonly Deployment[], revision: string): string {
  const image = deploymentOf(deployments, revision)?.spec?.template?.spec?.containers.find(({ name }) => name === "discovery")?.image ?? "";
  return /:([\w.+-]+)$/.exec(image)?.[1]?.replace(/-(distroless|debug)$/, "") ?? "";
}

/** What says who and where it is, a shadow is told itself. */
const ownVariables: ReadonlySet<string> = new Set(["KUBECONFIG", "REVISION", "POD_NAME", "POD_NAMESPACE", "SERVICE_ACCOUNT"]);

function environmentOf(deployments: readonly Deployment[], revision: string): Environment {
  const variables = deploymentOf(deployments, revision)?.spec?.template?.spec?.containers.find(({ name }) => name === "discovery")?.env ?? [];
  return Object.fromEntries(variables.flatMap(({ name, value }) => (value === undefined || ownVariables.has(name) ? [] : [[name, value]])));
}

function changedProxy(proxy: LiveProxy, changes: readonly ResourceChange[]): WhatIfReport["proxies"][number] {
  return {
    proxy: proxy.name.endsWith(`.${proxy.namespace}`) ? proxy.name.slice(0, -proxy.namespace.length - 1) : proxy.name,
    namespace: proxy.namespace,
    type: proxyTypes[proxy.type] ?? proxy.type,
    changes: changes.slice(0, maxChangesOfProxy).map(({ type, resource, change, changes: fields }) => ({ resource: `${type} ${resource}`, change, difference: differenceText(fields) })),
  };
}

function differenceText(fields: readonly FieldChange[]): string {
  const lines = fields.slice(0, maxFields).map(({ path, before, after }) => `${path}: ${before === undefined ? "(none)" : JSON.stringify(before)} -> ${after === undefined ? "(none)" : JSON.stringify(after)}`);
  const text = [...lines, ...(fields.length > maxFields ? [`and ${fields.length - maxFields} more fields`] : [])].join("\n");
  return text.length <= maxDifferenceLength ? text : `${text.slice(0, maxDifferenceLength)}…`;
}

import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import type { TimeoutFlags } from "../deadline.ts";
import { lineChanges } from "../terminal/line-changes.ts";
import { askEach, listPilotsOf, tryPilot } from "../control-planes/pilots.ts";
import { askAdmin, findProxyPod, parseAdminJson, type AdminFlags, type ProxyPod } from "./proxy-admin.ts";
import { ConfigDump, jsonNames, type RouteConfig } from "../../proxy-dump/index.ts";

interface DiffFlags extends AdminFlags, TimeoutFlags {
  readonly revision?: string;
  readonly file?: string;
}

type Resource = Readonly<Record<string, unknown>> & { readonly name?: string };

/** Compares the clusters, listeners and routes of the pod's proxy with those that its control plane would send. */
export async function proxyDiff(name: string, flags: DiffFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const pod = await findProxyPod(client, name, flags, context);
  const text =
    flags.file === undefined
      ? await askAdmin(pod, "GET", "/config_dump", flags, context)
      : await context.readFile(flags.file);
  const proxy = dumpOf(text, flags.file ?? `the answer of ${pod.name}`);
  const wanted = dumpOf(await wantedBy(client, pod, flags, context), "the control plane's answer");
  const dynamic = (resources: readonly Resource[]): readonly Resource[] =>
    resources.filter(({ name: own = "" }) => wantedNames.has(own) || !fixedNames.has(own));
  const wantedNames = new Set([...wanted.clusters(), ...wanted.listeners()].map(({ name: own = "" }) => own));
  context.out(compareResources("Clusters", wanted.clusters(), dynamic(proxy.clusters())));
  context.out(compareResources("Listeners", wanted.listeners(), dynamic(proxy.listeners())));
  context.out(compareResources("Routes", wanted.sentRoutes().map(inOrder), proxy.sentRoutes().map(inOrder)));
}

/** The names of resources in the bootstrap, which control planes do not send. */
const fixedNames = new Set(["prometheus_stats", "agent", "sds-grpc", "xds-grpc", "zipkin", "prometheus", ""]);

function dumpOf(text: string, where: string): ConfigDump {
  return new ConfigDump(jsonNames(parseAdminJson(text, where)), where);
}

async function wantedBy(
  client: KubeClient,
  pod: ProxyPod,
  { revision, timeout }: DiffFlags,
  context: CliContext,
): Promise<string> {
  const path = `/debug/config_dump?proxyID=${pod.name}.${pod.namespace}`;
  const { answers, faults } = await askEach(
    await listPilotsOf(client, revision),
    async (pilot) => await tryPilot(client, pilot, 8080, path),
    // Half the time is left for the proxy's own configuration.
    { timeout: timeout / 2 },
    context,
  );
  const found = answers.find(({ answer }) => answer !== undefined)?.answer;
  if (found !== undefined) return found;
  // The proxy may be connected to a control plane that did not answer.
  if (faults[0] !== undefined) throw faults[0];
  throw userError(
    "proxy-not-connected",
    `the proxy of ${pod.name}.${pod.namespace} is not connected to any control plane`,
    {
      hint: `read its log: kubectl -n ${pod.namespace} logs ${pod.name} -c istio-proxy; list the connected proxies: ${context.programName} proxy-status`,
    },
  );
}

/** Sorts virtual hosts. Those that a proxy discovers on demand have no fixed order. */
function inOrder({ virtualHosts = [], ...rest }: RouteConfig): RouteConfig {
  return {
    ...rest,
    virtualHosts: virtualHosts.toSorted((left, right) => ((left.name ?? "") < (right.name ?? "") ? -1 : 1)),
  };
}

/**
 * The maximum length of a resource whose diff is shown, in lines. The cost of a diff grows with the product of both
 * lengths, and a longer diff is too long to read.
 */
const maxLines = 3_000;

function compareResources(title: string, wanted: readonly Resource[], present: readonly Resource[]): string {
  const byName = (resources: readonly Resource[]): ReadonlyMap<string, string> =>
    new Map(resources.map((resource) => [resource.name ?? "", canonical(resource)]));
  const [should, has] = [byName(wanted), byName(present)];
  const changes = [...new Set([...should.keys(), ...has.keys()])].toSorted().flatMap((name) => {
    const [before, after] = [should.get(name), has.get(name)];
    if (before === after) return [];
    if (after === undefined) return [`- ${name} (the proxy does not have it)`];
    if (before === undefined) return [`+ ${name} (the control plane does not know it)`];
    const isLong = Math.max(before.split("\n").length, after.split("\n").length) > maxLines;
    return [`~ ${name}${isLong ? " (too long to show)" : `\n${lineChanges(before, after)}`}`];
  });
  return changes.length === 0
    ? `${title} Match\n`
    : `${title} Don't Match\n--- Istiod ${title}\n+++ Proxy ${title}\n${changes.join("\n")}\n`;
}

/** Serialises with sorted keys, so that their order makes no difference. */
function canonical(value: unknown): string {
  return JSON.stringify(sorted(value), undefined, 2);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

import { toSerinError } from "../../base/index.ts";
import { podKind, type Pod } from "../../api/kubernetes/index.ts";
import { errorOfStatus, isKubeCode, podLogPath, type KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf } from "../flags.ts";
import { askPilot, listPilots } from "../control-planes/pilots.ts";
import { isRunning } from "../proxies/pods.ts";
import { askAdmin, hasProxy, type AdminFlags } from "../proxies/proxy-admin.ts";
import { selectsContainer, selectsPod, type PodSelection } from "./pod-selection.ts";

export interface ReportFlags extends AdminFlags {
  readonly include: readonly PodSelection[];
  readonly exclude: readonly PodSelection[];
  /** Milliseconds. */
  readonly duration?: number;
  /** Logs are collected from this time on. Undefined means from their beginning. */
  readonly startTime?: string;
  readonly tail?: string;
  readonly skipClusterDump?: boolean;
  readonly skipProxyDebug?: boolean;
}

export interface ReportFile {
  readonly path: string;
  /** The kubelets and processes that must answer, in the order in which the request passes through them. */
  readonly respondents?: readonly Respondent[];
  readonly text: () => Promise<string>;
}

export interface Respondent {
  readonly name: string;
  readonly command: string;
}

const maxProxies = 200;
const maxLogBytes = 16 << 20;

/** Yields the files of a report. A file is read only when the caller calls its `text`. */
export async function* collectReport(
  client: KubeClient,
  flags: ReportFlags,
  context: CliContext,
): AsyncGenerator<ReportFile> {
  const clock = context.clock.nowMs();
  yield {
    path: "report.txt",
    text: async () =>
      await Promise.resolve(`${context.programName} ${context.version}\n${new Date(clock).toISOString()}\n`),
  };
  yield { path: "cluster/version.json", text: async () => await get(client, "/version") };
  if (flags.skipClusterDump !== true) yield* clusterFiles(client, flags);
  yield* orNote("cluster/pods", () => filesOfPods(client, flags, context));
}

async function* filesOfPods(client: KubeClient, flags: ReportFlags, context: CliContext): AsyncGenerator<ReportFile> {
  const pods = await visiblePods(client, flags);
  yield* controlPlaneFiles(client, pods, flags);
  yield* podFiles(client, pods, flags, context);
}

/** Yields the files. If they cannot be listed, yields one unreadable file, so that the report notes the reason. */
async function* orNote(path: string, files: () => AsyncGenerator<ReportFile, void>): AsyncGenerator<ReportFile> {
  try {
    yield* files();
  } catch (error) {
    yield { path, text: async () => await Promise.reject(toSerinError(error)) };
  }
}

/** Lists all pods. If the user may not, lists those of the included namespaces and of the mesh's namespace. */
async function visiblePods(client: KubeClient, flags: ReportFlags): Promise<readonly Pod[]> {
  try {
    return (await client.list(podKind)).items;
  } catch (error) {
    const included = namedNamespaces(flags.include);
    if (included.length === 0 || !isKubeCode(error, "forbidden")) throw error;
    const lists = [...new Set([istioNamespaceOf(flags), ...included])].map(
      async (namespace) => (await client.list(podKind, { namespace })).items,
    );
    const read = await Promise.allSettled(lists);
    return read.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  }
}

/** The kinds of cluster-wide objects in a report. It never includes Secrets. */
const clusterPaths: Readonly<Record<string, string>> = {
  nodes: "/api/v1/nodes",
  namespaces: "/api/v1/namespaces",
  pods: "/api/v1/pods",
  services: "/api/v1/services",
  serviceaccounts: "/api/v1/serviceaccounts",
  events: "/api/v1/events",
  deployments: "/apis/apps/v1/deployments",
  daemonsets: "/apis/apps/v1/daemonsets",
  replicasets: "/apis/apps/v1/replicasets",
  statefulsets: "/apis/apps/v1/statefulsets",
  networkpolicies: "/apis/networking.k8s.io/v1/networkpolicies",
  resourcequotas: "/api/v1/resourcequotas",
  limitranges: "/api/v1/limitranges",
  poddisruptionbudgets: "/apis/policy/v1/poddisruptionbudgets",
  horizontalpodautoscalers: "/apis/autoscaling/v2/horizontalpodautoscalers",
  endpointslices: "/apis/discovery.k8s.io/v1/endpointslices",
  mutatingwebhookconfigurations: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  validatingwebhookconfigurations: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
};

interface Definition {
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly plural?: string };
    readonly versions?: readonly { readonly name?: string; readonly served?: boolean; readonly storage?: boolean }[];
  };
}

const meshGroups = /(^|\.)(istio\.io|gateway\.networking\.k8s\.io|banzaicloud\.io|serin\.dev)$/;

async function* clusterFiles(client: KubeClient, flags: ReportFlags): AsyncGenerator<ReportFile> {
  for (const [name, path] of Object.entries(clusterPaths))
    yield { path: `cluster/${name}.json`, text: async () => await get(client, path) };
  yield {
    path: "cluster/configmaps.json",
    text: async () => await get(client, `/api/v1/namespaces/${istioNamespaceOf(flags)}/configmaps`),
  };
  yield* orNote("mesh", () => meshFiles(client));
}

async function* meshFiles(client: KubeClient): AsyncGenerator<ReportFile> {
  const { items = [] } = JSON.parse(await get(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")) as {
    readonly items?: readonly Definition[];
  };
  for (const { spec } of items) {
    const { group = "", names, versions = [] } = spec ?? {};
    const version = versions.find(({ storage }) => storage === true) ?? versions.find(({ served }) => served === true);
    const plural = names?.plural;
    if (!meshGroups.test(group) || plural === undefined || version?.name === undefined) continue;
    yield {
      path: `mesh/${plural}.${group}.json`,
      text: async () => await get(client, `/apis/${group}/${version.name ?? ""}/${plural}`),
    };
  }
}

const pilotStates: readonly { readonly port: number; readonly path: string; readonly file: string }[] = [
  { port: 15_014, path: "/version", file: "version.txt" },
  { port: 15_014, path: "/metrics", file: "metrics.txt" },
  { port: 8080, path: "/debug/syncz", file: "syncz.json" },
];

async function* controlPlaneFiles(
  client: KubeClient,
  pods: readonly Pod[],
  flags: ReportFlags,
): AsyncGenerator<ReportFile> {
  yield* orNote("istiod", () => pilotFiles(client));
  const isPart = ({ metadata: { labels = {} } }: Pod): boolean =>
    labels["app"] === "istiod" ||
    labels["k8s-app"] === "istio-cni-node" ||
    labels["name"] === "istio-operator" ||
    labels["app"] === "serin-rollout";
  for (const pod of pods.filter(isPart)) yield* logFiles(client, pod, "components", flags);
}

async function* pilotFiles(client: KubeClient): AsyncGenerator<ReportFile> {
  for (const pilot of await listPilots(client)) {
    const respondents = [processOf(pilot.namespace, pilot.pod)];
    for (const { port, path, file } of pilotStates)
      yield {
        path: `istiod/${pilot.pod}/${file}`,
        respondents,
        text: async () => await askPilot(client, pilot, port, path),
      };
  }
}

interface StatePages {
  readonly folder: string;
  readonly paths: readonly string[];
}

/** The admin pages of Envoy and compatible proxies. `certs` contains no keys. */
const proxyPages: StatePages = {
  folder: "proxies",
  paths: ["config_dump", "clusters", "listeners", "stats", "certs", "server_info"],
};
const ztunnelPages: StatePages = { folder: "ztunnel", paths: ["config_dump"] };

async function* podFiles(
  client: KubeClient,
  pods: readonly Pod[],
  flags: ReportFlags,
  context: CliContext,
): AsyncGenerator<ReportFile> {
  const ztunnels = pods.filter(({ metadata }) => metadata.labels?.["app"] === "ztunnel");
  for (const pod of ztunnels) yield* stateFiles(client, pod, ztunnelPages, flags, context);
  const proxies = pods.filter((pod) => hasProxy(pod) && !ztunnels.includes(pod) && isWanted(pod, flags));
  for (const pod of proxies.slice(0, maxProxies)) yield* stateFiles(client, pod, proxyPages, flags, context);
  if (proxies.length > maxProxies)
    yield {
      path: "proxies/left-out.txt",
      text: async () => await Promise.resolve(`${proxies.slice(maxProxies).map(nameOf).join("\n")}\n`),
    };
}

export function namedNamespaces(selections: readonly PodSelection[]): string[] {
  return selections.flatMap(({ namespaces }) => namespaces.filter((name) => !name.includes("*")));
}

function isWanted(pod: Pod, { include, exclude }: ReportFlags): boolean {
  return (
    (include.length === 0 || include.some((selection) => selectsPod(selection, pod))) &&
    !exclude.some((selection) => selection.containers.length === 0 && selectsPod(selection, pod))
  );
}

function isLogWanted(pod: Pod, container: string, { include, exclude }: ReportFlags): boolean {
  const isSelected = (selection: PodSelection): boolean =>
    selectsPod(selection, pod) && selectsContainer(selection, container);
  return (include.length === 0 || include.some(isSelected)) && !exclude.some(isSelected);
}

function nameOf({ metadata }: Pod): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

async function* stateFiles(
  client: KubeClient,
  pod: Pod,
  { folder, paths }: StatePages,
  flags: ReportFlags,
  context: CliContext,
): AsyncGenerator<ReportFile> {
  const isOfProxy = (name: string): boolean =>
    ["istio-proxy", "istio-init"].includes(name) && (folder === ztunnelPages.folder || isLogWanted(pod, name, flags));
  yield* logFiles(client, pod, folder, flags, isOfProxy);
  if (flags.skipProxyDebug === true || !isRunning(pod)) return;
  const { name = "", namespace = "" } = pod.metadata;
  for (const path of paths)
    yield {
      path: `${folder}/${nameOf(pod)}/${path}${path === "stats" ? ".txt" : ".json"}`,
      // The kubelet forwards the port, so the report needs an answer from it too.
      respondents: [...kubeletOf(pod), processOf(namespace, name)],
      text: async () =>
        await askAdmin(
          { name, namespace },
          "GET",
          `/${path}${path === "clusters" || path === "listeners" ? "?format=json" : ""}`,
          flags,
          context,
        ),
    };
}

function kubeletOf({ spec }: Pod): readonly Respondent[] {
  const node = spec?.nodeName;
  return node === undefined ? [] : [{ name: `node ${node}`, command: `kubectl describe node ${node}` }];
}

function processOf(namespace: string, pod: string): Respondent {
  return { name: `pod ${namespace}/${pod}`, command: `kubectl describe pod -n ${namespace} ${pod}` };
}

async function* logFiles(
  client: KubeClient,
  pod: Pod,
  folder: string,
  { duration, startTime, tail }: ReportFlags,
  isWantedName: (container: string) => boolean = () => true,
): AsyncGenerator<ReportFile> {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const limits = {
    limitBytes: String(maxLogBytes),
    ...(duration === undefined ? {} : { sinceSeconds: String(Math.ceil(duration / 1000)) }),
    ...(startTime === undefined ? {} : { sinceTime: startTime }),
    ...(tail === undefined ? {} : { tailLines: tail }),
  };
  const { namespace = "", name: podName = "" } = pod.metadata;
  const respondents = kubeletOf(pod);
  for (const { name, restartCount } of statuses) {
    if (!isWantedName(name)) continue;
    const pathOf = (run: Readonly<Record<string, string>>): string =>
      podLogPath({ namespace, name: podName }, { container: name, ...limits, ...run });
    yield {
      path: `${folder}/${nameOf(pod)}/${name}.log`,
      respondents,
      text: async () => await get(client, pathOf({})),
    };
    if (restartCount > 0)
      yield {
        path: `${folder}/${nameOf(pod)}/${name}.previous.log`,
        respondents,
        text: async () => await get(client, pathOf({ previous: "true" })),
      };
  }
}

async function get(client: KubeClient, path: string): Promise<string> {
  const { status, text } = await client.raw("GET", path, { accept: "*/*" });
  if (status === 200) return text;
  throw errorOfStatus({ verb: "get", object: path.split("?")[0] ?? "" }, status, text);
}

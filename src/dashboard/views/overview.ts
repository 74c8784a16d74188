import { counted } from "../../base/index.ts";
import type { AttentionRow, LadderProxy, NamespaceRow, OverviewHead, OverviewView } from "../../api/dashboard/index.ts";
import { failingRequests, trafficHealth, worst, type Judged } from "./health.ts";
import type { Workload } from "./inventory.ts";
import { latestUpgrade } from "./ladder.ts";
import { phasesUnderWay } from "./moved-workloads.ts";
import { proxyRow } from "./proxies.ts";
import { controlPlanes, revisionByTag, wantedRevision } from "./revisions.ts";
import { rolloutRow, type Rollout } from "./rollouts.ts";
import { isOfProbes, mutualTlsShare, type TrafficEdge } from "./traffic.ts";
import { ratesOf } from "./traffic-index.ts";
import {
  isVisible,
  whyProxiesIncomplete,
  whyProxiesUnknown,
  type ViewInput,
  type VisibleNamespaces,
} from "./view-input.ts";
import { workloadRow } from "./workload-row.ts";

export const maxAttention = 50;

export function overviewView(input: ViewInput, visible: VisibleNamespaces, cluster: string): OverviewView {
  const { inventory, traffic, pilots } = input;
  const seen = traffic.edges.filter(
    ({ source, destination }) => isVisible(visible, source.namespace) || isVisible(visible, destination.namespace),
  );
  const entering = seen.filter((edge) => edge.requestRate > 0 && !isOfProbes(edge));
  const { requestRate, errorShare, p99Ms } = ratesOf(entering);
  const proxies = pilots.proxies.map(proxyRow).filter(({ namespace }) => isVisible(visible, namespace));
  const workloads = [...inventory.workloads.values()].filter(({ namespace }) => isVisible(visible, namespace));
  const missing = missingProxies(input, visible, proxies);
  const unknown = whyProxiesUnknown(pilots);
  const incomplete = whyProxiesIncomplete(pilots);
  const rollouts = rolloutsSeen(input, visible);
  const head: OverviewHead = {
    atMs: input.atMs,
    sources: input.sources,
    cluster,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    proxies: {
      synced: countOf(proxies, "synced"),
      stale: countOf(proxies, "stale"),
      rejected: countOf(proxies, "rejected"),
      missing: missing.length,
      ...(unknown === undefined ? {} : { unknown }),
      ...(incomplete === undefined ? {} : { incomplete }),
    },
    workloads: workloads.length,
    rolloutsUnderWay: rollouts.filter(({ status }) => phasesUnderWay.has(status?.phase ?? "")).length,
  };
  const names = [...inventory.namespaces.keys()].filter((name) => isVisible(visible, name));
  const byNamespace = Map.groupBy(workloads, ({ namespace }) => namespace);
  const inbound = Map.groupBy(seen, ({ destination, service }) =>
    destination.namespace === "unknown" ? service.namespace : destination.namespace,
  );
  const configs = configCounts(input);
  const tags = revisionByTag(inventory);
  const namespaces = names.map(
    (name) =>
      [
        name,
        namespaceRow(
          {
            name,
            workloads: byNamespace.get(name) ?? [],
            inbound: inbound.get(name) ?? [],
            configs: configs.get(name),
          },
          tags,
          input,
        ),
      ] as const,
  );
  const attention = [
    ...rolloutAttention(rollouts),
    ...meshAttention(input, proxies, missing),
    ...workloadAttention(workloads, input),
    ...configAttention(input, visible),
  ];
  const order: readonly AttentionRow["level"][] = ["error", "warning", "info"];
  const sorted = attention.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level)).slice(0, maxAttention);
  return {
    head,
    tables: {
      namespaces: Object.fromEntries(namespaces),
      attention: Object.fromEntries(sorted.map((row, index) => [String(index).padStart(3, "0"), row])),
    },
  };
}

function countOf(proxies: readonly LadderProxy[], state: LadderProxy["state"]): number {
  return proxies.reduce((sum, proxy) => sum + Number(proxy.state === state), 0);
}

function rolloutsSeen({ inventory }: ViewInput, visible: VisibleNamespaces): Rollout[] {
  const { canaries, upgrades } = inventory.objects;
  return [...canaries.filter(({ metadata }) => isVisible(visible, metadata.namespace ?? "")), ...upgrades];
}

/**
 * The names of pods whose proxy is connected to no control plane. Empty if a control plane does not answer, because the
 * proxies may be connected to that one.
 */
function missingProxies(
  { inventory, pilots }: ViewInput,
  visible: VisibleNamespaces,
  proxies: readonly LadderProxy[],
): string[] {
  if (pilots.answered === 0 || pilots.silent.length > 0) return [];
  const connected = new Set(proxies.map(({ namespace, pod }) => `${namespace}/${pod}`));
  return [...inventory.workloads.values()]
    .filter(
      ({ dataPlane, namespace }) => (dataPlane === "sidecar" || dataPlane === "proxy") && isVisible(visible, namespace),
    )
    .flatMap(({ pods, namespace }) =>
      pods
        .filter(({ status, metadata }) => status?.phase === "Running" && metadata.deletionTimestamp === undefined)
        .map(({ metadata }) => `${namespace}/${metadata.name ?? ""}`),
    )
    .filter((key) => !connected.has(key));
}

interface NamespaceContent {
  readonly name: string;
  readonly workloads: readonly Workload[];
  readonly inbound: readonly TrafficEdge[];
  /** The number of messages about its configuration. Undefined if there are none. */
  readonly configs: { readonly errors: number; readonly warnings: number } | undefined;
}

function namespaceRow(
  { name, workloads, inbound, configs }: NamespaceContent,
  tags: ReadonlyMap<string, string>,
  input: ViewInput,
): NamespaceRow {
  const namespace = input.inventory.namespaces.get(name);
  const { requestRate, errorShare, p99Ms, sum } = ratesOf(inbound);
  const rows = workloads.map((workload) => workloadRow(workload, input));
  // Requests also fail if their workload was deleted or scaled to zero, so judge the traffic even if there are no
  // workloads.
  const traffic = trafficHealth(requestRate, errorShare);
  const parts: readonly Judged[] =
    rows.length === 0
      ? [{ health: "idle", reason: "" }]
      : rows.map((row) => ({ health: row.health, reason: row.reason === "" ? "" : `${row.name}: ${row.reason}` }));
  const judged = worst(traffic.health === "idle" ? parts : [...parts, traffic]);
  const secured = mutualTlsShare(sum);
  const planes = workloads.map(({ dataPlane }) => dataPlane);
  return {
    name,
    dataPlane: planes.includes("sidecar") ? "sidecar" : planes.includes("ambient") ? "ambient" : "none",
    revision: namespace === undefined ? "" : wantedRevision(namespace, tags),
    workloads: workloads.length,
    health: judged.health,
    reason: judged.reason,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    ...(secured === undefined ? {} : { mutualTlsShare: secured }),
    configErrors: configs?.errors ?? 0,
    configWarnings: configs?.warnings ?? 0,
  };
}

function configCounts({ messages }: ViewInput): Map<string, { errors: number; warnings: number }> {
  const counts = new Map<string, { errors: number; warnings: number }>();
  for (const [key, found] of messages.byObject) {
    const namespace = namespaceOfKey(key);
    const count = counts.get(namespace) ?? { errors: 0, warnings: 0 };
    for (const { level } of found) {
      if (level === "Error") count.errors += 1;
      if (level === "Warning") count.warnings += 1;
    }
    counts.set(namespace, count);
  }
  return counts;
}

/** The namespace in an object's key. For a Namespace, its own name. */
function namespaceOfKey(key: string): string {
  const [kind = "", place = ""] = key.split(" ");
  const [namespace = "", name = ""] = place.split("/");
  return kind.endsWith("/Namespace") ? name : namespace;
}

function link(...parts: readonly string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

function rolloutLink(rollout: Rollout): string {
  const { kind, namespace, name } = rolloutRow(rollout);
  return kind === "MeshUpgrade" ? link("rollouts", kind, name) : link("rollouts", kind, namespace, name);
}

function rolloutAttention(rollouts: readonly Rollout[]): AttentionRow[] {
  return rollouts.flatMap((rollout): AttentionRow[] => {
    const { phase, kind, namespace, name, message, cause, step } = rolloutRow(rollout);
    const who = `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
    const page = rolloutLink(rollout);
    if (phase === "Stuck") return [{ level: "error", text: `${who} is stuck: ${message}`, page }];
    if (phase === "RollingBack")
      return [{ level: "error", text: `${who} is being rolled back: ${cause === "" ? message : cause}`, page }];
    if (phase === "Paused")
      return [{ level: "warning", text: `${who} is paused: ${message === "" ? step : message}`, page }];
    if (phase === "RolledBack")
      return [{ level: "warning", text: `${who} was rolled back: ${cause === "" ? message : cause}`, page }];
    if (phase === "Waiting") return [{ level: "info", text: `${who} waits: ${message}`, page }];
    return [];
  });
}

/** How many proxies are named. Others are only counted. */
const namedProxies = 5;

function meshAttention(input: ViewInput, proxies: readonly LadderProxy[], missing: readonly string[]): AttentionRow[] {
  const page = link("ladder");
  const rejected = proxies.filter(({ state }) => state === "rejected");
  const rows: AttentionRow[] = rejected.slice(0, namedProxies).map(({ namespace, pod, reason }) => ({
    level: "error",
    text: `proxy ${namespace}/${pod} rejects its configuration: ${reason}`,
    page,
  }));
  if (rejected.length > namedProxies)
    rows.push({
      level: "error",
      text: `${counted(rejected.length - namedProxies, "more proxy rejects its", "more proxies reject their")} configuration`,
      page,
    });
  if (missing.length > 0)
    rows.push({
      level: "warning",
      text: `${missing.length} ${missing.length === 1 ? "proxy is" : "proxies are"} connected to no control plane: ${missing.slice(0, namedProxies).join(", ")}`,
      page,
    });
  for (const workload of controlPlanes(input.inventory))
    if (isSilentControlPlane(workload))
      rows.push({ level: "error", text: `control plane ${workload.key} has no pod that is ready`, page });
  const upgrade = latestUpgrade(input.inventory.objects.upgrades);
  if (upgrade?.status?.phase === "Progressing")
    rows.push({
      level: "info",
      text: `MeshUpgrade ${upgrade.metadata.name ?? ""} is under way: ${upgrade.status.message}`,
      page: rolloutLink(upgrade),
    });
  return rows;
}

function isSilentControlPlane({ role, readyPods, wantedPods }: Workload): boolean {
  return role === "control plane" && readyPods === 0 && wantedPods > 0;
}

function workloadAttention(workloads: readonly Workload[], input: ViewInput): AttentionRow[] {
  return workloads.flatMap((workload): AttentionRow[] => {
    // A control plane that does not answer has a row of its own.
    if (isSilentControlPlane(workload)) return [];
    const { health, reason, requestRate, errorShare } = workloadRow(workload, input);
    if (health !== "failing" && health !== "degraded") return [];
    const failing = requestRate > 0 && errorShare > 0 ? failingRequests(errorShare) : "";
    const traffic = failing === "" || failing === reason ? "" : `, ${failing}`;
    return [
      {
        level: health === "failing" ? "error" : "warning",
        text: `${workload.key}: ${reason}${traffic}`,
        page: link("workloads", workload.namespace, workload.name),
      },
    ];
  });
}

function configAttention({ messages, inventory }: ViewInput, visible: VisibleNamespaces): AttentionRow[] {
  const versions = new Map(
    inventory.objects.configs.map((object) => [
      `${object.kind ?? ""} ${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`,
      object.apiVersion ?? "",
    ]),
  );
  return [...messages.byObject].flatMap(([key, found]): AttentionRow[] => {
    const error = found.find(({ level }) => level === "Error");
    const [groupKind = "", place = ""] = key.split(" ");
    const [namespace = "", name = ""] = place.split("/");
    const kind = groupKind.slice(groupKind.indexOf("/") + 1);
    const apiVersion = versions.get(`${kind} ${place}`);
    if (error === undefined || !isVisible(visible, namespace)) return [];
    const page = apiVersion === undefined ? link("config") : link("config", apiVersion, kind, namespace, name);
    return [
      {
        level: "error",
        text: `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}: ${error.code} ${error.text}`,
        page,
      },
    ];
  });
}

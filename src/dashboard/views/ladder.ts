import type { LadderProxy, LadderRung, LadderView } from "../../api/dashboard/index.ts";
import { imageTag } from "../../api/images/index.ts";
import { keyOf, matchesLabelSelector } from "../../api/index.ts";
import { istioLabels, resolveRevision } from "../../api/istio/index.ts";
import { gatewayCanaryAnnotations, type MeshUpgrade } from "../../api/serin/index.ts";
import { isReadyPod, revisionOfPod, type Inventory, type Workload } from "./inventory.ts";
import { timeMs } from "./mesh-objects.ts";
import { proxyRow } from "./proxies.ts";
import { revisionByTag, revisionRows, wantedRevision } from "./revisions.ts";
import { isVisible, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

const ended = new Set(["Completed", "RolledBack"]);
/** The release of a pod, from the tag of its image. */
function releaseOf({ spec }: Workload["pods"][number]): string {
  return imageTag(spec?.containers[0]?.image ?? "");
}

const maxBlockers = 8;

/** Shows on which revision each component of the mesh is, to which it moves, and what blocks it. */
export function ladderView(input: ViewInput, visible: VisibleNamespaces): LadderView {
  const { inventory, pilots } = input;
  const upgrade = latestUpgrade(inventory.objects.upgrades);
  const proxies = pilots.proxies.map(proxyRow).filter(({ namespace }) => isVisible(visible, namespace));
  const rungs = new RungTable(inventory, upgrade, proxies)
    .rungs()
    .filter(({ namespace }) => isVisible(visible, namespace));
  return {
    head: { atMs: input.atMs, sources: input.sources, upgrade: upgrade?.metadata.name ?? "" },
    tables: {
      revisions: revisionRows(inventory, pilots),
      rungs: Object.fromEntries(rungs.map((rung) => [`${rung.kind} ${rung.namespace}/${rung.name}`, rung])),
      proxies: Object.fromEntries(proxies.map((proxy) => [`${proxy.namespace}/${proxy.pod} ${proxy.revision}`, proxy])),
    },
  };
}

/** The upgrade that is under way, or else the one that ended last. */
export function latestUpgrade(upgrades: readonly MeshUpgrade[]): MeshUpgrade | undefined {
  const timeOf = ({ status, metadata }: MeshUpgrade): number =>
    timeMs(status?.endedAt) ?? timeMs(status?.startedAt) ?? timeMs(metadata.creationTimestamp) ?? 0;
  const isOpen = ({ status }: MeshUpgrade): boolean => !ended.has(status?.phase ?? "");
  return upgrades.toSorted((a, b) => Number(isOpen(b)) - Number(isOpen(a)) || timeOf(b) - timeOf(a))[0];
}

interface RungSubject {
  readonly kind: LadderRung["kind"];
  readonly namespace: string;
  readonly name: string;
  readonly workloads: readonly Workload[];
  /** The revision that labels and tags select for it. */
  readonly wanted: string;
}

/**
 * Whether a step of the upgrade moves the rung. Ids such as `gateway/ns/name/…` and `waypoint/ns/name/…` name one
 * gateway, and steps of waves name namespaces.
 */
function isStepOf(
  { id, title }: { readonly id: string; readonly title: string },
  { kind, namespace, name }: RungSubject,
): boolean {
  const [first, second, third] = id.split("/");
  if (kind !== "namespace") return first === kind && second === namespace && third === name;
  if (first === "gateway" || first === "waypoint") return false;
  // Compare whole words, because a namespace's name may be the beginning of another's.
  return second === name || title.split(/[^\w-]+/).includes(name);
}

function subjectOf(kind: LadderRung["kind"], workload: Workload, wanted: string): RungSubject {
  return { kind, namespace: workload.namespace, name: workload.name, workloads: [workload], wanted };
}

class RungTable {
  readonly #inventory: Inventory;
  readonly #upgrade: MeshUpgrade | undefined;
  readonly #proxies: readonly LadderProxy[];
  readonly #tags: ReadonlyMap<string, string>;

  constructor(inventory: Inventory, upgrade: MeshUpgrade | undefined, proxies: readonly LadderProxy[]) {
    this.#inventory = inventory;
    this.#upgrade = upgrade;
    this.#proxies = proxies;
    this.#tags = revisionByTag(inventory);
  }

  rungs(): LadderRung[] {
    return [...this.#controlPlanes(), ...this.#shared(), ...this.#gateways(), ...this.#namespaces()];
  }

  #controlPlanes(): LadderRung[] {
    return this.#ofRole("control plane").map((workload) => {
      const revision = workload.labels[istioLabels.revision] ?? "default";
      return this.#rung(subjectOf("control plane", workload, revision), () => revision);
    });
  }

  #shared(): LadderRung[] {
    const ztunnels = this.#ofRole("ztunnel").map((workload) => {
      const revision = workload.labels[istioLabels.revision] ?? "default";
      return this.#rung(
        subjectOf("ztunnel", workload, revision),
        (pod) => pod.metadata.labels?.[istioLabels.revision] ?? "default",
      );
    });
    // All revisions share one agent. Show it at the revision whose control plane has the agent's release.
    const releases = new Map(
      this.#ofRole("control plane").flatMap(({ labels, pods }) =>
        pods.map((pod) => [releaseOf(pod), labels[istioLabels.revision] ?? "default"] as const),
      ),
    );
    const agents = this.#ofRole("cni").map((workload) =>
      this.#rung(
        subjectOf("cni", workload, ""),
        (pod) => pod.metadata.labels?.[istioLabels.revision] ?? releases.get(releaseOf(pod)) ?? "",
      ),
    );
    return [...ztunnels, ...agents];
  }

  /** The rungs of gateways. The Deployments of a Gateway for both revisions share one rung. */
  #gateways(): LadderRung[] {
    const found = [...this.#ofRole("gateway"), ...this.#ofRole("waypoint")];
    return [
      ...Map.groupBy(
        found,
        ({ namespace, name, labels, role }) => `${role} ${namespace}/${labels[istioLabels.gatewayName] ?? name}`,
      ),
    ].flatMap(([key, workloads]) => {
      const [first] = workloads;
      if (first === undefined) return [];
      const name = key.slice(key.indexOf("/") + 1);
      const gateway = this.#inventory.objects.configs.find(
        ({ kind, metadata, apiVersion }) =>
          kind === "Gateway" &&
          apiVersion?.startsWith("gateway.networking.k8s.io/") === true &&
          metadata.name === name &&
          metadata.namespace === first.namespace,
      );
      const namespace = this.#inventory.namespaces.get(first.namespace);
      const wanted = resolveRevision(
        {
          own: gateway?.metadata.labels?.[istioLabels.revision],
          // If the namespace names no revision, a gateway without a Gateway object keeps its own.
          namespace:
            namespace?.metadata.labels?.[istioLabels.revision] ?? (gateway === undefined ? first.revision : undefined),
        },
        (name) => this.#tags.get(name),
      );
      const rung = this.#rung(
        {
          kind: first.role === "waypoint" ? "waypoint" : "gateway",
          namespace: first.namespace,
          name,
          workloads,
          wanted,
        },
        revisionOfPod,
      );
      const canary = gateway?.metadata.annotations?.[gatewayCanaryAnnotations.revision];
      const weight = Number(gateway?.metadata.annotations?.[gatewayCanaryAnnotations.weight] ?? Number.NaN) / 100;
      // While a waypoint moves, show its share of the traffic instead of the pods.
      if (canary === undefined || !Number.isFinite(weight)) return [rung];
      const others = Object.entries(rung.at).filter(([revision]) => revision !== canary);
      const sum = others.reduce((total, [, share]) => total + share, 0);
      const at = {
        ...Object.fromEntries(
          others.map(([revision, share]) => [revision, sum === 0 ? 0 : (share / sum) * (1 - weight)]),
        ),
        [canary]: weight,
      };
      return [{ ...rung, at }];
    });
  }

  #namespaces(): LadderRung[] {
    const byNamespace = Map.groupBy(this.#inventory.workloads.values(), ({ namespace }) => namespace);
    return [...this.#inventory.namespaces.values()].flatMap((namespace) => {
      const name = namespace.metadata.name ?? "";
      const wanted = wantedRevision(namespace, this.#tags);
      const workloads = (byNamespace.get(name) ?? []).filter(
        ({ role, dataPlane }) => role === "workload" && dataPlane !== "none",
      );
      if (wanted === "" && workloads.length === 0) return [];
      return [this.#rung({ kind: "namespace", namespace: name, name, workloads, wanted }, revisionOfPod)];
    });
  }

  #ofRole(role: Workload["role"]): Workload[] {
    return [...this.#inventory.workloads.values()].filter((workload) => workload.role === role);
  }

  #rung(subject: RungSubject, revisionOf: (pod: Workload["pods"][number]) => string): LadderRung {
    const { kind, namespace, name, workloads, wanted } = subject;
    const counts = new Map<string, number>();
    let all = 0;
    for (const pod of workloads.flatMap((workload) => workload.pods)) {
      const revision = revisionOf(pod);
      if (revision === "") continue;
      counts.set(revision, (counts.get(revision) ?? 0) + 1);
      all += 1;
    }
    const pods = Object.fromEntries(counts);
    const at = Object.fromEntries([...counts].map(([revision, count]) => [revision, count / all]));
    const goingTo = this.#goingTo(subject, pods);
    return {
      kind,
      namespace,
      name,
      at,
      pods,
      wanted,
      goingTo,
      blockedBy: this.#blockers(subject, goingTo, pods),
      waitsFor: goingTo === "" ? [] : this.#approvals(),
    };
  }

  /** The revision to which the upgrade moves the rung. Empty if no upgrade runs, or if all pods have moved. */
  #goingTo({ kind, wanted }: RungSubject, pods: Readonly<Record<string, number>>): string {
    const { spec, status } = this.#upgrade ?? {};
    if (spec === undefined || ended.has(status?.phase ?? "") || kind === "control plane") return "";
    const back = status?.phase === "RollingBack";
    const [from, to] = back ? [spec.to.revision, spec.from.revision] : [spec.from.revision, spec.to.revision];
    const scope: Readonly<Record<string, boolean | undefined>> = {
      namespace: spec.scope?.namespaces,
      gateway: spec.scope?.gateways,
      waypoint: spec.scope?.waypoints,
      ztunnel: false,
      cni: false,
    };
    if (scope[kind] === false) return "";
    return (pods[from] ?? 0) > 0 || wanted === from ? to : "";
  }

  #blockers(subject: RungSubject, goingTo: string, podsAt: Readonly<Record<string, number>>): string[] {
    const { namespace, workloads, wanted } = subject;
    const blockers: string[] = [];
    const pods = workloads.flatMap((workload) => workload.pods);
    const names = new Set(pods.map(({ metadata }) => metadata.name));
    for (const pod of pods)
      if (!isReadyPod(pod) && pod.metadata.deletionTimestamp === undefined)
        blockers.push(`pod ${pod.metadata.name ?? ""} is not ready`);
    for (const proxy of this.#proxies)
      if (proxy.namespace === namespace && names.has(proxy.pod) && proxy.state === "rejected")
        blockers.push(`proxy ${proxy.pod} rejects: ${proxy.reason}`);
    if (goingTo !== "") blockers.push(...this.#heldBy(subject, pods));
    else if (wanted !== "" && Object.keys(podsAt).some((revision) => revision !== wanted))
      blockers.push(`pods are not at ${wanted} yet: restart them, or upgrade with a MeshUpgrade`);
    return blockers.length > maxBlockers
      ? [...blockers.slice(0, maxBlockers), `and ${blockers.length - maxBlockers} more`]
      : blockers;
  }

  #approvals(): string[] {
    const { status } = this.#upgrade ?? {};
    if (status?.phase !== "Paused") return [];
    return status.pauseReason === "approval"
      ? [`waits until a person approves "${status.step?.title ?? "the next step"}"`]
      : [status.message];
  }

  /** Why the upgrade waits at this rung, and what keeps its pods from being evicted. */
  #heldBy(subject: RungSubject, pods: readonly Workload["pods"][number][]): string[] {
    const { status } = this.#upgrade ?? {};
    const step = status?.step;
    const isOwn = step !== undefined && isStepOf(step, subject);
    const waits = isOwn ? (step.waitingFor ?? []) : [];
    const budgets = this.#inventory.objects.budgets.filter(
      ({ metadata, spec, status: budget }) =>
        metadata.namespace === subject.namespace &&
        budget?.disruptionsAllowed === 0 &&
        pods.some((pod) => matchesLabelSelector(spec?.selector, pod.metadata.labels)),
    );
    return [...waits, ...budgets.map((budget) => `PodDisruptionBudget ${keyOf(budget)} allows no disruption`)];
  }
}

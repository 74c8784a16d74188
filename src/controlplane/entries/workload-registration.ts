import { keyOf } from "../../api/index.ts";
import { podKind } from "../../api/kubernetes/index.ts";
import { workloadControllerPodAnnotation } from "../../api/serin/index.ts";
import {
  istioAnnotations,
  workloadEntryKind,
  workloadGroupKind,
  type IstioCondition,
  type WorkloadEntry,
  type WorkloadGroup,
} from "../../api/istio/index.ts";
import { describeError, userError, type Clock, type Logger } from "../../base/index.ts";
import {
  createInformer,
  isKubeCode,
  Reconciler,
  type Informer,
  type KubeClient,
  type QueueMetrics,
} from "../../kube/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ProbedHealth, ProxyIdentity, WorkloadProxies } from "../serve/index.ts";
import { entryOfGroup, isAutoRegistered, registeredEntryName, registrationFault } from "./registered-entry.ts";

export interface WorkloadRegistrationOptions {
  readonly client: KubeClient;
  readonly entries: Informer<WorkloadEntry>;
  /** The name of this replica. Entries record to which replica their proxy is connected. */
  readonly instance: string;
  readonly instanceNamespace: string;
  readonly clusterId: string;
  /** An entry is deleted when its proxy has been disconnected for this long. */
  readonly graceMs: number;
  readonly metrics: MetricsRegistry;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Connected {
  readonly proxy: ProxyIdentity;
  readonly connectedAtMs: number;
  streams: number;
  disconnectedAtMs: number | undefined;
  health: (ProbedHealth & { readonly atMs: number }) | undefined;
}

const { autoRegistrationGroup, connectedAt, disconnectedAt, healthChecksEnabled, workloadController } =
  istioAnnotations;
const fieldManager = "istio.io/autoregistration";
const healthType = "Healthy";
/** The number of grace periods between two sweeps. A sweep cleans up entries that another replica left behind. */
const sweepGraces = 10;
/** The maximum number of entries that one sweep handles. The next sweep continues. */
const maxSwept = 200;

/**
 * Keeps the WorkloadEntries of proxies outside of the cluster. When a proxy connects, its entry is created from its
 * group. When the proxy has been disconnected for the grace period, the entry is deleted. Until then, the entry records
 * to which replica the proxy is connected, and the results of its probes.
 */
export class WorkloadRegistration implements WorkloadProxies<ProxyIdentity> {
  /** Resolves when the groups are known, so that registrations can be checked. */
  readonly synced: Promise<void>;
  readonly #options: WorkloadRegistrationOptions;
  readonly #groups: Informer<WorkloadGroup>;
  readonly #connected = new Map<string, Connected>();
  readonly #reconciler: Reconciler;
  readonly #startedAtMs: number;
  /** Whether this replica's own pod is in the cluster to which it writes. Looked up once. */
  #isInCluster: Promise<boolean> | undefined;
  readonly #counters: Readonly<Record<"created" | "updated" | "disconnected" | "deleted" | "failed", () => void>>;

  constructor(options: WorkloadRegistrationOptions) {
    const { client, entries, queues, clock, log, metrics } = options;
    this.#options = options;
    this.#startedAtMs = clock.nowMs();
    this.#groups = createInformer(client, workloadGroupKind, { log, clock });
    this.synced = Promise.all([entries.synced, this.#groups.synced]).then(() => undefined);
    this.#reconciler = new Reconciler({
      name: "workload-registration",
      queues,
      log,
      clock,
      maxAttempts: Infinity,
      after: [this.synced],
      reconcile: async (key) => await this.#counted(key),
    });
    const counter = (name: string, help: string): (() => void) => {
      const series = metrics.counter(name, help).labels();
      return () => series.increment();
    };
    this.#counters = {
      created: counter("auto_registration_success_total", "WorkloadEntries that were created for proxies."),
      updated: counter("auto_registration_updates_total", "WorkloadEntries whose proxies connected again."),
      disconnected: counter("auto_registration_unregister_total", "WorkloadEntries whose proxies disconnected."),
      failed: counter(
        "auto_registration_errors_total",
        "Failed writes of WorkloadEntries for proxies. They are retried.",
      ),
      deleted: counter(
        "auto_registration_deletes_total",
        "WorkloadEntries that were deleted because their proxies stayed away for too long.",
      ),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, graceMs, log } = this.#options;
    // Proxies of a group may have connected before the group was created. Register them then.
    using _groups = this.#groups.subscribe(({ object, type }) => {
      if (type === "delete") return;
      for (const [key, { proxy }] of this.#connected)
        if (proxy.namespace === object.metadata.namespace && proxy.registration?.group === object.metadata.name)
          this.#reconciler.add(key);
    });
    // Another replica may mark the entry of a connected proxy as disconnected, and somebody may delete it. Restore it
    // then.
    using _entries = this.#options.entries.subscribe(({ key }) => {
      if (this.#connected.has(key)) this.#reconciler.add(key);
    });
    const sweep = async (): Promise<void> => {
      while (!signal.aborted) {
        await clock.sleep(graceMs * sweepGraces, signal).catch(() => undefined);
        if (signal.aborted) return;
        await this.#markLeftBehind().catch((error: unknown) =>
          log.warn("WorkloadEntries that an ended replica left behind could not be marked", {
            error: describeError(error),
          }),
        );
        this.#sweep();
      }
    };
    await Promise.all([this.#groups.run(signal), this.#reconciler.run(signal), sweep()]);
  }

  connected(proxy: ProxyIdentity): void {
    const name = registeredEntryName(proxy);
    if (name === undefined) return;
    const key = `${proxy.namespace}/${name}`;
    this.#refuseStranger(key, proxy);
    const nowMs = this.#options.clock.nowMs();
    const known = this.#connected.get(key);
    this.#connected.set(key, {
      proxy,
      connectedAtMs: nowMs,
      streams: (known?.streams ?? 0) + 1,
      disconnectedAtMs: undefined,
      health: known?.health,
    });
    this.#reconciler.add(key);
  }

  disconnected(proxy: ProxyIdentity): void {
    const key = `${proxy.namespace}/${registeredEntryName(proxy) ?? ""}`;
    const known = this.#connected.get(key);
    if (known === undefined) return;
    known.streams -= 1;
    if (known.streams > 0) return;
    known.disconnectedAtMs = this.#options.clock.nowMs();
    this.#reconciler.add(key);
  }

  probed(proxy: ProxyIdentity, health: ProbedHealth): void {
    const key = `${proxy.namespace}/${registeredEntryName(proxy) ?? ""}`;
    const known = this.#connected.get(key);
    if (known === undefined) {
      this.#options.log.warn("a proxy that has no WorkloadEntry reported its health", { proxy: proxy.id });
      return;
    }
    known.health = { ...health, atMs: this.#options.clock.nowMs() };
    this.#reconciler.add(key);
  }

  #refuseStranger(key: string, proxy: ProxyIdentity): void {
    const { entries } = this.#options;
    const group = proxy.registration?.group ?? "";
    const entry = entries.get(key);
    const template = this.#groups.get(`${proxy.namespace}/${group}`)?.spec.template;
    if (entry === undefined && group === "")
      throw userError(
        "workload-unregistered",
        `the proxy ${proxy.id} claims the WorkloadEntry ${key}, which does not exist`,
        { hint: "create it, or have a WorkloadGroup create it" },
      );
    if (entry === undefined && template === undefined)
      throw userError(
        "workload-unregistered",
        `the proxy ${proxy.id} names the WorkloadGroup ${proxy.namespace}/${group}, which does not exist`,
        { hint: "create the WorkloadGroup" },
      );
    const fault = registrationFault(proxy, entry?.spec.serviceAccount ?? template?.serviceAccount);
    if (fault !== undefined)
      throw userError("not-allowed", `the proxy ${proxy.id} may not use the WorkloadEntry ${key}: ${fault}`);
  }

  async #counted(key: string): Promise<number | undefined> {
    try {
      return await this.#reconcile(key);
    } catch (error) {
      this.#counters.failed();
      throw error;
    }
  }

  async #reconcile(key: string): Promise<number | undefined> {
    const known = this.#connected.get(key);
    const [namespace = "", name = ""] = key.split("/");
    const entry = await this.#options.client.get(workloadEntryKind, name, namespace);
    if (known !== undefined && known.disconnectedAtMs === undefined) {
      await this.#keep(name, known, entry);
      return undefined;
    }
    if (entry === undefined) {
      this.#connected.delete(key);
      return undefined;
    }
    if (known !== undefined) await this.#markGone(entry, known);
    return await this.#cleanUp(key);
  }

  async #keep(name: string, known: Connected, found: WorkloadEntry | undefined): Promise<void> {
    const { client, instance } = this.#options;
    const { proxy, connectedAtMs } = known;
    const home = (await this.#seesOwnPod()) ? { [workloadControllerPodAnnotation]: this.#home(instance) } : {};
    const marks = { [workloadController]: instance, [connectedAt]: timeText(connectedAtMs), ...home };
    let entry = found;
    if (entry === undefined) {
      const group = this.#groups.get(`${proxy.namespace}/${proxy.registration?.group ?? ""}`);
      if (group === undefined) return;
      const made = entryOfGroup(name, proxy, group);
      entry = await client.create(
        workloadEntryKind,
        { ...made, metadata: { ...made.metadata, annotations: { ...made.metadata.annotations, ...marks } } },
        { fieldManager },
      );
      this.#counters.created();
    } else if (
      isWronglyMarkedGone(entry, instance) ||
      (timeOf(entry, connectedAt) < connectedAtMs && timeOf(entry, disconnectedAt) <= connectedAtMs)
    ) {
      entry = await annotate(client, entry, { ...marks, [disconnectedAt]: null });
      this.#counters.updated();
    }
    const { health } = known;
    const isOurs = entry.metadata.annotations?.[workloadController] === instance;
    if (health === undefined || !isOurs || entry.metadata.annotations?.[healthChecksEnabled] === undefined) return;
    await this.#writeHealth(entry, health);
    if (known.health === health) known.health = undefined;
  }

  /** Marks the entry as disconnected, unless the proxy has since connected to another replica or again to this one. */
  async #markGone(entry: WorkloadEntry, known: Connected): Promise<void> {
    const { client, instance } = this.#options;
    const gone = known.disconnectedAtMs ?? 0;
    if (
      entry.metadata.annotations?.[workloadController] !== instance ||
      timeOf(entry, connectedAt) > known.connectedAtMs ||
      timeOf(entry, disconnectedAt) >= gone
    )
      return;
    await annotate(client, entry, { [connectedAt]: null, [disconnectedAt]: timeText(gone) });
    this.#counters.disconnected();
  }

  /**
   * Deletes the entry of a proxy that has been away for the grace period. If somebody else created the entry, only the
   * proxy's health is removed from it. Returns how long to wait before the next check, or undefined if nothing is left
   * to do.
   */
  async #cleanUp(key: string): Promise<number | undefined> {
    const { client, clock, graceMs, log } = this.#options;
    const [namespace = "", name = ""] = key.split("/");
    const entry = await client.get(workloadEntryKind, name, namespace);
    const gone = entry === undefined ? undefined : goneSince(entry);
    if (entry === undefined || gone === undefined) {
      if (this.#connected.get(key)?.disconnectedAtMs !== undefined) this.#connected.delete(key);
      return undefined;
    }
    const leftMs = gone + graceMs - clock.nowMs();
    if (leftMs > 0) return leftMs;
    if (isAutoRegistered(entry)) {
      await client.delete(
        workloadEntryKind,
        name,
        namespace,
        entry.metadata.resourceVersion === undefined
          ? {}
          : { preconditions: { resourceVersion: entry.metadata.resourceVersion } },
      );
      this.#counters.deleted();
      log.info("deleted the WorkloadEntry of a proxy that did not connect again", { entry: key });
    } else
      await writeConditions(
        client,
        entry,
        (entry.status?.conditions ?? []).filter(({ type }) => type !== healthType),
      );
    if (this.#connected.get(key)?.disconnectedAtMs !== undefined) this.#connected.delete(key);
    return undefined;
  }

  /** Where a replica's pod is. This tells a replica that has ended from one in another namespace or cluster. */
  #home(name: string): string {
    const { clusterId, instanceNamespace } = this.#options;
    return `${clusterId}/${instanceNamespace}/${name}`;
  }

  async #seesOwnPod(): Promise<boolean> {
    return await (this.#isInCluster ??= this.#hasPod(this.#options.instance).catch(
      () => ((this.#isInCluster = undefined), false),
    ));
  }

  async #hasPod(name: string): Promise<boolean> {
    const phase =
      name === ""
        ? ""
        : ((await this.#options.client.get(podKind, name, this.#options.instanceNamespace))?.status?.phase ?? "");
    return phase !== "" && phase !== "Succeeded" && phase !== "Failed";
  }

  /**
   * Marks proxies as disconnected, with the current time, that a killed replica left behind and that have not connected
   * to any replica since. Skips entries whose replica cannot be looked up here, because their proxies may still be
   * connected.
   */
  async #markLeftBehind(): Promise<void> {
    const { client, entries, instance, clock, log } = this.#options;
    const isThere = new Map<string, boolean>();
    const isDead = async ({ metadata: { annotations = {} } }: WorkloadEntry, controller: string): Promise<boolean> => {
      if (annotations[workloadControllerPodAnnotation] !== this.#home(controller)) return false;
      const known = isThere.get(controller) ?? (await this.#hasPod(controller));
      isThere.set(controller, known);
      return !known;
    };
    // Whether a missing pod proves that its replica has ended. It proves nothing if this replica does not find its own
    // pod in the cluster to which it writes: the pods of the other replicas may be elsewhere, too.
    const knowsPods = await this.#seesOwnPod();
    let marked = 0;
    for (const entry of entries.list()) {
      if (marked >= maxSwept) return;
      const { [workloadController]: controller = "", [connectedAt]: connected } = entry.metadata.annotations ?? {};
      const key = keyOf(entry);
      if (connected === undefined || !isOfProxy(entry) || this.#connected.has(key)) continue;
      const isLeft =
        controller === instance
          ? timeOf(entry, connectedAt) < this.#startedAtMs
          : knowsPods && (await isDead(entry, controller));
      if (!isLeft) continue;
      marked += 1;
      await annotate(client, entry, { [connectedAt]: null, [disconnectedAt]: timeText(clock.nowMs()) }).catch(
        (error: unknown) => {
          // The proxy may just have connected again, so a conflict is no fault.
          if (!isKubeCode(error, "conflict") && !isKubeCode(error, "not-found")) throw error;
        },
      );
      log.info("the proxy of a WorkloadEntry has not connected again since its control plane ended", {
        entry: key,
        replica: controller,
      });
      this.#reconciler.add(key);
    }
  }

  #sweep(): void {
    const left = this.#options.entries.list().filter((entry) => goneSince(entry) !== undefined);
    for (const { metadata } of left.slice(0, maxSwept))
      this.#reconciler.add(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`);
  }

  async #writeHealth(
    entry: WorkloadEntry,
    { healthy, message, atMs }: ProbedHealth & { readonly atMs: number },
  ): Promise<void> {
    const before = entry.status?.conditions ?? [];
    const known = before.find(({ type }) => type === healthType);
    if (known?.lastProbeTime !== undefined && Date.parse(known.lastProbeTime) > atMs) return;
    const time = timeText(atMs);
    const condition: IstioCondition = {
      type: healthType,
      status: healthy ? "True" : "False",
      ...(healthy ? {} : { message }),
      lastProbeTime: time,
      lastTransitionTime: time,
    };
    await writeConditions(this.#options.client, entry, [
      ...before.filter(({ type }) => type !== healthType),
      condition,
    ]);
  }
}

/** Whether the entry was created for a proxy, or has a health that a proxy reported. */
function isOfProxy({ metadata: { annotations = {} }, status }: WorkloadEntry): boolean {
  const isProbed =
    annotations[workloadController] !== undefined &&
    status?.conditions?.some(({ type }) => type === healthType) === true;
  return annotations[autoRegistrationGroup] !== undefined || isProbed;
}

/** Whether the entry of a proxy that is connected to this replica is marked as disconnected. */
function isWronglyMarkedGone({ metadata: { annotations = {} } }: WorkloadEntry, instance: string): boolean {
  return annotations[workloadController] === instance && annotations[connectedAt] === undefined;
}

/**
 * When the entry's proxy disconnected. Undefined if the proxy is connected, or the entry does not belong to a proxy.
 */
function goneSince(entry: WorkloadEntry): number | undefined {
  const annotations = entry.metadata.annotations ?? {};
  if (!isOfProxy(entry) || annotations[connectedAt] !== undefined) return undefined;
  return annotations[disconnectedAt] === undefined ? undefined : timeOf(entry, disconnectedAt);
}

/** The time in an annotation, in milliseconds. Negative infinity if there is none. */
function timeOf({ metadata }: WorkloadEntry, annotation: string): number {
  const parsed = Date.parse(metadata.annotations?.[annotation] ?? "");
  return Number.isNaN(parsed) ? Number.NEGATIVE_INFINITY : parsed;
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** Sets annotations of an entry; null removes one. Fails with `conflict` if the entry has changed since it was read. */
async function annotate(
  client: KubeClient,
  { metadata }: WorkloadEntry,
  annotations: Readonly<Record<string, string | null>>,
): Promise<WorkloadEntry> {
  const { name = "", namespace, resourceVersion } = metadata;
  return await client.patchMerge(
    workloadEntryKind,
    name,
    namespace,
    { metadata: { resourceVersion, annotations } },
    { fieldManager },
  );
}

async function writeConditions(
  client: KubeClient,
  { metadata }: WorkloadEntry,
  conditions: readonly IstioCondition[],
): Promise<void> {
  const { name = "", namespace, resourceVersion } = metadata;
  await client.patchMerge(
    workloadEntryKind,
    name,
    namespace,
    { metadata: { resourceVersion }, status: { conditions } },
    { subresource: "status", fieldManager },
  );
}

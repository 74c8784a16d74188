import { messageOf } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { covers, sameJson, valueAt, type ObjectAccess } from "../act/object-access.ts";
import { conflictDetail, referenceKey, type CheckObservation, type Observation, type PlannedCheck, type SettleCondition, type SettleState, type Step, type Write, type WriteState } from "../decide/index.ts";
import { ztunnelOwnerAnnotation } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { observeCounters, scrapePod } from "./counters.ts";
import { dependentProxies, observeAcknowledged, observeNotRejected, observeRejections } from "./pilots.ts";
import { observeProbes } from "./probes.ts";

/** Gathers the facts of the step under way. Reads only. */
export class Observer {
  readonly #client: KubeClient;
  readonly #objects: ObjectAccess;
  readonly #view: ClusterView;

  constructor(client: KubeClient, objects: ObjectAccess, view: ClusterView) {
    this.#client = client;
    this.#objects = objects;
    this.#view = view;
  }

  async observe(step: Step, journal: readonly JournalEntry[]): Promise<Observation> {
    const writes = await this.#writeStates(step, journal);
    if (writes.some((write) => write.state !== "done" && write.state !== "gone")) return { writes, settle: [], checks: [] };
    const settle = await Promise.all(step.settle.map((condition) => this.#settle(condition)));
    if (settle.some((state) => state.state === "failed")) return { writes, settle, checks: [] };
    return { writes, settle, checks: await Promise.all(step.checks.map((check) => this.#check(check))) };
  }

  /** Each object is read once, however many of its fields the step writes. */
  async #writeStates(step: Step, journal: readonly JournalEntry[]): Promise<WriteState[]> {
    const found = new Map<string, Promise<Awaited<ReturnType<ObjectAccess["get"]>>>>();
    const read = (object: ObjectReference) => {
      const key = referenceKey(object);
      const reading = found.get(key) ?? this.#objects.get(object);
      found.set(key, reading);
      return reading;
    };
    return await Promise.all(step.writes.map(async (write) => writeState(write, await read(write.object), step.id, journal)));
  }

  async #settle(condition: SettleCondition): Promise<SettleState> {
    try {
      switch (condition.type) {
        case "acknowledged": {
          const object = await this.#objects.get(condition.object);
          return await observeAcknowledged(this.#view, condition.object, object?.metadata.resourceVersion ?? "0");
        }
        case "ready":
          return readyState(await this.#objects.get(condition.object), condition.object);
        case "owner":
          return this.#ownerState(condition.object, condition.revision);
        case "podReady":
          return this.#podState(condition.object);
        case "podsGone":
          return await this.#goneState(condition.namespace, condition.labels);
        case "notRejected":
          return await observeNotRejected(this.#view, condition.revision);
        case "noDependents":
          return await this.#dependentState(condition.revision);
      }
    } catch (error) {
      return { state: "waiting", detail: messageOf(error) };
    }
  }

  #podState({ name, namespace = "" }: ObjectReference): SettleState {
    const pod = this.#view.pods.get(`${namespace}/${name}`);
    const ready = pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
    return ready ? { state: "met" } : { state: "waiting", detail: `${namespace}/${name} is not ready` };
  }

  #ownerState({ name, namespace = "" }: ObjectReference, revision: string): SettleState {
    const pod = this.#view.pods.get(`${namespace}/${name}`);
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return { state: "met" };
    const owner = pod.metadata.annotations?.[ztunnelOwnerAnnotation];
    return owner === revision ? { state: "met" } : { state: "waiting", detail: `${namespace}/${name} is owned by ${owner ?? "no ztunnel"}` };
  }

  async #goneState(namespace: string, labels: Readonly<Record<string, string>>): Promise<SettleState> {
    const left = this.#view.runningPods(labels).filter((pod) => pod.metadata.namespace === namespace);
    if (left.length === 0) return { state: "met" };
    const details = await Promise.all(left.map(async (pod) => `${pod.metadata.name ?? ""} ${await drainingText(pod)}`));
    return { state: "waiting", detail: details.join("; ") };
  }

  async #dependentState(revision: string): Promise<SettleState> {
    const owned = this.#view.pods.list().filter(({ metadata }) => metadata.annotations?.[ztunnelOwnerAnnotation] === revision && metadata.namespace !== "serin-probes");
    const names = [...owned.map(({ metadata }) => `pod ${metadata.namespace ?? ""}/${metadata.name ?? ""}`), ...(await dependentProxies(this.#view, revision))];
    return names.length === 0 ? { state: "met" } : { state: "waiting", detail: `${names.length} still depend on ${revision}: ${names.slice(0, 5).join(", ")}` };
  }

  async #check({ spec, subject }: PlannedCheck): Promise<CheckObservation> {
    if (subject.type === "probes") return await observeProbes(this.#client, subject.revisions);
    if (subject.type === "proxies") return await observeRejections(this.#view, subject.revision);
    if (spec.type === "probe-matrix" || spec.type === "xds-nacks") return { type: "unavailable", detail: `${spec.type} does not apply to this step` };
    return await observeCounters(this.#view, subject);
  }

  /** Why a created workload may not be removed yet: somebody is still served by it. */
  stillServes(entry: JournalEntry): string | undefined {
    if (entry.type !== "created" || (entry.object.kind !== "DaemonSet" && entry.object.kind !== "Deployment")) return undefined;
    const [, revision] = /^(?:istiod|ztunnel)-(.+)$/.exec(entry.object.name) ?? [];
    if (revision === undefined) return undefined;
    const pods = this.#view.pods.list().filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    const owned = pods.find(({ metadata }) => metadata.annotations?.[ztunnelOwnerAnnotation] === revision && metadata.namespace !== "serin-probes");
    if (owned !== undefined) return `${owned.metadata.namespace ?? ""}/${owned.metadata.name ?? ""} is still owned by ztunnel ${revision}`;
    const gateway = pods.find(({ metadata: { labels = {} } }) => labels["istio.io/rev"] === revision && labels["gateway.networking.k8s.io/gateway-name"] !== undefined);
    return gateway === undefined ? undefined : `${gateway.metadata.name ?? ""} still runs at revision ${revision}`;
  }
}

function writeState(write: Write, current: Awaited<ReturnType<ObjectAccess["get"]>>, step: string, journal: readonly JournalEntry[]): WriteState {
  if (write.type === "create") return current === undefined ? { state: "pending" } : { state: "done" };
  if (write.type === "delete") {
    if (current === undefined || current.metadata.deletionTimestamp !== undefined) return { state: "done" };
    return { state: "pending", prior: current };
  }
  if (current === undefined || current.metadata.deletionTimestamp !== undefined) return { state: "gone" };
  const found = valueAt(current, write.pointer);
  if (covers(found, write.value)) return { state: "done" };
  const entry = journal.find((candidate) => candidate.type === "field" && candidate.step === step && candidate.pointer === write.pointer && referenceKey(candidate.object) === referenceKey(write.object));
  if (entry?.type === "field" && !sameJson(found, entry.prior)) return { state: "conflict", detail: conflictDetail(write, found, entry.prior) };
  return found === undefined ? { state: "pending" } : { state: "pending", prior: found };
}

interface WorkloadStatus {
  readonly observedGeneration?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
  readonly replicas?: number;
  readonly desiredNumberScheduled?: number;
  readonly updatedNumberScheduled?: number;
  readonly numberAvailable?: number;
}

function readyState(object: Awaited<ReturnType<ObjectAccess["get"]>>, { kind, name }: ObjectReference): SettleState {
  if (object === undefined) return { state: "waiting", detail: `${kind} ${name} is not there yet` };
  const status = (object["status"] ?? {}) as WorkloadStatus;
  if ((status.observedGeneration ?? 0) < (object.metadata.generation ?? 0)) return { state: "waiting", detail: `${kind} ${name} has not been seen by its controller` };
  const wanted = kind === "DaemonSet" ? (status.desiredNumberScheduled ?? 0) : ((object["spec"] as { replicas?: number }).replicas ?? 1);
  const updated = (kind === "DaemonSet" ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0;
  const available = (kind === "DaemonSet" ? status.numberAvailable : status.availableReplicas) ?? 0;
  const ready = Math.min(updated, available);
  if (ready < wanted) return { state: "waiting", detail: `${kind} ${name}: ${ready} of ${wanted} ready` };
  const surplus = kind === "Deployment" ? (status.replicas ?? 0) - wanted : 0;
  return surplus > 0 ? { state: "waiting", detail: `${kind} ${name}: ${surplus} old pods are leaving` } : { state: "met" };
}

/** `draining, 1 connection`, as the ztunnel that leaves counts it. */
async function drainingText(pod: Pod): Promise<string> {
  try {
    const samples = await scrapePod(pod);
    const open = samples.filter(({ name, labels }) => name === "serin_ztunnel_connections" && labels["state"] === "draining").reduce((sum, { value }) => sum + value, 0);
    return `draining, ${open} ${open === 1 ? "connection" : "connections"}`;
  } catch {
    return "is ending";
  }
}

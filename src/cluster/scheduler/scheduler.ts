import { keyOf } from "../../api/index.ts";
import {
  isFinishedPod,
  namespaceKind,
  nodeKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podDisruptionBudgetKind,
  podKind,
  storageClassKind,
  type PersistentVolumeClaim,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { isKubeCode, type Reconciler } from "../../kube/index.ts";
import { ignoreRace, type ControllerContext } from "../controllers/controller.ts";
import type { ObjectView } from "../controllers/object-view.ts";
import { noteDisruption } from "../controllers/pods/pod-control.ts";
import { isActive, isTerminating, podCondition, withCondition } from "../controllers/pods/pod-facts.ts";
import { volumeAnnotations } from "../record/local-volumes.ts";
import { decide } from "./decide.ts";
import type { FilterInputs } from "./filters.ts";
import { Placements } from "./node-state.ts";
import { preempt, priorityOf, type Preemption } from "./preempt.ts";
import { volumeNeedsOf, type StorageFacts, type VolumeNeeds } from "./volume-needs.ts";

const schedulerName = "default-scheduler";
const concurrentBindings = 16;
/** The condition's reason for a pod that is evicted in favour of another one. */
const preempted = "PreemptionByScheduler";

/** A pod for which victims on this node are being evicted. */
interface Nomination {
  readonly pod: Pod;
  readonly node: string;
  /**
   * The uids of the victims. Undefined if an earlier process of the scheduler chose them. The conditions of the node's
   * pods then show which pods are the victims.
   */
  readonly victims: readonly string[] | undefined;
}

/** Assigns a node to each pod. It acts when pods or nodes change, and never polls. */
export function addScheduler(context: ControllerContext): void {
  const scheduler = new Scheduler(context);
  scheduler.start();
}

class Scheduler {
  readonly #context: ControllerContext;
  readonly #pods: ObjectView<Pod>;
  readonly #placements = new Placements();
  /** The keys of pods that fit on no node. They are tried again when resources become free. */
  readonly #unschedulable = new Set<string>();
  /**
   * The nodes that were chosen for pods that wait for their volumes, by the pod's uid. The pods' requests already count
   * on these nodes.
   */
  readonly #reserved = new Map<string, { readonly key: string; readonly node: string }>();
  /**
   * The pods for which victims are being evicted, by uid, with their node. Their requests already count on this node
   * for pods of lower or equal priority, so that such pods do not take the freed resources.
   */
  readonly #nominated = new Map<string, Nomination>();
  readonly #queue: Reconciler;
  readonly #record: ReturnType<ControllerContext["events"]>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#pods = context.view(podKind);
    this.#record = context.events(schedulerName);
    this.#queue = context.queue("scheduler", (key) => this.#schedule(key), { concurrency: concurrentBindings });
  }

  start(): void {
    this.#pods.onChange((change) => {
      const { key, object } = change;
      const uid = object.metadata.uid ?? "";
      const node = object.spec?.nodeName;
      if (change.type === "set" && node !== undefined && !isFinishedPod(object)) {
        this.#placements.place(object, node);
        this.#endNomination(uid, node);
        return;
      }
      if (change.type === "delete" || isFinishedPod(object)) {
        this.#unschedulable.delete(key);
        this.#reserved.delete(uid);
        this.#endNomination(uid);
        if (this.#placements.has(uid)) {
          this.#placements.remove(uid);
          this.#retryAll();
        }
        return;
      }
      if (!needsNode(object)) return this.#endNomination(uid);
      if (change.previous === undefined) this.#recall(object);
      this.#queue.add(key);
    });
    this.#context.view(nodeKind).onChange(({ type, object }) => {
      if (type === "delete") this.#placements.removeNode(object.metadata.name ?? "");
      else this.#placements.setNode(object);
      this.#retryAll();
    });
    this.#context.view(persistentVolumeClaimKind).onChange(() => this.#retryAll());
    this.#context.view(persistentVolumeKind).onChange(() => this.#retryAll());
    this.#context.view(storageClassKind).onChange(() => this.#retryAll());
  }

  #retryAll(): void {
    for (const key of this.#unschedulable) this.#queue.add(key);
    for (const { key } of this.#reserved.values()) this.#queue.add(key);
  }

  /**
   * Takes over a nomination that an earlier process of the scheduler made, and that only the pod's status shows.
   * Otherwise other pods could take the resources of the evicted pods, or more pods would be evicted.
   */
  #recall(pod: Pod): void {
    const node = pod.status?.nominatedNodeName;
    if (node !== undefined) this.#nominated.set(uidOf(pod), { pod, node, victims: undefined });
  }

  /**
   * Ends the nomination of a pod, because the pod has a node or no longer needs one. If the pod has not taken the
   * nominated node, its resources are free for other pods.
   */
  #endNomination(uid: string, takenNode?: string): void {
    const nomination = this.#nominated.get(uid);
    this.#nominated.delete(uid);
    if (nomination !== undefined && nomination.node !== takenNode) this.#retryAll();
  }

  async #schedule(key: string): Promise<undefined> {
    const pod = this.#pods.at(key);
    const uid = pod?.metadata.uid ?? "";
    const reserved = this.#reserved.get(uid);
    if (pod === undefined || !needsNode(pod) || (reserved === undefined && this.#placements.has(uid))) {
      this.#unschedulable.delete(key);
      return;
    }
    const volumeNeeds = volumeNeedsOf(pod, this.#storage());
    if (reserved !== undefined) {
      const isThere = this.#placements.nodes().some(({ node }) => node.metadata.name === reserved.node);
      if (isThere && volumeNeeds.refusal === undefined && volumeNeeds.waiting.length > 0) {
        await this.#selectNode(volumeNeeds.waiting, reserved.node);
        return;
      }
      this.#reserved.delete(uid);
      this.#placements.remove(uid);
    }
    const namespaces = this.#context.view(namespaceKind);
    const inputs: FilterInputs = {
      pod,
      nodes: this.#placements.nodesWith(this.#nominatedBefore(pod)),
      repelling: this.#placements.repelling(),
      namespaceLabels: (namespace) => namespaces.at(namespace)?.metadata.labels,
      volumeNeeds,
    };
    const decision = decide(inputs);
    if (decision.node === undefined) {
      this.#unschedulable.add(key);
      const preemption = this.#preemptionFor(inputs);
      try {
        await this.#reportFailure(pod, decision.message, this.#nominated.get(uid)?.node);
        if (preemption !== undefined) await this.#evict(pod, preemption);
      } catch (error) {
        // Drop the nomination after a failure. Otherwise the next attempt would wait for the end of pods that are not
        // being deleted.
        if (preemption !== undefined) this.#nominated.delete(uid);
        throw error;
      }
      return;
    }
    this.#unschedulable.delete(key);
    this.#endNomination(uid, decision.node);
    // Record the placement before the API request, so that it counts when the next pod is scheduled.
    this.#placements.place(pod, decision.node);
    if (volumeNeeds.waiting.length === 0) return await this.#bind(pod, decision.node);
    this.#reserved.set(uid, { key, node: decision.node });
    await this.#selectNode(volumeNeeds.waiting, decision.node);
  }

  #nominatedBefore(pod: Pod): Nomination[] {
    return [...this.#nominated.values()].filter(
      (other) => uidOf(other.pod) !== uidOf(pod) && priorityOf(other.pod) >= priorityOf(pod),
    );
  }

  /**
   * Chooses the victims for a pod, and records the node as its nomination. Does nothing while earlier victims for the
   * pod are terminating.
   */
  #preemptionFor(inputs: FilterInputs): Preemption | undefined {
    const uid = uidOf(inputs.pod);
    if (this.#isUnderWay(this.#nominated.get(uid))) return undefined;
    const preemption = preempt(inputs, this.#context.view(podDisruptionBudgetKind).all());
    this.#endNomination(uid, preemption?.node);
    if (preemption !== undefined)
      this.#nominated.set(uid, {
        pod: inputs.pod,
        node: preemption.node,
        victims: preemption.victims.map(uidOf),
      });
    return preemption;
  }

  /** Whether victims of the nominated pod are still terminating. */
  #isUnderWay(nomination: Nomination | undefined): boolean {
    if (nomination === undefined) return false;
    const { pod, node, victims } = nomination;
    if (victims !== undefined) return victims.some((victim) => this.#placements.has(victim));
    const state = this.#placements.nodes().find((other) => other.node.metadata.name === node);
    return [...(state?.pods.values() ?? [])].some(
      ({ pod: other }) =>
        isTerminating(other) &&
        podCondition(other, "DisruptionTarget")?.reason === preempted &&
        priorityOf(other) < priorityOf(pod),
    );
  }

  /** Deletes the victims. When they have ended, the pod is queued again. */
  async #evict(pod: Pod, { node, victims }: Preemption): Promise<void> {
    const { client } = this.#context;
    const message = `${schedulerName}: preempting to accommodate a higher priority pod`;
    for (const { metadata } of victims) {
      const { name = "", namespace, uid = "" } = metadata;
      const victim = await client.get(podKind, name, namespace);
      if (victim?.metadata.uid !== uid || isTerminating(victim)) continue;
      await ignoreRace(() => noteDisruption(this.#context, victim, { reason: preempted, message }));
      await ignoreRace(() => client.delete(podKind, name, namespace, { preconditions: { uid } }));
      this.#record(podKind, victim, {
        type: "Normal",
        reason: "Preempted",
        message: `Preempted by pod ${uidOf(pod)} on node ${node}`,
      });
    }
  }

  #storage(): StorageFacts {
    const claims = this.#context.view(persistentVolumeClaimKind);
    const volumes = this.#context.view(persistentVolumeKind);
    const classes = this.#context.view(storageClassKind);
    return {
      claim: (namespace, name) => claims.get(namespace, name),
      volume: (name) => volumes.at(name),
      volumes: () => volumes.all(),
      storageClass: (name) => classes.at(name),
    };
  }

  /**
   * Annotates the claims with the node, for the controller that creates or binds their volumes. When it changes the
   * claims, the pod is queued again.
   */
  async #selectNode(claims: VolumeNeeds["waiting"], node: string): Promise<undefined> {
    const views = this.#context.view(persistentVolumeClaimKind);
    for (const { metadata } of claims.filter((claim) => selectedNode(claim) !== node)) {
      const { name = "", namespace, uid } = metadata;
      const annotations = { [volumeAnnotations.selectedNode]: node };
      try {
        views.wrote(
          await this.#context.client.patchMerge(persistentVolumeClaimKind, name, namespace, {
            metadata: { uid, annotations },
          }),
        );
      } catch (error) {
        if (!isKubeCode(error, "not-found") && !isKubeCode(error, "conflict")) throw error;
      }
    }
  }

  async #bind(pod: Pod, node: string): Promise<undefined> {
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    const binding = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, namespace, uid },
      target: { apiVersion: "v1", kind: "Node", name: node },
    };
    try {
      await this.#context.client.create(podKind, binding, { subresource: "binding" });
    } catch (error) {
      this.#placements.remove(uid);
      if (isKubeCode(error, "not-found") || isKubeCode(error, "conflict")) return;
      throw error;
    }
    this.#record(podKind, pod, {
      type: "Normal",
      reason: "Scheduled",
      message: `Successfully assigned ${keyOf(pod)} to ${node}`,
    });
  }

  async #reportFailure(pod: Pod, message: string, nominatedNodeName?: string): Promise<void> {
    const { name = "", namespace } = pod.metadata;
    const before = podCondition(pod, "PodScheduled");
    const isKnown = before?.status === "False" && before.message === message;
    if (isKnown && pod.status?.nominatedNodeName === nominatedNodeName) return;
    if (!isKnown) this.#record(podKind, pod, { type: "Warning", reason: "FailedScheduling", message });
    const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable", message } as const;
    const conditions = withCondition(pod, condition, this.#context.now());
    try {
      this.#pods.wrote(
        await this.#context.client.patchMerge(
          podKind,
          name,
          namespace,
          { status: { conditions, nominatedNodeName: nominatedNodeName ?? null } },
          { subresource: "status" },
        ),
      );
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  }
}

function uidOf({ metadata }: Pod): string {
  return metadata.uid ?? "";
}

function selectedNode({ metadata }: PersistentVolumeClaim): string | undefined {
  return metadata.annotations?.[volumeAnnotations.selectedNode];
}

function needsNode(pod: Pod): boolean {
  const gated = (pod.spec as { schedulingGates?: unknown[] } | undefined)?.schedulingGates ?? [];
  return (
    pod.spec?.nodeName === undefined &&
    isActive(pod) &&
    !isTerminating(pod) &&
    gated.length === 0 &&
    (pod.spec?.schedulerName ?? schedulerName) === schedulerName
  );
}

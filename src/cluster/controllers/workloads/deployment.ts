import { keyOf, matchesLabelSelector } from "../../../api/index.ts";
import {
  deploymentKind,
  podKind,
  replicaSetKind,
  type Deployment,
  type PodTemplate,
  type ReplicaSet,
} from "../../../api/kubernetes/index.ts";
import { jsonEqual, messageOf } from "../../../base/index.ts";
import { controllerOf, isKubeCode, ownerReference } from "../../../kube/index.ts";
import { changesStatus, enqueueControllerOn, enqueueOn, type ControllerContext } from "../controller.ts";
import {
  boundsOf,
  desiredReplicasAnnotation,
  initialReplicas,
  maxReplicasAnnotation,
  planRollingUpdate,
  planScaling,
  revisionAnnotation,
  revisionOf,
  specReplicas,
  wasScaled,
} from "./deployment-plan.ts";
import { deploymentStatus } from "./deployment-status.ts";
import type { ObjectIndex, ObjectView } from "../object-view.ts";
import { mayAdopt } from "../pods/adoption.ts";
import { createdMs, isTerminating } from "../pods/pod-facts.ts";
import { templateHash } from "../pods/pod-template.ts";

const hashLabel = "pod-template-hash";
const revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history";
/** Annotations that are not copied to ReplicaSets, because they would be misleading there. */
const ownAnnotations = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  revisionAnnotation,
  revisionHistoryAnnotation,
  desiredReplicasAnnotation,
  maxReplicasAnnotation,
  "deprecated.deployment.rollback.to",
]);

export function addDeploymentController(context: ControllerContext): void {
  const controller = new DeploymentController(context);
  const queue = context.queue("deployment", (key) => controller.reconcile(key));
  enqueueOn(context.view(deploymentKind), queue);
  enqueueControllerOn(context.view(replicaSetKind), deploymentKind, queue);
  // The strategy Recreate waits for the last old pod, so plan again when a pod is gone.
  context.view(podKind).onChange((change) => {
    if (change.type !== "delete") return;
    const owner = controllerOf(change.object);
    if (owner?.kind !== "ReplicaSet") return;
    const set = context.view(replicaSetKind).get(change.object.metadata.namespace, owner.name);
    const deployment = set === undefined ? undefined : controllerOf(set);
    if (deployment !== undefined) queue.add(`${change.object.metadata.namespace ?? ""}/${deployment.name}`);
  });
}

class DeploymentController {
  readonly #context: ControllerContext;
  readonly #deployments: ObjectView<Deployment>;
  readonly #sets: ObjectView<ReplicaSet>;
  readonly #setsByOwner: ObjectIndex<ReplicaSet>;
  readonly #orphanSets: ObjectIndex<ReplicaSet>;
  readonly #record: ReturnType<ControllerContext["events"]>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#deployments = context.view(deploymentKind);
    this.#sets = context.view(replicaSetKind);
    this.#setsByOwner = this.#sets.index((set) => {
      const owner = controllerOf(set);
      return owner === undefined ? [] : [owner.uid];
    });
    this.#orphanSets = this.#sets.index((set) =>
      controllerOf(set) === undefined ? [set.metadata.namespace ?? ""] : [],
    );
    this.#record = context.events("deployment-controller");
  }

  async reconcile(key: string): Promise<number | undefined> {
    const deployment = this.#deployments.at(key);
    if (deployment?.spec === undefined || isTerminating(deployment)) return undefined;
    const sets = await this.#claim(deployment);
    let newSet = this.#findNew(deployment, sets);
    const oldSets = sets.filter((set) => set !== newSet);
    let failure: unknown;
    try {
      newSet = await this.#roll(deployment, newSet, oldSets);
    } catch (error) {
      failure = error;
    }
    // Use the newest state of each set, because the steps above may have written it.
    const current = (set: ReplicaSet): ReplicaSet => this.#sets.at(keyOf(set)) ?? set;
    const lookAgainMs = await this.#finish(
      deployment,
      newSet === undefined ? undefined : current(newSet),
      oldSets.map(current),
      failure,
    );
    if (failure !== undefined) throw failure;
    return lookAgainMs;
  }

  async #claim(deployment: Deployment): Promise<ReplicaSet[]> {
    const { uid = "", namespace = "" } = deployment.metadata;
    const owned = this.#setsByOwner.of(uid).filter((set) => !isTerminating(set));
    const orphans = this.#orphanSets
      .of(namespace)
      .filter((set) => !isTerminating(set) && matchesLabelSelector(deployment.spec?.selector, set.metadata.labels));
    if (orphans.length === 0 || !(await mayAdopt(this.#context, deploymentKind, deployment))) return owned;
    for (const set of orphans) {
      const ownerReferences = [...(set.metadata.ownerReferences ?? []), ownerReference(deploymentKind, deployment)];
      owned.push(await this.#patch(set, { metadata: { uid: set.metadata.uid, ownerReferences } }));
    }
    return owned;
  }

  /**
   * The oldest ReplicaSet with the Deployment's template. The comparison ignores the hash label, which this controller
   * adds.
   */
  #findNew(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
    const wanted = deployment.spec?.template;
    return sets
      .filter((set) => jsonEqual(withoutHash(set.spec?.template ?? {}), withoutHash(wanted ?? {})))
      .sort((a, b) => createdMs(a) - createdMs(b))[0];
  }

  /** One step towards the wanted state. Returns the set of the current template, if it exists. */
  async #roll(
    deployment: Deployment,
    found: ReplicaSet | undefined,
    oldSets: readonly ReplicaSet[],
  ): Promise<ReplicaSet | undefined> {
    const bounds = boundsOf(deployment);
    const recreate = deployment.spec?.strategy?.type === "Recreate";
    if (
      deployment.spec?.paused === true ||
      wasScaled(bounds.desired, [...(found === undefined ? [] : [found]), ...oldSets])
    ) {
      if (found !== undefined) found = await this.#syncNew(deployment, found, oldSets);
      await this.#resize(
        deployment,
        planScaling(bounds, found, oldSets, recreate ? "Recreate" : "RollingUpdate"),
        found,
        oldSets,
      );
      return found;
    }
    if (recreate) {
      const emptied = new Map(
        oldSets.filter((set) => specReplicas(set) > 0).map((set) => [set.metadata.name ?? "", 0]),
      );
      await this.#resize(deployment, emptied, found, oldSets);
      if (emptied.size > 0 || oldSets.some((set) => this.#hasPods(set))) return found;
    }
    const newSet =
      found === undefined
        ? await this.#createNew(deployment, oldSets)
        : await this.#syncNew(deployment, found, oldSets);
    const sizes = recreate ? planScaling(bounds, newSet, [], "Recreate") : planRollingUpdate(bounds, newSet, oldSets);
    await this.#resize(deployment, sizes, newSet, oldSets);
    return newSet;
  }

  #hasPods(set: ReplicaSet): boolean {
    return this.#context.podsByController
      .of(set.metadata.uid ?? "")
      .some((pod) => pod.status?.phase !== "Failed" && pod.status?.phase !== "Succeeded");
  }

  async #createNew(deployment: Deployment, oldSets: readonly ReplicaSet[]): Promise<ReplicaSet> {
    const { name = "", namespace = "" } = deployment.metadata;
    const template = deployment.spec?.template ?? {};
    let collisions = 0;
    for (;;) {
      const hash = templateHash(template, collisions);
      const set = this.#newSet(deployment, `${name}-${hash}`, hash, oldSets);
      try {
        const created = await this.#context.client.create(replicaSetKind, set);
        this.#sets.wrote(created);
        await this.#setRevision(deployment, created);
        this.#record(deploymentKind, deployment, {
          type: "Normal",
          reason: "ScalingReplicaSet",
          message: `Scaled up replica set ${set.metadata.name ?? ""} from 0 to ${specReplicas(set)}`,
        });
        return created;
      } catch (error) {
        if (!isKubeCode(error, "already-exists")) throw error;
        const known = await this.#context.client.get(replicaSetKind, set.metadata.name ?? "", namespace);
        if (
          known !== undefined &&
          controllerOf(known)?.uid === deployment.metadata.uid &&
          jsonEqual(withoutHash(known.spec?.template ?? {}), withoutHash(template))
        ) {
          this.#sets.wrote(known);
          return known;
        }
        // The name is taken: either a set with another template has the same hash, or the object has another owner.
        collisions += 1;
      }
    }
  }

  #newSet(deployment: Deployment, name: string, hash: string, oldSets: readonly ReplicaSet[]): ReplicaSet {
    const template = deployment.spec?.template ?? {};
    const selector = deployment.spec?.selector ?? {};
    const labels = { ...template.metadata?.labels, [hashLabel]: hash };
    return {
      metadata: {
        name,
        namespace: deployment.metadata.namespace ?? "",
        labels,
        annotations: { ...this.#annotations(deployment), [revisionAnnotation]: String(nextRevision(oldSets)) },
        ownerReferences: [ownerReference(deploymentKind, deployment)],
      },
      spec: {
        replicas: initialReplicas(deployment, oldSets),
        ...(deployment.spec?.minReadySeconds === undefined ? {} : { minReadySeconds: deployment.spec.minReadySeconds }),
        selector: { ...selector, matchLabels: { ...selector.matchLabels, [hashLabel]: hash } },
        template: { ...template, metadata: { ...template.metadata, labels } },
      },
    };
  }

  #annotations(deployment: Deployment): Record<string, string> {
    const { desired, maxSurge } = boundsOf(deployment);
    const copied = Object.entries(deployment.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key));
    return {
      ...Object.fromEntries(copied),
      [desiredReplicasAnnotation]: String(desired),
      [maxReplicasAnnotation]: String(desired + maxSurge),
    };
  }

  /**
   * Updates revision, annotations and minReadySeconds of the current set. After `kubectl rollout undo`, an older set
   * becomes the current one, and gets a new revision.
   */
  async #syncNew(deployment: Deployment, set: ReplicaSet, oldSets: readonly ReplicaSet[]): Promise<ReplicaSet> {
    const revision = String(Math.max(revisionOf(set), nextRevision(oldSets)));
    const history =
      revisionOf(set) > 0 && revision !== String(revisionOf(set))
        ? { [revisionHistoryAnnotation]: joinHistory(set) }
        : {};
    // Keep the recorded size, because a change of size is detected by comparison with it.
    const {
      [desiredReplicasAnnotation]: _desired,
      [maxReplicasAnnotation]: _max,
      ...copied
    } = this.#annotations(deployment);
    const annotations = { ...copied, [revisionAnnotation]: revision, ...history };
    const minReadySeconds = deployment.spec?.minReadySeconds ?? 0;
    const stale =
      Object.entries(annotations).some(([key, value]) => set.metadata.annotations?.[key] !== value) ||
      (set.spec?.minReadySeconds ?? 0) !== minReadySeconds;
    const written = stale ? await this.#patch(set, { metadata: { annotations }, spec: { minReadySeconds } }) : set;
    await this.#setRevision(deployment, written);
    return written;
  }

  async #setRevision(deployment: Deployment, set: ReplicaSet): Promise<void> {
    const revision = String(revisionOf(set));
    if (deployment.metadata.annotations?.[revisionAnnotation] === revision) return;
    const { name = "", namespace } = deployment.metadata;
    this.#deployments.wrote(
      await this.#context.client.patchMerge(deploymentKind, name, namespace, {
        metadata: { annotations: { [revisionAnnotation]: revision } },
      }),
    );
  }

  async #resize(
    deployment: Deployment,
    sizes: ReadonlyMap<string, number>,
    newSet: ReplicaSet | undefined,
    oldSets: readonly ReplicaSet[],
  ): Promise<void> {
    const { desired, maxSurge } = boundsOf(deployment);
    const noted = { [desiredReplicasAnnotation]: String(desired), [maxReplicasAnnotation]: String(desired + maxSurge) };
    for (const set of newSet === undefined ? oldSets : [newSet, ...oldSets]) {
      const name = set.metadata.name ?? "";
      const from = specReplicas(set);
      const size = sizes.get(name) ?? from;
      const annotated = Object.entries(noted).every(([key, value]) => set.metadata.annotations?.[key] === value);
      if (size === from && (annotated || from === 0)) continue;
      await this.#patch(set, { metadata: { annotations: noted }, spec: { replicas: size } });
      if (size === from) continue;
      const message = `Scaled ${size > from ? "up" : "down"} replica set ${name} from ${from} to ${size}`;
      this.#record(deploymentKind, deployment, { type: "Normal", reason: "ScalingReplicaSet", message });
    }
  }

  async #finish(
    deployment: Deployment,
    newSet: ReplicaSet | undefined,
    oldSets: readonly ReplicaSet[],
    failure: unknown,
  ): Promise<number | undefined> {
    const { clock, client } = this.#context;
    const inputs = {
      deployment,
      newSet,
      oldSets,
      now: this.#context.now(),
      nowMs: clock.nowMs(),
      failure: failure === undefined ? undefined : messageOf(failure),
    };
    const { status, complete, lookAgainMs } = deploymentStatus(inputs);
    if (changesStatus(deployment.status, status)) {
      const { name = "", namespace } = deployment.metadata;
      this.#deployments.wrote(
        await client.patchMerge(deploymentKind, name, namespace, { status }, { subresource: "status" }),
      );
    }
    if (complete) await this.#cleanUp(deployment, oldSets);
    return lookAgainMs;
  }

  async #cleanUp(deployment: Deployment, oldSets: readonly ReplicaSet[]): Promise<void> {
    const limit = deployment.spec?.revisionHistoryLimit ?? 10;
    const spent = oldSets.filter(
      (set) => specReplicas(set) === 0 && (set.status?.replicas ?? 0) === 0 && !isTerminating(set),
    );
    const excess = spent.sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, Math.max(0, spent.length - limit));
    for (const set of excess)
      await this.#context.client.delete(replicaSetKind, set.metadata.name ?? "", set.metadata.namespace, {
        propagationPolicy: "Background",
      });
  }

  async #patch(set: ReplicaSet, patch: unknown): Promise<ReplicaSet> {
    const written = await this.#context.client.patchMerge(
      replicaSetKind,
      set.metadata.name ?? "",
      set.metadata.namespace,
      patch,
    );
    this.#sets.wrote(written);
    return written;
  }
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [hashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  const { creationTimestamp: _created, ...metadata } = template.metadata ?? {};
  return { ...template, metadata: { ...metadata, labels } };
}

function nextRevision(oldSets: readonly ReplicaSet[]): number {
  return Math.max(0, ...oldSets.map(revisionOf)) + 1;
}

function joinHistory(set: ReplicaSet): string {
  const before = set.metadata.annotations?.[revisionHistoryAnnotation];
  return [...(before === undefined ? [] : [before]), String(revisionOf(set))].join(",");
}

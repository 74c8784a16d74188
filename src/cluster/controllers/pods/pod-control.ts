import type { KindDefinition, KubernetesObject, LabelSelector } from "../../../api/index.ts";
import { matchesLabelSelector } from "../../../api/index.ts";
import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { describeError, messageOf, SerinError } from "../../../base/index.ts";
import { controllerOf, isKubeCode, ownerReference, type EventNote } from "../../../kube/index.ts";
import type { ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { isActive, isTerminating } from "./pod-facts.ts";

/** The maximum number of concurrent requests, so that a set of a thousand pods does not flood the server. */
const maxConcurrentWrites = 16;

export interface PodControlOptions {
  readonly context: ControllerContext;
  readonly ownerKind: KindDefinition;
  /** The source of its events: `replicaset-controller`. */
  readonly component: string;
}

/** Creates, deletes, adopts and releases pods for one kind of owner, and writes the events that describe shows. */
export class PodControl {
  readonly #context: ControllerContext;
  readonly #kind: KindDefinition;
  readonly #pods: ObjectView<Pod>;
  readonly #record: (kind: KindDefinition, object: KubernetesObject, note: EventNote) => void;

  constructor({ context, ownerKind, component }: PodControlOptions) {
    this.#context = context;
    this.#kind = ownerKind;
    this.#pods = context.view(podKind);
    this.#record = context.events(component);
  }

  async createAll(owner: KubernetesObject, pods: readonly Pod[]): Promise<void> {
    await inBatches(pods, async (pod) => {
      try {
        const created = await this.#context.client.create(podKind, pod);
        this.#pods.wrote(created);
        this.#record(this.#kind, owner, {
          type: "Normal",
          reason: "SuccessfulCreate",
          message: `Created pod: ${created.metadata.name ?? ""}`,
        });
      } catch (error) {
        // A terminating namespace accepts no pods. That is expected, so it needs no event.
        if (!(error instanceof SerinError && error.reason === "NamespaceTerminating")) {
          this.#record(this.#kind, owner, {
            type: "Warning",
            reason: "FailedCreate",
            message: `Error creating: ${messageOf(error)}`,
          });
        }
        throw error;
      }
    });
  }

  async deleteAll(owner: KubernetesObject, pods: readonly Pod[]): Promise<void> {
    await inBatches(
      pods.filter((pod) => !isTerminating(pod)),
      async (pod) => {
        const { name = "", namespace, uid = "" } = pod.metadata;
        try {
          await this.#context.client.delete(podKind, name, namespace, { preconditions: { uid } });
        } catch (error) {
          // A conflict means that another pod has the name now, so ours is deleted already.
          if (!isKubeCode(error, "conflict")) throw error;
        }
        this.#pods.deleted(pod);
        this.#record(this.#kind, owner, {
          type: "Normal",
          reason: "SuccessfulDelete",
          message: `Deleted pod: ${name}`,
        });
      },
    );
  }

  /** Adopts orphans that match and belong, and releases pods that no longer do. Returns the owner's pods. */
  async claim(
    owner: KubernetesObject,
    selector: LabelSelector,
    belongs: (pod: Pod) => boolean = () => true,
  ): Promise<Pod[]> {
    const { uid = "", namespace = "" } = owner.metadata;
    const matches = (pod: Pod): boolean => matchesLabelSelector(selector, pod.metadata.labels) && belongs(pod);
    const owned: Pod[] = [];
    for (const pod of this.#context.podsByController.of(uid)) {
      if (matches(pod)) owned.push(pod);
      else if (!isTerminating(owner)) await this.#release(owner, pod);
    }
    if (isTerminating(owner)) return owned;
    for (const pod of this.#context.podsByNamespace.of(namespace)) {
      if (controllerOf(pod) !== undefined || !isActive(pod) || !matches(pod)) continue;
      const adopted = await this.#adopt(owner, pod);
      if (adopted !== undefined) owned.push(adopted);
    }
    return owned;
  }

  async #adopt(owner: KubernetesObject, pod: Pod): Promise<Pod | undefined> {
    const references = [...(pod.metadata.ownerReferences ?? []), ownerReference(this.#kind, owner)];
    return await this.#setOwners(pod, references);
  }

  async #release(owner: KubernetesObject, pod: Pod): Promise<void> {
    const references = (pod.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== owner.metadata.uid);
    await this.#setOwners(pod, references);
  }

  async #setOwners(
    pod: Pod,
    ownerReferences: NonNullable<Pod["metadata"]["ownerReferences"]>,
  ): Promise<Pod | undefined> {
    const { name = "", namespace, uid, resourceVersion } = pod.metadata;
    const patch = { metadata: { uid, resourceVersion, ownerReferences } };
    try {
      const written = await this.#context.client.patchMerge(podKind, name, namespace, patch);
      this.#pods.wrote(written);
      return written;
    } catch (error) {
      if (isKubeCode(error, "not-found")) return undefined;
      this.#context.log.debug("a pod's owner could not be changed", { pod: name, error: describeError(error) });
      throw error;
    }
  }
}

/** Runs all items in batches of bounded size. Throws the first failure after its batch. */
export async function inBatches<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += maxConcurrentWrites) {
    const results = await Promise.allSettled(items.slice(start, start + maxConcurrentWrites).map(run));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }
}

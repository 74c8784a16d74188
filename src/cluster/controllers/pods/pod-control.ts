import {
  matchesLabelSelector,
  type KindDefinition,
  type KubernetesObject,
  type LabelSelector,
} from "../../../api/index.ts";
import { podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { describeError, messageOf, SerinError } from "../../../base/index.ts";
import { controllerOf, isKubeCode, ownerReference, type EventNote } from "../../../kube/index.ts";
import type { ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { mayAdopt } from "./adoption.ts";
import { isActive, isTerminating, withCondition } from "./pod-facts.ts";

/** The maximum number of concurrent requests, so that a set of a thousand pods does not flood the server. */
const maxConcurrentWrites = 16;

export interface PodControlOptions {
  readonly context: ControllerContext;
  readonly ownerKind: KindDefinition;
  /** The source in events about the pods, such as `replicaset-controller`. */
  readonly component: string;
  /** The texts of these events. The default is the texts that most controllers share. */
  readonly wording?: PodWording;
}

type PodVerb = "create" | "delete";
type PodWording = (verb: PodVerb, pod: Pod, owner: KubernetesObject, failure: string | undefined) => string;

const commonWording: PodWording = (verb, { metadata: { name = "" } }, _owner, failure) => {
  if (failure !== undefined) return `Error ${verb === "create" ? "creating" : "deleting"}: ${failure}`;
  return `${verb === "create" ? "Created" : "Deleted"} pod: ${name}`;
};

/**
 * Creates, deletes, adopts and releases pods for one kind of owner, and writes the events that `kubectl describe`
 * shows.
 */
export class PodControl {
  readonly #context: ControllerContext;
  readonly #kind: KindDefinition;
  readonly #pods: ObjectView<Pod>;
  readonly #wording: PodWording;
  readonly #record: (kind: KindDefinition, object: KubernetesObject, note: EventNote) => void;

  constructor({ context, ownerKind, component, wording = commonWording }: PodControlOptions) {
    this.#context = context;
    this.#wording = wording;
    this.#kind = ownerKind;
    this.#pods = context.view(podKind);
    this.#record = context.events(component);
  }

  async createAll(owner: KubernetesObject, pods: readonly Pod[]): Promise<void> {
    const create = async (pod: Pod): Promise<void> => {
      try {
        const created = await this.#context.client.create(podKind, pod);
        this.#pods.wrote(created);
        this.#note(owner, "create", created);
      } catch (error) {
        // A terminating namespace accepts no pods. This is expected, and the owner will be deleted too.
        if (error instanceof SerinError && error.reason === "NamespaceTerminating") return;
        this.#note(owner, "create", pod, error);
        throw error;
      }
    };
    // Start with a single pod: if it is refused, the others would be refused for the same reason.
    await inBatches(pods, create, 1);
  }

  async deleteAll(owner: KubernetesObject, pods: readonly Pod[]): Promise<void> {
    await inBatches(
      pods.filter((pod) => !isTerminating(pod)),
      async (pod) => {
        const { name = "", namespace, uid = "" } = pod.metadata;
        try {
          await this.#context.client.delete(podKind, name, namespace, { preconditions: { uid } });
        } catch (error) {
          // A conflict means that another pod has the name now. The pod to delete is already gone.
          if (!isKubeCode(error, "conflict")) {
            this.#note(owner, "delete", pod, error);
            throw error;
          }
        }
        this.#pods.deleted(pod);
        this.#note(owner, "delete", pod);
      },
    );
  }

  /** Adopts matching orphans, and releases pods that no longer match. Returns the owner's pods. */
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
    const orphans = this.#context.podsByNamespace
      .of(namespace)
      .filter((pod) => controllerOf(pod) === undefined && isActive(pod) && matches(pod));
    if (orphans.length === 0 || !(await mayAdopt(this.#context, this.#kind, owner))) return owned;
    for (const pod of orphans) {
      const adopted = await this.#adopt(owner, pod);
      if (adopted !== undefined) owned.push(adopted);
    }
    return owned;
  }

  #note(owner: KubernetesObject, verb: PodVerb, pod: Pod, error?: unknown): void {
    const noun = verb === "create" ? "Create" : "Delete";
    const failure = error === undefined ? undefined : messageOf(error);
    this.#record(this.#kind, owner, {
      type: failure === undefined ? "Normal" : "Warning",
      reason: failure === undefined ? `Successful${noun}` : `Failed${noun}`,
      message: this.#wording(verb, pod, owner, failure),
    });
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

/**
 * Writes into a pod's status why it is about to be deleted, for example for the failure policy of its Job. Also writes
 * the pod's final phase, if given. Throws a conflict if the pod has changed in the meantime.
 */
export async function noteDisruption(
  context: ControllerContext,
  pod: Pod,
  cause: { readonly reason: string; readonly message: string } | undefined,
  end: { readonly phase?: "Failed" } = {},
): Promise<void> {
  const { name = "", namespace, uid, resourceVersion } = pod.metadata;
  const conditions = cause && withCondition(pod, { type: "DisruptionTarget", status: "True", ...cause }, context.now());
  const status = { ...end, ...(conditions === undefined ? {} : { conditions }) };
  const patch = { metadata: { uid, resourceVersion }, status };
  context
    .view(podKind)
    .wrote(await context.client.patchMerge(podKind, name, namespace, patch, { subresource: "status" }));
}

/**
 * Runs the function for all items, in batches. The batch size doubles from the first one up to a maximum. After a batch
 * with a failure, throws the first failure.
 */
export async function inBatches<Item>(
  items: readonly Item[],
  run: (item: Item) => Promise<void>,
  firstSize = maxConcurrentWrites,
): Promise<void> {
  let size = firstSize;
  for (let start = 0; start < items.length;) {
    const results = await Promise.allSettled(items.slice(start, start + size).map(run));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    start += size;
    size = Math.min(maxConcurrentWrites, size * 2);
  }
}

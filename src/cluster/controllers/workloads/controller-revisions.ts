import { jsonEqual } from "../../../base/index.ts";
import { keyOf, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import { controllerRevisionKind, type ControllerRevision, type PodTemplate } from "../../../api/kubernetes/index.ts";
import { controllerOf, isKubeCode, ownerReference } from "../../../kube/index.ts";
import { type ControllerContext } from "../controller.ts";
import type { ObjectIndex, ObjectView } from "../object-view.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { templateHash } from "../pods/pod-template.ts";

export const revisionHashLabel = "controller-revision-hash";

export interface Revisions {
  /** The revision of the current template. */
  readonly current: ControllerRevision;
  /** All revisions, oldest first. */
  readonly all: readonly ControllerRevision[];
}

/** Stores the templates of a DaemonSet or StatefulSet as ControllerRevisions, which `kubectl rollout undo` reads. */
export class RevisionHistory {
  readonly #context: ControllerContext;
  readonly #ownerKind: KindDefinition;
  readonly #view: ObjectView<ControllerRevision>;
  readonly #byOwner: ObjectIndex<ControllerRevision>;

  constructor(context: ControllerContext, ownerKind: KindDefinition) {
    this.#context = context;
    this.#ownerKind = ownerKind;
    this.#view = context.view(controllerRevisionKind);
    this.#byOwner = this.#view.index((revision) => {
      const owner = controllerOf(revision);
      return owner === undefined ? [] : [owner.uid];
    });
  }

  /** Creates a revision for the template. If an old revision has the same content, makes that one the newest again. */
  async sync(owner: KubernetesObject, template: PodTemplate): Promise<Revisions> {
    const data = { spec: { template: { ...template, $patch: "replace" } } };
    const known = this.#of(owner);
    const highest = known.at(-1)?.revision ?? 0;
    const same = known.find((revision) => jsonEqual(revision.data, data));
    let current: ControllerRevision;
    if (same === undefined) current = await this.#create(owner, template, data, highest + 1);
    else if (same.revision === highest) current = same;
    else {
      const { name = "", namespace } = same.metadata;
      current = await this.#context.client.patchMerge(controllerRevisionKind, name, namespace, {
        revision: highest + 1,
      });
      this.#view.wrote(current);
    }
    return { current, all: [...known.filter((revision) => keyOf(revision) !== keyOf(current)), current] };
  }

  /** Removes unused revisions, oldest first, until at most `limit` unused ones are left. */
  async trim(revisions: Revisions, usedHashes: ReadonlySet<string>, limit: number): Promise<void> {
    const spare = revisions.all.filter(
      (revision) => revision !== revisions.current && !usedHashes.has(hashOf(revision)),
    );
    for (const revision of spare.slice(0, Math.max(0, spare.length - limit))) {
      await this.#context.client.delete(
        controllerRevisionKind,
        revision.metadata.name ?? "",
        revision.metadata.namespace,
      );
    }
  }

  #of(owner: KubernetesObject): ControllerRevision[] {
    return this.#byOwner
      .of(owner.metadata.uid ?? "")
      .filter((revision) => !isTerminating(revision))
      .sort((a, b) => a.revision - b.revision);
  }

  async #create(
    owner: KubernetesObject,
    template: PodTemplate,
    data: Record<string, unknown>,
    revision: number,
  ): Promise<ControllerRevision> {
    const { name = "", namespace = "" } = owner.metadata;
    for (let collisions = 0; ; collisions += 1) {
      const hash = templateHash(template, collisions);
      const object: ControllerRevision = {
        metadata: {
          name: `${name}-${hash}`,
          namespace,
          labels: { ...template.metadata?.labels, [revisionHashLabel]: hash },
          ...(owner.metadata.annotations === undefined ? {} : { annotations: owner.metadata.annotations }),
          ownerReferences: [ownerReference(this.#ownerKind, owner)],
        },
        data,
        revision,
      };
      try {
        const created = await this.#context.client.create(controllerRevisionKind, object);
        this.#view.wrote(created);
        return created;
      } catch (error) {
        if (!isKubeCode(error, "already-exists")) throw error;
        const known = await this.#context.client.get(controllerRevisionKind, object.metadata.name ?? "", namespace);
        if (known !== undefined && controllerOf(known)?.uid === owner.metadata.uid && jsonEqual(known.data, data))
          return known;
      }
    }
  }
}

export function hashOf(object: KubernetesObject): string {
  return object.metadata.labels?.[revisionHashLabel] ?? "";
}

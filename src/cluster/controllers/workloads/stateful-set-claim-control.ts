import { jsonEqual } from "../../../base/index.ts";
import {
  persistentVolumeClaimKind,
  statefulSetKind,
  type PersistentVolumeClaim,
  type Pod,
  type StatefulSet,
} from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import type { ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { claimOwners, claimsFor } from "./stateful-set-claims.ts";
import { ordinalOf } from "./stateful-set-plan.ts";

/** Creates the claims of StatefulSets' pods, and sets the claims' owners according to the retention policy. */
export class ClaimControl {
  readonly #context: ControllerContext;
  readonly #claims: ObjectView<PersistentVolumeClaim>;
  readonly #record: ReturnType<ControllerContext["events"]>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#claims = context.view(persistentVolumeClaimKind);
    this.#record = context.events("statefulset-controller");
  }

  /** Creates the missing claims of the pod with the ordinal. Existing claims keep their data. */
  async ensure(set: StatefulSet, ordinal: number): Promise<void> {
    for (const claim of claimsFor(set, ordinal)) {
      const { name = "", namespace } = claim.metadata;
      if (this.#claims.get(namespace, name) !== undefined) continue;
      const ownerReferences = claimOwners(set, claim, undefined, false);
      const metadata = { ...claim.metadata, ...(ownerReferences.length === 0 ? {} : { ownerReferences }) };
      try {
        this.#claims.wrote(await this.#context.client.create(persistentVolumeClaimKind, { ...claim, metadata }));
      } catch (error) {
        if (isKubeCode(error, "already-exists")) continue;
        throw error;
      }
      this.#record(statefulSetKind, set, {
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `create Claim ${name} Pod ${set.metadata.name ?? ""}-${ordinal} in StatefulSet ${set.metadata.name ?? ""} success`,
      });
    }
  }

  /**
   * Sets the owners of the claims of the set's pods by the retention policy, before pods beyond its replicas are
   * deleted.
   */
  async own(set: StatefulSet, pods: readonly Pod[]): Promise<void> {
    if ((set.spec?.volumeClaimTemplates ?? []).length === 0) return;
    const start = set.spec?.ordinals?.start ?? 0;
    const end = start + (set.spec?.replicas ?? 1);
    for (const pod of pods) {
      const ordinal = ordinalOf(pod);
      for (const { metadata } of claimsFor(set, ordinal)) {
        const claim = this.#claims.get(metadata.namespace, metadata.name ?? "");
        if (claim === undefined || isTerminating(claim)) continue;
        const owners = claimOwners(set, claim, pod, ordinal < start || ordinal >= end);
        if (!jsonEqual(owners, claim.metadata.ownerReferences ?? [])) await this.#setOwners(claim, owners);
      }
    }
  }

  async #setOwners(claim: PersistentVolumeClaim, owners: ReturnType<typeof claimOwners>): Promise<void> {
    const { name = "", namespace, uid, resourceVersion } = claim.metadata;
    try {
      this.#claims.wrote(
        await this.#context.client.patchMerge(persistentVolumeClaimKind, name, namespace, {
          metadata: { uid, resourceVersion, ownerReferences: owners },
        }),
      );
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  }
}

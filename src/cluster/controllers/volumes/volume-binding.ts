import { keyOf } from "../../../api/index.ts";
import {
  nodeKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  storageClassKind,
  type PersistentVolume,
  type PersistentVolumeClaim,
} from "../../../api/kubernetes/index.ts";
import { isKubeCode, type EventNote, type Reconciler } from "../../../kube/index.ts";
import { isLocalVolume, localVolumes, volumeAnnotations } from "../../record/local-volumes.ts";
import { enqueueOn, patchStatus, writeStatus, type ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { phaseOf, planClaim } from "./volume-plan.ts";

/**
 * Binds claims to volumes, and creates the volumes of the lab's own class. The node that uses a volume makes the
 * volume's directory.
 */
export function addVolumeBinding(context: ControllerContext): void {
  new VolumeBinding(context).start();
}

class VolumeBinding {
  readonly #context: ControllerContext;
  readonly #claims: ObjectView<PersistentVolumeClaim>;
  readonly #volumes: ObjectView<PersistentVolume>;
  readonly #record: ReturnType<ControllerContext["events"]>;
  readonly #claimQueue: Reconciler;
  readonly #volumeQueue: Reconciler;
  /** The last event of each pending claim by its key, so that it is not repeated at every check. */
  readonly #lastEvents = new Map<string, string>();

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#claims = context.view(persistentVolumeClaimKind);
    this.#volumes = context.view(persistentVolumeKind);
    this.#record = context.events("persistentvolume-controller");
    // Handle one claim at a time, so that two claims do not take the same volume, and the number of volumes stays
    // within its bound.
    this.#claimQueue = context.queue("volume-claims", (key) => this.#syncClaim(key), { concurrency: 1 });
    this.#volumeQueue = context.queue("volumes", (key) => this.#syncVolume(key), { concurrency: 1 });
  }

  start(): void {
    enqueueOn(this.#claims, this.#claimQueue);
    enqueueOn(this.#volumes, this.#volumeQueue);
    this.#claims.onChange(({ object, type }) => {
      if (type === "delete") this.#lastEvents.delete(keyOf(object));
      const { volumeName = "" } = object.spec ?? {};
      if (volumeName !== "") this.#volumeQueue.add(volumeName);
    });
    const retryPending = (): void => {
      for (const claim of this.#claims.all()) if (claim.status?.phase !== "Bound") this.#claimQueue.add(keyOf(claim));
    };
    this.#volumes.onChange(({ object, type }) => {
      const { namespace = "", name = "" } = object.spec?.claimRef ?? {};
      if (name !== "") this.#claimQueue.add(`${namespace}/${name}`);
      if (type === "delete" || name === "") retryPending();
    });
    this.#context.view(storageClassKind).onChange(retryPending);
  }

  async #syncClaim(key: string): Promise<undefined> {
    const claim = this.#claims.at(key);
    if (claim === undefined) return;
    const classes = this.#context.view(storageClassKind);
    const nodes = this.#context.view(nodeKind);
    const step = planClaim(claim, {
      volumes: this.#volumes.all(),
      storageClass: (name) => classes.at(name),
      node: (name) => nodes.at(name),
    });
    if (step.kind === "wait") this.#recordEvent(claim, step.note);
    else if (step.kind === "lost") {
      if (claim.status?.phase !== "Lost")
        await writeStatus(this.#context, persistentVolumeClaimKind, claim, { phase: "Lost" });
      this.#recordEvent(claim, step.note);
    } else if (step.kind === "bind") await this.#bind(claim, step.volume);
    else await this.#provision(claim, step.volume);
  }

  async #provision(claim: PersistentVolumeClaim, wanted: PersistentVolume): Promise<void> {
    const { name = "", namespace } = claim.metadata;
    this.#recordEvent(claim, {
      type: "Normal",
      reason: "Provisioning",
      message: `External provisioner is provisioning volume for claim "${keyOf(claim)}"`,
    });
    const annotations = { [volumeAnnotations.provisioner]: localVolumes.provisioner };
    this.#claims.wrote(
      await this.#context.client.patchMerge(persistentVolumeClaimKind, name, namespace, { metadata: { annotations } }),
    );
    const volume = await this.#context.client.create(persistentVolumeKind, wanted).catch(async (error: unknown) => {
      // If an earlier attempt was interrupted after it created the volume, the volume already exists.
      const made = isKubeCode(error, "already-exists")
        ? await this.#context.client.get(persistentVolumeKind, wanted.metadata.name ?? "")
        : undefined;
      if (made === undefined) throw error;
      return made;
    });
    this.#volumes.wrote(volume);
    this.#recordEvent(claim, {
      type: "Normal",
      reason: "ProvisioningSucceeded",
      message: `Successfully provisioned volume ${volume.metadata.name ?? ""}`,
    });
    await this.#bind(this.#claims.at(keyOf(claim)) ?? claim, volume);
  }

  /** Binds a claim to a volume. Writes the volume first, so that after an interruption no other claim can take it. */
  async #bind(claim: PersistentVolumeClaim, found: PersistentVolume): Promise<void> {
    const { client } = this.#context;
    const { name = "", namespace = "", uid = "" } = claim.metadata;
    const volumeName = found.metadata.name ?? "";
    let volume = found;
    if (found.spec?.claimRef?.uid !== uid) {
      const claimRef = { apiVersion: "v1", kind: "PersistentVolumeClaim", namespace, name, uid };
      const { resourceVersion } = found.metadata;
      const annotations = { [volumeAnnotations.boundByController]: "yes" };
      volume = await client.patchMerge(persistentVolumeKind, volumeName, undefined, {
        metadata: { ...(resourceVersion === undefined ? {} : { resourceVersion }), annotations },
        spec: { claimRef },
      });
      this.#volumes.wrote(volume);
    }
    const annotations = claim.metadata.annotations ?? {};
    if (claim.spec?.volumeName !== volumeName || annotations[volumeAnnotations.bindCompleted] === undefined) {
      const added = {
        [volumeAnnotations.bindCompleted]: "yes",
        ...(claim.spec?.volumeName === volumeName ? {} : { [volumeAnnotations.boundByController]: "yes" }),
      };
      this.#claims.wrote(
        await client.patchMerge(persistentVolumeClaimKind, name, namespace, {
          metadata: { uid, annotations: added },
          spec: { volumeName },
        }),
      );
    }
    this.#lastEvents.delete(keyOf(claim));
    const { accessModes = [], capacity = {} } = volume.spec ?? {};
    await writeStatus(this.#context, persistentVolumeClaimKind, claim, { phase: "Bound", accessModes, capacity });
    this.#volumeQueue.add(volumeName);
  }

  async #syncVolume(name: string): Promise<undefined> {
    const volume = this.#volumes.at(name);
    if (volume === undefined) return;
    const { claimRef, persistentVolumeReclaimPolicy: policy } = volume.spec ?? {};
    const claim = claimRef === undefined ? undefined : this.#claims.get(claimRef.namespace, claimRef.name ?? "");
    const phase = phaseOf(volume, claim);
    if (phase === undefined) {
      this.#claimQueue.add(`${claimRef?.namespace ?? ""}/${claimRef?.name ?? ""}`);
      return;
    }
    if (phase !== "Released" || policy === "Retain" || isLocalVolume(volume)) {
      if (volume.status?.phase !== phase) await patchStatus(this.#context, persistentVolumeKind, volume, { phase });
      return;
    }
    if (volume.status?.phase === "Failed") return;
    const message = "the lab deletes only the directories of volumes that it made; delete this volume by hand";
    await patchStatus(this.#context, persistentVolumeKind, volume, {
      phase: "Failed",
      reason: "VolumeFailedDelete",
      message,
    });
    this.#record(persistentVolumeKind, volume, { type: "Warning", reason: "VolumeFailedDelete", message });
  }

  #recordEvent(claim: PersistentVolumeClaim, note: EventNote | undefined): void {
    if (note === undefined) return;
    const key = keyOf(claim);
    const text = `${claim.metadata.uid ?? ""} ${note.reason} ${note.message}`;
    if (this.#lastEvents.get(key) === text) return;
    this.#lastEvents.set(key, text);
    this.#record(persistentVolumeClaimKind, claim, note);
  }
}

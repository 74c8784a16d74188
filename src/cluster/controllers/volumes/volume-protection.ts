import {
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podKind,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { volumeFinalizers } from "../../record/local-volumes.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { isTerminating } from "../pods/pod-facts.ts";

/** Keeps a deleted claim until no pod uses it, and a deleted volume until no claim is bound to it. */
export function addVolumeProtection(context: ControllerContext): void {
  const pods = context.view(podKind);
  const claims = context.view(persistentVolumeClaimKind);
  const volumes = context.view(persistentVolumeKind);

  const claimQueue = context.queue("claim-protection", async (key) => {
    const claim = claims.at(key);
    if (claim === undefined || !waitsFor(claim, volumeFinalizers.claim)) return;
    const { name = "", namespace = "" } = claim.metadata;
    // Ask the server, because a pod may be newer than the last change that the watch has delivered.
    const { items } = await context.client.list(podKind, { namespace });
    if (items.some((pod) => usesClaim(pod, name))) return;
    await ignoreGone(
      context.client.patchMerge(persistentVolumeClaimKind, name, namespace, without(claim, volumeFinalizers.claim)),
    );
  });
  const volumeQueue = context.queue("volume-protection", async (key) => {
    const volume = volumes.at(key);
    if (volume === undefined || !waitsFor(volume, volumeFinalizers.volume) || volume.status?.phase === "Bound") return;
    await ignoreGone(
      context.client.patchMerge(persistentVolumeKind, key, undefined, without(volume, volumeFinalizers.volume)),
    );
  });

  enqueueOn(claims, claimQueue);
  enqueueOn(volumes, volumeQueue);
  pods.onChange(({ object }) => {
    for (const name of claimNamesOf(object)) claimQueue.add(`${object.metadata.namespace ?? ""}/${name}`);
  });
}

export function claimNamesOf(pod: Pod): string[] {
  return (pod.spec?.volumes ?? []).flatMap(({ persistentVolumeClaim }) =>
    persistentVolumeClaim === undefined ? [] : [persistentVolumeClaim.claimName],
  );
}

/**
 * Whether a pod uses the claim. As in Kubernetes, the use begins when the pod is bound to a node, and ends when the pod
 * is deleted.
 */
function usesClaim(pod: Pod, claimName: string): boolean {
  return pod.spec?.nodeName !== undefined && claimNamesOf(pod).includes(claimName);
}

function waitsFor(object: PersistentVolume | PersistentVolumeClaim, finalizer: string): boolean {
  return isTerminating(object) && (object.metadata.finalizers ?? []).includes(finalizer);
}

/** A patch that removes the finalizer. It fails if somebody else has changed the object in the meantime. */
function without(object: PersistentVolume | PersistentVolumeClaim, finalizer: string): object {
  const { finalizers = [], resourceVersion, uid } = object.metadata;
  return { metadata: { uid, resourceVersion, finalizers: finalizers.filter((name) => name !== finalizer) } };
}

async function ignoreGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isKubeCode(error, "not-found")) throw error;
  }
}

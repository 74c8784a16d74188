import { join } from "node:path";
import { persistentVolumeKind, type PersistentVolume } from "../../../api/kubernetes/index.ts";
import { aborted, messageOf, type Clock, type Logger } from "../../../base/index.ts";
import { isKubeCode, type Informer, type KubeClient } from "../../../kube/index.ts";
import { isLocalVolume, localVolumePath } from "../../record/local-volumes.ts";
import { removeBelow } from "../place-below.ts";

export interface VolumeJanitorOptions {
  readonly client: KubeClient;
  readonly volumes: Informer<PersistentVolume>;
  readonly nodeName: string;
  /** The node's host root, in which the paths of volumes are looked up. */
  readonly hostRoot: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const retryMs = 5_000;

/**
 * Reclaims the volumes that the lab made on this node. If a volume with the reclaim policy Delete is released, the
 * janitor removes its directory and then its PersistentVolume.
 */
export class VolumeJanitor {
  readonly #options: VolumeJanitorOptions;
  readonly #deleting = new Set<string>();

  constructor(options: VolumeJanitorOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _subscription = this.#options.volumes.subscribe(({ type, object }) => {
      if (!this.#isOurs(object) || object.status?.phase !== "Released") return;
      void this.#reclaim(object, type === "delete", signal);
    });
    await aborted(signal);
  }

  /**
   * Whether this node must delete the volume's directory. A volume with the reclaim policy Retain keeps its directory,
   * even after its object is deleted.
   */
  #isOurs(volume: PersistentVolume): boolean {
    const [term] = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? [];
    const isHere = term?.matchExpressions?.[0]?.values?.includes(this.#options.nodeName) === true;
    return isHere && isLocalVolume(volume) && volume.spec?.persistentVolumeReclaimPolicy === "Delete";
  }

  async #reclaim(volume: PersistentVolume, isGone: boolean, signal: AbortSignal): Promise<void> {
    const { client, clock, hostRoot, log } = this.#options;
    const { name = "", uid = "" } = volume.metadata;
    if (this.#deleting.has(name)) return;
    this.#deleting.add(name);
    try {
      while (!signal.aborted) {
        try {
          // Follow no links: a pod with a hostPath volume may replace the directory by a link, or put links into it
          // during the removal.
          removeBelow({ root: hostRoot, path: join(hostRoot, localVolumePath(name)) });
          if (!isGone) await client.delete(persistentVolumeKind, name, undefined, { preconditions: { uid } });
          return;
        } catch (error) {
          if (isKubeCode(error, "not-found") || isKubeCode(error, "conflict")) return;
          log.warn("a volume could not be deleted", { volume: name, error: messageOf(error) });
          await clock.sleep(retryMs, signal).catch(() => undefined);
        }
      }
    } finally {
      this.#deleting.delete(name);
    }
  }
}

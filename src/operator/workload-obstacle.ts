import type { Clock } from "../base/index.ts";
import { keyOf, type UntypedObject } from "../api/index.ts";
import { podKind, type Pod } from "../api/kubernetes/index.ts";
import { installedKindOf } from "../install/index.ts";
import type { KubeClient } from "../kube/index.ts";
import {
  findPodObstacle,
  crashLog,
  podObstacle,
  refusedPods,
  type PodObstacle,
  type RefusedWorkload,
} from "../kube/obstacles/index.ts";

const lookEveryMs = 1_000;
/** Changing this annotation makes the workload's controller try again to create pods. */
const attemptAnnotation = "install.serin.dev/asked-again-at";

/**
 * Finds the reason why a workload's pods do not start. Reads the cluster at most once a second. Finds nothing if the
 * API server refuses the reads.
 */
export class WorkloadObstacles {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #workload: UntypedObject;
  readonly #replacesPodsBeforeMs: number;
  #lookedAtMs = -Infinity;
  #sinceMs = 0;
  #obstacle: PodObstacle | undefined;
  #hasAskedAgain = false;
  #hasReplaced = false;

  /** The workload's kind and name, such as `DaemonSet istio-system/ztunnel`. */
  get subject(): string {
    return `${this.#workload.kind ?? ""} ${keyOf(this.#workload)}`;
  }

  /** Deletes once the pods of the workload that were made before `replacesPodsBeforeMs` and cannot start. */
  constructor(workload: UntypedObject, client: KubeClient, clock: Clock, replacesPodsBeforeMs = -Infinity) {
    this.#workload = workload;
    this.#client = client;
    this.#clock = clock;
    this.#replacesPodsBeforeMs = replacesPodsBeforeMs;
  }

  /** Returns the current obstacle, and whether it has lasted so long that waiting no longer helps. */
  async look(): Promise<{ readonly obstacle: PodObstacle | undefined; readonly isFinal: boolean }> {
    const nowMs = this.#clock.steadyMs();
    if (nowMs - this.#lookedAtMs >= lookEveryMs) {
      this.#lookedAtMs = nowMs;
      const found = await this.#find().catch(() => undefined);
      if (kindOf(found) !== kindOf(this.#obstacle)) this.#sinceMs = nowMs;
      this.#obstacle = found;
    }
    const patienceMs = this.#obstacle?.patienceMs;
    return { obstacle: this.#obstacle, isFinal: patienceMs !== undefined && nowMs - this.#sinceMs >= patienceMs };
  }

  /**
   * Returns the last log lines of the crashed container, to append to a message, or the reason why they cannot be read.
   * Returns an empty string if no container crashed.
   */
  async crashLog(): Promise<string> {
    const crashed = this.#obstacle?.crashed;
    if (crashed === undefined) return "";
    return await crashLog(this.#client, this.#workload.metadata.namespace ?? "", crashed);
  }

  async #find(): Promise<PodObstacle | undefined> {
    const { spec } = this.#workload as { spec?: { selector?: { matchLabels?: Readonly<Record<string, string>> } } };
    const { namespace = "default" } = this.#workload.metadata;
    const labels = Object.entries(spec?.selector?.matchLabels ?? {});
    if (labels.length === 0) return undefined;
    const labelSelector = labels.map(([key, value]) => `${key}=${value}`).join(",");
    const { items } = await this.#client.list(podKind, { namespace, labelSelector });
    const found = await findPodObstacle(this.#client, items);
    if (found?.patienceMs !== undefined) await this.#replaceStuck(items);
    return found ?? (await this.#refusal(namespace));
  }

  /**
   * Deletes pods that an earlier installation left and that cannot start, because somebody may have removed the cause
   * since. A kubelet starts a new pod at once, but waits up to five minutes before it tries a failed container again.
   */
  async #replaceStuck(pods: readonly Pod[]): Promise<void> {
    if (this.#hasReplaced) return;
    this.#hasReplaced = true;
    for (const pod of pods) {
      const { name = "", namespace, uid, creationTimestamp = "", deletionTimestamp } = pod.metadata;
      // Creation times have whole seconds. A time that cannot be parsed never counts as older.
      const isOlder = Date.parse(creationTimestamp) + 1_000 <= this.#replacesPodsBeforeMs;
      const hasNode = pod.spec?.nodeName !== undefined;
      if (!isOlder || !hasNode || deletionTimestamp !== undefined || uid === undefined) continue;
      if (podObstacle([pod])?.patienceMs === undefined) continue;
      // Without the right to delete pods, the installation waits for these pods.
      await this.#client.delete(podKind, name, namespace, { preconditions: { uid } }).catch(() => undefined);
    }
  }

  async #refusal(namespace: string): Promise<PodObstacle | undefined> {
    const { kind, metadata } = this.#workload;
    const name = metadata.name ?? "";
    const found = await refusedPods(this.#client, { kind: kind as RefusedWorkload["kind"], name, namespace });
    if (found !== undefined) await this.#askAgain(name, namespace);
    return found;
  }

  /**
   * Makes the controller create pods at once by changing an annotation. Otherwise a controller whose pods are refused
   * waits up to a quarter of an hour, although the person who installs again may have removed the cause.
   */
  async #askAgain(name: string, namespace: string): Promise<void> {
    if (this.#hasAskedAgain) return;
    this.#hasAskedAgain = true;
    const annotations = { [attemptAnnotation]: new Date(this.#clock.nowMs()).toISOString() };
    await this.#client.patchMerge(installedKindOf(this.#workload), name, namespace, { metadata: { annotations } });
  }
}

/** Identifies an obstacle, without the counts and times in its text. */
function kindOf(obstacle: PodObstacle | undefined): string {
  return obstacle === undefined ? "" : `${obstacle.patienceMs ?? ""} ${obstacle.hint ?? ""}`;
}

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
/** The annotation that is changed so that the workload's controller tries again. */
const attemptAnnotation = "install.serin.dev/asked-again-at";

/**
 * Finds the reason why a workload's pods do not start. Looks at most once a second. Finds nothing if the cluster
 * refuses the requests.
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

  /** Pods of the workload that were made before `replacesPodsBeforeMs` and cannot start are deleted, once. */
  constructor(workload: UntypedObject, client: KubeClient, clock: Clock, replacesPodsBeforeMs = -Infinity) {
    this.#workload = workload;
    this.#client = client;
    this.#clock = clock;
    this.#replacesPodsBeforeMs = replacesPodsBeforeMs;
  }

  /** The current obstacle, and whether it has lasted so long that waiting no longer helps. */
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
   * The last log lines of the crashed container, to append to a message, or the reason why they cannot be read. Empty
   * if no container crashed.
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
   * A kubelet waits longer after each attempt to start a pod's container, up to five minutes. It tries a new pod at
   * once. So pods of an earlier installation are deleted, because somebody may have removed the cause after they
   * failed.
   */
  async #replaceStuck(pods: readonly Pod[]): Promise<void> {
    if (this.#hasReplaced) return;
    this.#hasReplaced = true;
    for (const pod of pods) {
      const { name = "", namespace, uid, creationTimestamp = "", deletionTimestamp } = pod.metadata;
      // Clusters report whole seconds. A time that cannot be parsed never counts as earlier.
      const isOlder = Date.parse(creationTimestamp) + 1_000 <= this.#replacesPodsBeforeMs;
      const hasNode = pod.spec?.nodeName !== undefined;
      if (!isOlder || !hasNode || deletionTimestamp !== undefined || uid === undefined) continue;
      if (podObstacle([pod])?.patienceMs === undefined) continue;
      // Without the right to delete pods, the installation just waits for these pods too.
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
   * A controller whose pods are refused waits longer after each attempt, up to a quarter of an hour. A person who
   * installs again may have removed the cause meanwhile. A change of an annotation makes the controller try at once.
   */
  async #askAgain(name: string, namespace: string): Promise<void> {
    if (this.#hasAskedAgain) return;
    this.#hasAskedAgain = true;
    const annotations = { [attemptAnnotation]: new Date(this.#clock.nowMs()).toISOString() };
    await this.#client.patchMerge(installedKindOf(this.#workload), name, namespace, { metadata: { annotations } });
  }
}

/** The identity of an obstacle, without the counts and times in its text. */
function kindOf(obstacle: PodObstacle | undefined): string {
  return obstacle === undefined ? "" : `${obstacle.patienceMs ?? ""} ${obstacle.hint ?? ""}`;
}

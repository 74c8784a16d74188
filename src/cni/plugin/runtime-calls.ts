import { isMirrorPod } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { Clock } from "../../base/index.ts";

/** The time in which a container runtime has read a changed configuration. */
const settleMs = 5_000;

/** What a watch has shown of a pod. */
export interface SeenPod {
  readonly key: string;
  readonly pod: Pod;
  readonly change: "appeared" | "changed" | "gone";
}

/** Notices that the container runtime starts pods without calling the plugin. */
export class RuntimeCalls {
  readonly #clock: Clock;
  /** The uids of pods that appeared without an address, when a runtime would have called the plugin for them. */
  readonly #awaited = new Set<string>();
  #isCalled = false;
  #missed: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A pod, as `namespace/name`, that was started without a call. Undefined once the runtime has called the plugin. */
  get missed(): string | undefined {
    return this.#missed;
  }

  /** Called when the runtime calls the plugin, for any command. */
  called(): void {
    this.#isCalled = true;
    this.#missed = undefined;
    this.#awaited.clear();
  }

  /**
   * Called for each change of a pod. `installedAtMs` is the steady-clock time since which the runtime can find the
   * plugin.
   */
  saw({ key, pod, change }: SeenPod, installedAtMs: number | undefined): void {
    const uid = pod.metadata.uid ?? "";
    if (change === "gone") {
      this.#awaited.delete(uid);
      return;
    }
    if (this.#isCalled || installedAtMs === undefined || needsNoCall(pod)) return;
    const hasAddress = (pod.status?.podIP ?? "") !== "";
    if (change === "appeared" && !hasAddress && this.#clock.steadyMs() - installedAtMs >= settleMs)
      this.#awaited.add(uid);
    else if (hasAddress && this.#awaited.delete(uid)) this.#missed ??= key;
  }
}

/**
 * Whether a pod may get an address without a call: it is on the node's network, or a kubelet has made its object again
 * for a static pod that runs already.
 */
function needsNoCall(pod: Pod): boolean {
  return pod.spec?.hostNetwork === true || isMirrorPod(pod);
}

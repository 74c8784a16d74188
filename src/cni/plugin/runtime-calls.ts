import { isMirrorPod } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { Clock } from "../../base/index.ts";

/** The time in milliseconds after which a container runtime has read a changed configuration. */
const settleMs = 5_000;

export interface SeenPod {
  readonly key: string;
  readonly pod: Pod;
  readonly change: "appeared" | "changed" | "gone";
}

/** Detects that the container runtime starts pods without calling the plugin. */
export class RuntimeCalls {
  readonly #clock: Clock;
  /**
   * The uids of pods that appeared without an address after the plugin was installed. The runtime should call the
   * plugin before these pods get an address.
   */
  readonly #awaited = new Set<string>();
  #isCalled = false;
  #missed: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The key (`namespace/name`) of a pod that was started without a call. It is undefined once the runtime has called
   * the plugin.
   */
  get missed(): string | undefined {
    return this.#missed;
  }

  /** Records a call of the plugin by the runtime, for any command. */
  called(): void {
    this.#isCalled = true;
    this.#missed = undefined;
    this.#awaited.clear();
  }

  /** Records a change of a pod. `installedAtMs` is the steady time from which the runtime can find the plugin. */
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
 * Whether a pod may get an address without a call. Either it is on the node's network, or it is a static pod that
 * already ran before its kubelet created its object again.
 */
function needsNoCall(pod: Pod): boolean {
  return pod.spec?.hostNetwork === true || isMirrorPod(pod);
}

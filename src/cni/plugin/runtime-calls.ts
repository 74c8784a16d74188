import { isMirrorPod } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { Clock } from "../../base/index.ts";

/** The time after which a container runtime has read a changed configuration. */
const settleMs = 5_000;

/** A change of a pod that a watch has reported. */
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
   * plugin before they get one.
   */
  readonly #awaited = new Set<string>();
  #isCalled = false;
  #missed: string | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The key (`namespace/name`) of a pod that was started without a call. Undefined once the runtime has called the
   * plugin.
   */
  get missed(): string | undefined {
    return this.#missed;
  }

  /** Call this whenever the runtime calls the plugin, for any command. */
  called(): void {
    this.#isCalled = true;
    this.#missed = undefined;
    this.#awaited.clear();
  }

  /**
   * Call this for each change of a pod. `installedAtMs` is the time from which the runtime can find the plugin, on the
   * steady clock.
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
 * Whether a pod may get an address without a call: it is on the node's network, or it is a static pod that already ran
 * before its kubelet created its object again.
 */
function needsNoCall(pod: Pod): boolean {
  return pod.spec?.hostNetwork === true || isMirrorPod(pod);
}

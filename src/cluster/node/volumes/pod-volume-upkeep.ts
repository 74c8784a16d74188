import { messageOf, type Clock } from "../../../base/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import type { PodVolumes, VolumeSources } from "./pod-volumes.ts";

const retryMs = 500;
const eventEveryMs = 10_000;

export interface PodVolumeUpkeepOptions {
  readonly volumes: Pick<PodVolumes, "prepare" | "renewAtMs">;
  readonly clock: Clock;
  readonly event: (note: EventNote) => void;
}

export interface VolumeState {
  /** Whether the pod's containers may run. */
  readonly ready: boolean;
  /** The delay until the next check if nothing changes before. Undefined means that no check is needed. */
  readonly againMs: number | undefined;
}

/** Prepares a pod's volumes: at the pod's start, after a change of their content, and when a token must be renewed. */
export class PodVolumeUpkeep {
  readonly #options: PodVolumeUpkeepOptions;
  #ready = false;
  #stale = false;
  #misses = 0;
  #eventAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PodVolumeUpkeepOptions) {
    this.#options = options;
  }

  /** Whether the volumes have been prepared once, so that containers may run. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Lets the next {@link look} prepare the volumes again, because one of their sources has changed. */
  changed(): void {
    this.#stale = true;
  }

  async look(sources: () => VolumeSources): Promise<VolumeState> {
    const { volumes, clock } = this.#options;
    const nowMs = clock.nowMs();
    const dueMs = volumes.renewAtMs;
    if (!this.#ready || this.#stale || (dueMs !== undefined && nowMs >= dueMs)) {
      this.#stale = false;
      try {
        await volumes.prepare(sources());
      } catch (error) {
        this.#stale = true;
        this.#logFault(error, nowMs);
        // If preparing fails, containers that already run keep their current volumes.
        return { ready: this.#ready, againMs: retryMs };
      }
      this.#ready = true;
      this.#misses = 0;
    }
    return { ready: true, againMs: volumes.renewAtMs === undefined ? undefined : volumes.renewAtMs - nowMs };
  }

  /**
   * Reports a failure as an event, at most once in {@link eventEveryMs}. It does not report the first failure, because
   * the sources of a pod's volumes may arrive shortly after the pod.
   */
  #logFault(error: unknown, nowMs: number): void {
    this.#misses += 1;
    if (this.#misses <= 1 || nowMs - this.#eventAtMs <= eventEveryMs) return;
    this.#eventAtMs = nowMs;
    this.#options.event({
      type: "Warning",
      reason: "FailedMount",
      message: `MountVolume.SetUp failed: ${messageOf(error)}`,
    });
  }
}

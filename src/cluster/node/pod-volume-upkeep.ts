import { messageOf, type Clock } from "../../base/index.ts";
import type { EventNote } from "../../kube/index.ts";
import type { PodVolumes, VolumeSources } from "./pod-volumes.ts";

const retryMs = 500;
const eventEveryMs = 10_000;

export interface PodVolumeUpkeepOptions {
  readonly volumes: Pick<PodVolumes, "prepare" | "renewAtMs">;
  readonly clock: Clock;
  readonly event: (note: EventNote) => void;
}

export interface VolumeState {
  /** Containers may run. */
  readonly ready: boolean;
  /** When to look again even if nothing changes; undefined for never. */
  readonly againMs: number | undefined;
}

/** When a pod's volumes are made: at first, again when their content has changed, and when a token is due. */
export class PodVolumeUpkeep {
  readonly #options: PodVolumeUpkeepOptions;
  #ready = false;
  #stale = false;
  #misses = 0;
  #eventAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PodVolumeUpkeepOptions) {
    this.#options = options;
  }

  /** Something that the volumes are made from has changed. */
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
        this.#tell(error, nowMs);
        // Containers that run keep what they have.
        return { ready: this.#ready, againMs: retryMs };
      }
      this.#ready = true;
      this.#misses = 0;
    }
    return { ready: true, againMs: volumes.renewAtMs === undefined ? undefined : volumes.renewAtMs - nowMs };
  }

  /** A pod may arrive a moment before its volumes' sources, so one miss is not worth an event. */
  #tell(error: unknown, nowMs: number): void {
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

import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { KubeConfig } from "../../kube/index.ts";
import type { ReleaseRunner } from "../release/release-runner.ts";
import type { ShadowPilots } from "../shadow/compare-proxies.ts";

/** Control planes end if nobody has asked them anything for this long, because they take about 200 MB. */
export const warmIdleMs = 120_000;

export interface WarmShadowsOptions {
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Identifies the settings with which a pair of control planes was started. A pair answers only questions with the same
 * key.
 */
export interface WarmKey {
  readonly kubeConfig: KubeConfig;
  /** The release, revision, mesh configuration and environment. */
  readonly text: string;
}

interface WarmPair {
  readonly key: WarmKey;
  readonly pilots: ShadowPilots;
  readonly runner: ReleaseRunner;
}

/** Keeps at most one pair of control planes for the next question. Only one question at a time may use it. */
export class WarmShadows {
  readonly #options: WarmShadowsOptions;
  #kept: WarmPair | undefined;
  #idle: Disposable | undefined;

  constructor(options: WarmShadowsOptions) {
    this.#options = options;
  }

  /**
   * Takes the kept pair if it has this key and still runs. Ends any other pair. The caller must pass the pair to `keep`
   * later, or end it.
   */
  async take({ kubeConfig, text }: WarmKey): Promise<WarmPair | undefined> {
    const kept = this.#kept;
    this.#kept = undefined;
    this.#idle?.[Symbol.dispose]();
    if (kept === undefined) return undefined;
    const { from, to } = kept.pilots;
    if (kept.key.kubeConfig === kubeConfig && kept.key.text === text && !from.hasEnded && !to.hasEnded) return kept;
    await this.end(kept);
    return undefined;
  }

  async keep(pair: WarmPair): Promise<void> {
    const before = this.#kept;
    this.#kept = pair;
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#options.clock.after(warmIdleMs, () => void this.close());
    if (before !== undefined) await this.end(before);
  }

  async end({ pilots: { from, to }, runner }: WarmPair): Promise<void> {
    await Promise.all([from.stop(), to.stop()]);
    await runner
      .close()
      .catch((error: unknown) =>
        this.#options.log.warn("files of a control plane could not be removed", { error: messageOf(error) }),
      );
  }

  async close(): Promise<void> {
    this.#idle?.[Symbol.dispose]();
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept !== undefined) await this.end(kept);
  }
}

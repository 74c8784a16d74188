import assert from "node:assert/strict";

/** A load that runs, such as a GatewayLoad or a PodLoad. */
export interface RunningLoad {
  readonly requests: number;
  readonly failures: readonly unknown[];
  begun(): Promise<void>;
  more(count: number): Promise<void>;
  stop(): Promise<void>;
}

const usualAnswersAfterwards = 20;

/**
 * Makes a change under constant load, waits for so many further answers, and ends the load. Throws if a request has
 * failed.
 */
export async function changeUnderLoad(
  load: RunningLoad,
  change: () => Promise<void>,
  answersAfterwards = usualAnswersAfterwards,
): Promise<void> {
  try {
    await load.begun();
    await change();
    await load.more(answersAfterwards);
  } finally {
    await load.stop();
  }
  assert.deepEqual(load.failures, [], `${load.failures.length} of ${load.requests} requests failed`);
}

// The state that the acts share: the lab, the load, the long connection, and the record of steps.
import type { Lab } from "./lab.ts";
import { difference, type Load, type LoadCounts } from "./load.ts";
import type { LongConnection } from "./long-connection.ts";
import type { PrintedSteps } from "./printed-steps.ts";
import type { LadderRow, StepRow, View } from "./view.ts";

export const revisions = { old: "1-18-0-alpha-0", new: "1-18-1" } as const;
export const versions = { old: "1.18.0-alpha.0", new: "1.18.1", rejected: "1.18.2", refusing: "1.18.3" } as const;
export const namespaces = { stable: "bookinfo", canary: "bookinfo-canary", gateway: "istio-system" } as const;

export interface Rollback {
  readonly cause: string;
  readonly seconds: number;
}

export interface Stage {
  lab: Lab | undefined;
  load: Load | undefined;
  connection: LongConnection | undefined;
  gatewayAddress: string;
  ladder: readonly LadderRow[];
  readonly rolledBack: Rollback[];
  /** The releases by their versions. Each promise resolves when the lab can run that release. */
  releases: ReadonlyMap<string, Promise<void>> | undefined;
  readonly printedSteps: PrintedSteps;
  /** Whether the load is small while the mesh changes, because the machine has other work too. */
  readonly calm: boolean;
  /** The number of workers of each data plane, in the old revision and in the others. */
  readonly workers: readonly [number, number] | undefined;
  /** Whether the lab may stay after the demo. Otherwise it ends with the demo's process, even after a crash. */
  readonly mayStay: boolean;
  readonly rows: StepRow[];
  readonly view: View;
  /** Aborts on Ctrl-C and on SIGTERM. */
  readonly signal: AbortSignal;
  note(text: string): void;
  /** Shows the progress of the running step beside it, if the output has room for that. */
  progress(text: string): void;
}

export interface Act {
  readonly name: string;
  play(stage: Stage): Promise<void>;
}

const noCounts: LoadCounts = { requests: 0, failed: 0, answers: {} };

/**
 * Plays the acts one after another, and counts the load's requests for the act during which they end. The first failure
 * ends the demo.
 */
export async function playActs(acts: readonly Act[], stage: Stage): Promise<void> {
  for (const act of acts) {
    const row = stage.rows.find(({ name }) => name === act.name);
    if (row === undefined) continue;
    const before = stage.load?.counts ?? noCounts;
    row.state = "running";
    row.startedMs = performance.now();
    stage.view.step(row);
    try {
      stage.signal.throwIfAborted();
      await act.play(stage);
      row.state = "done";
    } catch (error) {
      row.state = "failed";
      row.note = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      row.endedMs = performance.now();
      const counted = difference(stage.load?.counts ?? noCounts, before);
      row.requests = counted.requests;
      row.failed = counted.failed;
      stage.view.step(row);
    }
  }
}

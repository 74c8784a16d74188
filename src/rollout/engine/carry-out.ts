import { transientError } from "../../base/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { beginsStep, type Decision } from "../decide/index.ts";
import { groupName, type Rollout } from "./rollout-object.ts";
import type { RolloutWriter } from "./rollout-writer.ts";
import { failedWriteOf, failureText, isRace, tellsFailure } from "./round-failure.ts";
import { showPhase, type Round, type RoundServices } from "./round.ts";

export interface CarryOutTools {
  readonly services: RoundServices;
  readonly writer: RolloutWriter;
  /** The errors of failed writes, which the next round reports in the status. So they do not count as failed rounds. */
  readonly told: WeakSet<Error>;
}

/**
 * Stores the decision and then carries it out. After a crash between the two, the actions are repeated and not lost.
 */
export async function carryOut<Value extends Rollout>(
  { services, writer, told }: CarryOutTools,
  kind: KindDefinition<Value>,
  { key, raw, rollout, status }: Round,
  decision: Decision,
  journal: readonly JournalEntry[],
): Promise<void> {
  // A step may begin only if the other rollouts are as this engine remembers them. After the restore of a backup they
  // are not.
  if (beginsStep(status, decision.status) && !(await services.confirmsLead()))
    throw transientError("not-leading", "this engine may have lost its lease, so it begins no step");
  services.actions.fence();
  const { resourceVersion: readVersion = "" } = raw.metadata;
  if (await writer.ensureFinalizer(kind, raw, decision, journal)) services.board.memory.supersede(key, readVersion);
  await services.actions.recordCompletion(rollout, decision);
  if (services.board.memory.isDue(key, raw.status, decision)) {
    const { resourceVersion = "" } = raw.metadata;
    // Remember the write before it begins, because the response to a successful write may be lost.
    services.board.memory.rememberStored(key);
    await writer.writeStatus(kind, raw, decision.status);
    if (raw.metadata.resourceVersion !== resourceVersion) services.board.memory.supersede(key, resourceVersion);
  }
  services.board.table.stored(key);
  if (decision.actions.length > 0) {
    try {
      const report = await services.actions.perform(rollout, decision);
      services.board.memory.rememberUndo(key, report);
      services.board.memory.rememberDone(key, decision, services.clock.steadyMs());
    } catch (error) {
      if (!isRace(error))
        services.board.memory.rememberFailedWrite(
          key,
          failedWriteOf(failureText(error), decision),
          services.clock.steadyMs(),
        );
      if (error instanceof Error && decision.actions.some(tellsFailure)) told.add(error);
      throw error;
    }
  }
  if (decision.actions.some(({ type }) => type === "release")) {
    services.actions.fence();
    await writer.release(kind, raw);
  }
  showPhase(services.metrics, key, decision.status.phase);
  for (const partner of services.board.table.partners(key, groupName(rollout))) services.wake(partner);
}

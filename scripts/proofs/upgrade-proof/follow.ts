import type { KindDefinition } from "../../../src/api/index.ts";
import type { Canary, MeshUpgrade, RolloutPhase, RolloutStatus } from "../../../src/api/serin/index.ts";
import { followObject } from "../../lab/follow-object.ts";
import { seconds, type Proof } from "./proof.ts";

/** The finished steps that have been printed, so that they are not printed again. */
const printed = new Set<string>();
const ends: readonly RolloutPhase[] = ["Completed", "RolledBack", "Stuck"];

export interface FollowOptions {
  readonly namespace?: string;
  readonly timeoutMs: number;
  /** The phases that end the watch. If absent, the rollout's final phases. */
  readonly until?: readonly RolloutPhase[];
  /** A condition that also ends the watch. */
  readonly isEnough?: (status: RolloutStatus) => boolean;
}

/** Follows a rollout to its end, or to the wanted state, and prints each finished step. */
export async function follow<Value extends Canary | MeshUpgrade>(
  proof: Proof,
  kind: KindDefinition<Value>,
  name: string,
  options: FollowOptions,
): Promise<RolloutStatus> {
  const { namespace, timeoutMs, until = ends, isEnough = () => false } = options;
  const deadline = performance.now() + timeoutMs;
  let message = "";
  const followed = { kind, name, namespace, signal: proof.signal };
  return await followObject(proof.lab.api.client, followed, (object) => {
    const status = object?.status;
    if (status !== undefined) {
      for (const step of status.completedSteps) {
        const key = `${name} ${step.id} ${step.startedAt}`;
        if (!printed.has(key)) proof.note(stepText(step));
        printed.add(key);
      }
      message = `${status.phase}: ${status.message}`;
      if (until.includes(status.phase) || isEnough(status)) return status;
    }
    if (performance.now() > deadline)
      throw new Error(`${kind.kind} ${name} has not reached that in ${seconds(timeoutMs)}: ${message}`);
    return undefined;
  });
}

function stepText({ title, startedAt, endedAt, evidence }: RolloutStatus["completedSteps"][number]): string {
  return `${title} (${seconds(Date.parse(endedAt) - Date.parse(startedAt))})${evidence.length === 0 ? "" : `: ${evidence.join("; ")}`}`;
}

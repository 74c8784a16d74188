import type { RolloutStatus } from "../../../api/serin/index.ts";
import type { Decision, Step } from "../../decide/index.ts";
import type { Rollout } from "../../engine/rollout-object.ts";

export interface Decided {
  readonly key: string;
  readonly rollout: Rollout;
  readonly decision: Decision;
  readonly before: RolloutStatus;
  readonly steps: readonly Step[];
}

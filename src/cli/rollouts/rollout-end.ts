import { CommandEnd } from "../command-end.ts";

export const rolledBackExitCode = 3;

/** Ends the command with an exit code that reports the rollout's state. */
export class RolloutEnd extends CommandEnd {
  constructor(exitCode: number) {
    super("rollout-state", exitCode);
  }
}

import { CommandEnd } from "./command-end.ts";

/** Ends the command with the exit code that says where the rollout is. */
export class RolloutEnd extends CommandEnd {
  constructor(exitCode: number) {
    super("rollout-end", exitCode);
  }
}

import { SerinError } from "../base/index.ts";

/** Ends the command with the exit code that says where the rollout is; nothing has gone wrong with the command itself. */
export class RolloutEnd extends SerinError {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("user", "rollout-end", "");
    this.exitCode = exitCode;
  }
}

import { SerinError, type ErrorCode } from "../base/index.ts";

/**
 * Ends the command with an exit code that reports a finding. Prints no error, because the command itself has not
 * failed.
 */
export class CommandEnd extends SerinError {
  readonly exitCode: number;

  constructor(code: ErrorCode, exitCode: number) {
    super("user", code, "");
    this.exitCode = exitCode;
  }
}

import type { Environment, Logger, ShutdownController } from "../base/index.ts";

/** Everything outside the process that a role may use. A role uses no global state. */
export interface RoleContext {
  readonly args: readonly string[];
  readonly env: Environment;
  readonly log: Logger;
  readonly shutdown: ShutdownController;
  readonly release: Release;
}

export interface Release {
  readonly root: string;
  /** The program that this process runs, relative to the root: in `src/`, in `dist/`, or in a bundle of a checkout. */
  readonly entry: string;
  readonly version: string;
}

/** What the module of a role exports. `run` returns the exit code when the role has ended. */
export interface RoleModule {
  run(context: RoleContext): Promise<number>;
}

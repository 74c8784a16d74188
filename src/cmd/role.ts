import type { Environment, Logger, ShutdownController } from "../base/index.ts";

/** A process's access to the outside world. A role uses no global state. */
export interface RoleContext {
  /** The arguments after the role's name. */
  readonly args: readonly string[];
  readonly env: Environment;
  readonly log: Logger;
  readonly shutdown: ShutdownController;
  /** The release tree from which this process runs. */
  readonly release: Release;
}

export interface Release {
  /** Absolute path of the tree's root. */
  readonly root: string;
  /** The program that this process runs, relative to the root: in `src/`, in a bundle of a checkout, or in `dist/`. */
  readonly entry: string;
  /** The version that the release reports. */
  readonly version: string;
}

/** The function that a role's module exports. It runs until the role has ended, and returns the exit code. */
export interface RoleModule {
  run(context: RoleContext): Promise<number>;
}

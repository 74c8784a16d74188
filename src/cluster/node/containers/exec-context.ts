import type { ContainerNamespaces } from "./container-process.ts";
import type { ContainerRights } from "./starter.ts";

/** What a command needs to run in a container, beside the container's program. */
export interface ExecContext {
  readonly namespaces: ContainerNamespaces;
  /** The pid of the first process in the container's PID namespace. */
  readonly initPid: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly rights: ContainerRights;
}

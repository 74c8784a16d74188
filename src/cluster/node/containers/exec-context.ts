import type { ContainerNamespaces } from "./container-process.ts";
import type { ContainerRights } from "./starter.ts";

/** The surroundings in which a command runs beside a container's program. */
export interface ExecContext {
  readonly namespaces: ContainerNamespaces;
  /** First process of the container's PID namespace. */
  readonly initPid: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly rights: ContainerRights;
}

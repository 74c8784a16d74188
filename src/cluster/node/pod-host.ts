import type { EventNote } from "../../kube/index.ts";
import type { Pod, Volume } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { ImageCatalogue } from "../images/index.ts";
import type { EnvironmentSources } from "./container-environment.ts";
import type { PodSandbox } from "./pod-sandbox.ts";

/** What a container asks of the pod and node that it is on. */
export interface PodHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly images: ImageCatalogue;
  readonly directories: PodDirectories;
  /** Writable by all of the release's programs: their compiled sources. Undefined for none. */
  readonly compileCache: string | undefined;
  /** Uids of the lab's user namespace: 1, or many. */
  readonly uidCount: number;
  pod(): Pod;
  sandbox(): PodSandbox;
  podIp(): string;
  sources(): EnvironmentSources;
  volumePath(volume: Volume): string;
  /** Written into each container's /etc. */
  etcFiles(): Record<string, string>;
  event(note: EventNote): void;
  /** Something in a container changed: states, readiness. */
  changed(): void;
}

export interface PodDirectories {
  /** In the lab's tmpfs: states, pipes, secrets. */
  readonly memory: string;
  /** Below the node's host root: emptyDirs. */
  readonly disk: string;
  /** Below the node's host root: /var/log/pods/<namespace>_<name>_<uid>. */
  readonly logs: string;
}

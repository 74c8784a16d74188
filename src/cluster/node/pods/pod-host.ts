import type { EventNote } from "../../../kube/index.ts";
import type { Pod, Volume } from "../../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../../base/index.ts";
import type { ImageCatalogue, LabRelease } from "../../images/index.ts";
import type { EnvironmentSources } from "../containers/container-environment.ts";
import type { PlaceBelow } from "../place-below.ts";
import type { PodSandbox } from "./pod-sandbox.ts";

export interface CompiledCodeOfReleases {
  /** Returns the directory of compiled code for containers that run this release as this user, or undefined. */
  directoryFor(release: LabRelease, user: number): string | undefined;
}

/** What a container needs from its pod and its node. */
export interface PodHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly images: ImageCatalogue;
  readonly directories: PodDirectories;
  /** The compiled code of releases. Undefined if containers get none. */
  readonly compiledCode: CompiledCodeOfReleases | undefined;
  /** The environment variables that decide whether programs of a checkout run from sources or from a bundle. */
  readonly programEnvironment: Readonly<Record<string, string>>;
  /** The number of uids in the lab's user namespace: 1 or many. */
  readonly uidCount: number;
  pod(): Pod;
  sandbox(): PodSandbox;
  podIp(): string;
  sources(): EnvironmentSources;
  volumePlace(volume: Volume): PlaceBelow;
  etcFiles(): Record<string, string>;
  event(note: EventNote): void;
  /**
   * Stores the records of the pod's containers at once. If that fails, logs the failure and tries again at the pod's
   * next change.
   */
  save(): void;
  /** Reports a change in a container, such as its state or readiness. */
  changed(): void;
}

export interface PodDirectories {
  /** A directory in the lab's tmpfs, for states, pipes and secrets. */
  readonly memory: string;
  /** The root of the node's own disk. Pods with a `hostPath` volume can write anywhere below it. */
  readonly hostRoot: string;
  /** The directory for emptyDirs, below the node's host root. */
  readonly disk: string;
  /** The directory of logs below the node's host root: /var/log/pods/<namespace>_<name>_<uid>. */
  readonly logs: string;
}

import type { EventNote } from "../../../kube/index.ts";
import type { Pod, Volume } from "../../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../../base/index.ts";
import type { ImageCatalogue, LabRelease } from "../../images/index.ts";
import type { EnvironmentSources } from "../containers/container-environment.ts";
import type { PlaceBelow } from "../place-below.ts";
import type { PodSandbox } from "./pod-sandbox.ts";

export interface CompiledCodeOfReleases {
  /** The directory that containers of a release and a user read. Undefined if there is none. */
  directoryFor(release: LabRelease, user: number): string | undefined;
}

/** The functions of the pod and the node that a container uses. */
export interface PodHost {
  readonly clock: Clock;
  readonly log: Logger;
  readonly images: ImageCatalogue;
  readonly directories: PodDirectories;
  /** The compiled code of releases. Undefined means none. */
  readonly compiledCode: CompiledCodeOfReleases | undefined;
  /** The variables that choose the form in which programs of a checkout run. */
  readonly programEnvironment: Readonly<Record<string, string>>;
  /** The number of uids in the lab's user namespace: 1 or many. */
  readonly uidCount: number;
  pod(): Pod;
  sandbox(): PodSandbox;
  podIp(): string;
  sources(): EnvironmentSources;
  volumePlace(volume: Volume): PlaceBelow;
  /** The files for each container's /etc. */
  etcFiles(): Record<string, string>;
  event(note: EventNote): void;
  /** Stores the records of the pod's containers at once. A failure is logged, and the pod's next round tries again. */
  save(): void;
  /** Reports a change in a container, such as its state or readiness. */
  changed(): void;
}

export interface PodDirectories {
  /** A directory in the lab's tmpfs, for states, pipes and secrets. */
  readonly memory: string;
  /** The root of the node's own disk. Pods with a `hostPath` volume write anywhere below it. */
  readonly hostRoot: string;
  /** A directory below the node's host root, for emptyDirs. */
  readonly disk: string;
  /** The directory of logs below the node's host root: /var/log/pods/<namespace>_<name>_<uid>. */
  readonly logs: string;
}

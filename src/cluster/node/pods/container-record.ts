import type { ContainerState } from "../../../api/kubernetes/index.ts";
import type { ImageUser } from "../../images/index.ts";
import type { ProbeFindings } from "../probes/container-probes.ts";
import type { ProcessIdentity } from "../containers/container-process.ts";

/** The stored state of a container, with which a restarted node process continues. */
export interface ContainerRecord {
  readonly name: string;
  restartCount: number;
  containerId: string | undefined;
  imageId: string;
  /** The user of the image. A record of an earlier release has none. */
  runsAs?: ImageUser;
  state: ContainerState;
  lastState: ContainerState | undefined;
  /** The identity of the running process. */
  identity: ProcessIdentity | undefined;
  /**
   * Whether the running process has received the signal to stop. It receives the signal once, even if the node process
   * restarts meanwhile.
   */
  stopSignalled: boolean;
  /** The probe results of the running process. */
  probed: ProbeFindings | undefined;
}

/** The record of a container that has never run. */
export function newRecord(name: string, reason: string): ContainerRecord {
  return {
    name,
    restartCount: 0,
    containerId: undefined,
    imageId: "",
    state: { waiting: { reason } },
    lastState: undefined,
    identity: undefined,
    stopSignalled: false,
    probed: undefined,
  };
}

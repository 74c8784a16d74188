import type { ContainerState } from "../../../api/kubernetes/index.ts";
import type { ImageUser } from "../../images/index.ts";
import type { ProbeFindings } from "../probes/container-probes.ts";
import type { ProcessIdentity } from "../containers/container-process.ts";

/** The stored state of a container. A restarted process of the node continues with it. */
export interface ContainerRecord {
  readonly name: string;
  restartCount: number;
  containerId: string | undefined;
  imageId: string;
  /** The user that the image states. Absent in records of earlier releases. */
  runsAs?: ImageUser;
  state: ContainerState;
  lastState: ContainerState | undefined;
  /** The running process. Undefined if none runs. */
  identity: ProcessIdentity | undefined;
  /**
   * Whether the running process has received the signal to stop. It must receive the signal only once, even if the
   * node's process restarts in between.
   */
  stopSignalled: boolean;
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

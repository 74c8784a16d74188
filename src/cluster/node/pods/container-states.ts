import type { ContainerState } from "../../../api/kubernetes/index.ts";
import { messageOf, SerinError } from "../../../base/index.ts";

/** Reasons of a waiting container that must not be replaced by a back-off reason, because they say more. */
const keptReasons: ReadonlySet<string> = new Set([
  "ImagePullBackOff",
  "CrashLoopBackOff",
  "CreateContainerConfigError",
  "CreateContainerError",
]);

/** Whether the state already explains why the next run is delayed. */
export function explainsDelay({ waiting }: ContainerState): boolean {
  return waiting?.reason !== undefined && keptReasons.has(waiting.reason);
}

/** The state of a container whose image could not be pulled, during the delay before the next attempt. */
export function imagePullBackoff(image: string, problem: string): ContainerState {
  return {
    waiting: { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}": ${problem}` },
  };
}

/**
 * The state of a container that has ended, during the delay before its next run. `pod` has the form `name_namespace`.
 */
export function crashLoopBackoff(container: string, pod: string, delayMs: number): ContainerState {
  return {
    waiting: {
      reason: "CrashLoopBackOff",
      message: `back-off ${Math.round(delayMs / 1_000)}s restarting failed container=${container} pod=${pod}`,
    },
  };
}

/** The state of a container whose run could not begin. A user error means that its configuration is wrong. */
export function startFailure(error: unknown): ContainerState {
  const isConfiguration = error instanceof SerinError && error.kind === "user";
  return {
    waiting: {
      reason: isConfiguration ? "CreateContainerConfigError" : "CreateContainerError",
      message: messageOf(error),
    },
  };
}

export interface EndOfRun {
  readonly exitCode: number;
  /** Whether the run ended while no process of the node watched it. */
  readonly lost: boolean;
  /** The termination message of the program. Empty if there is none. */
  readonly message: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly containerId: string | undefined;
}

export function endedState(end: EndOfRun): ContainerState {
  const { exitCode, lost, startedAt, finishedAt, containerId } = end;
  const message = lost ? "the container ended while the node runtime was not running" : end.message;
  return {
    terminated: {
      exitCode,
      reason: lost ? "ContainerStatusUnknown" : exitCode === 0 ? "Completed" : "Error",
      ...(message === "" ? {} : { message }),
      startedAt,
      finishedAt,
      ...(containerId === undefined ? {} : { containerID: containerId }),
    },
  };
}

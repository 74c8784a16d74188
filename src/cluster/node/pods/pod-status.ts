import type { Container, ContainerState, ContainerStatus, Pod, PodCondition } from "../../../api/kubernetes/index.ts";
import { qosClassOf } from "../../schema/qos-class.ts";
import type { PodFailure } from "./pod-record.ts";

export type ContainerRole = "init" | "sidecar" | "main" | "ephemeral";

export interface ContainerView {
  readonly spec: Container;
  readonly role: ContainerRole;
  readonly state: ContainerState;
  readonly lastState: ContainerState | undefined;
  readonly restartCount: number;
  readonly containerId: string | undefined;
  readonly imageId: string;
  readonly started: boolean;
  readonly ready: boolean;
  /** Whether the container will not run again. */
  readonly done: boolean;
}

export interface PodView {
  readonly pod: Pod;
  readonly containers: readonly ContainerView[];
  readonly podIp: string | undefined;
  readonly hostIp: string;
  readonly startTime: string;
  readonly hasSandbox: boolean;
  /** The pid of the pod's first process. Undefined if the pod has no sandbox. */
  readonly initPid: number | undefined;
  /** Why the node ends the pod. Undefined if it does not. */
  readonly failure?: PodFailure | undefined;
  readonly now: string;
}

type PodStatus = NonNullable<Pod["status"]>;

const ourConditions = new Set(["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"]);

/** Computes the pod's status. Conditions that have not changed keep their times. */
export function podStatus(view: PodView): PodStatus {
  const { pod, containers, failure } = view;
  const phase = phaseOf(view);
  const status: PodStatus = {
    phase,
    ...(phase === "Failed" ? failure : {}),
    conditions: conditionsOf(view, phase),
    hostIP: view.hostIp,
    hostIPs: [{ ip: view.hostIp }],
    startTime: view.startTime,
    qosClass: pod.status?.qosClass ?? qosClassOf(pod.spec ?? {}),
    containerStatuses: containers.filter((container) => container.role === "main").map(containerStatus),
  };
  const inits = containers.filter((container) => container.role === "init" || container.role === "sidecar");
  if (inits.length > 0) status.initContainerStatuses = inits.map(containerStatus);
  const ephemeral = containers.filter((container) => container.role === "ephemeral");
  if (ephemeral.length > 0) status.ephemeralContainerStatuses = ephemeral.map(containerStatus);
  if (view.podIp !== undefined) {
    status.podIP = view.podIp;
    status.podIPs = [{ ip: view.podIp }];
  }
  return status;
}

function containerStatus(view: ContainerView): ContainerStatus {
  const status: ContainerStatus = {
    name: view.spec.name,
    ready: view.role === "init" ? view.state.terminated?.exitCode === 0 : view.ready,
    started: view.started,
    restartCount: view.restartCount,
    image: view.spec.image ?? "",
    imageID: view.imageId,
    state: view.state,
    lastState: view.lastState ?? {},
  };
  if (view.containerId !== undefined) status.containerID = view.containerId;
  return status;
}

/** The pod's phase. As with a kubelet, a pod has ended only when none of its containers is running. */
function phaseOf({ pod, containers, failure }: PodView): NonNullable<PodStatus["phase"]> {
  const mains = containers.filter((container) => container.role === "main");
  const inits = containers.filter((container) => container.role === "init");
  if (!containers.some(({ state }) => state.running !== undefined)) {
    if (failure !== undefined) return "Failed";
    if (inits.some((container) => container.done && container.state.terminated?.exitCode !== 0)) return "Failed";
    if (mains.length > 0 && mains.every((container) => container.done))
      return mains.every((container) => container.state.terminated?.exitCode === 0) ? "Succeeded" : "Failed";
  }
  if (pod.status?.phase === "Running") return "Running";
  const begun = mains.every(
    (container) =>
      container.state.running !== undefined || container.state.terminated !== undefined || container.restartCount > 0,
  );
  return begun && mains.length > 0 ? "Running" : "Pending";
}

function conditionsOf(view: PodView, phase: NonNullable<PodStatus["phase"]>): PodCondition[] {
  const { pod, containers, now } = view;
  const previous = pod.status?.conditions ?? [];
  const completed = phase === "Succeeded";
  const incomplete = containers.filter(
    (container) =>
      (container.role === "init" && container.state.terminated?.exitCode !== 0) ||
      (container.role === "sidecar" && !container.started),
  );
  const unready = containers.filter(
    (container) => (container.role === "main" || container.role === "sidecar") && !container.ready,
  );
  const gates = (pod.spec?.readinessGates ?? []).filter(
    (gate) => previous.find((condition) => condition.type === gate.conditionType)?.status !== "True",
  );
  const make = (type: string, isTrue: boolean, reason?: string, message?: string): PodCondition => {
    const status = isTrue ? "True" : "False";
    const before = previous.find((condition) => condition.type === type);
    return {
      type,
      status,
      lastTransitionTime:
        before?.status === status && before.lastTransitionTime !== undefined ? before.lastTransitionTime : now,
      ...(isTrue || reason === undefined ? {} : { reason }),
      ...(isTrue || message === undefined ? {} : { message }),
    };
  };
  const names = (list: readonly ContainerView[]): string =>
    `[${list.map((container) => container.spec.name).join(" ")}]`;
  const unreadyReason = completed ? "PodCompleted" : phase === "Failed" ? "PodFailed" : "ContainersNotReady";
  const unreadyMessage =
    completed || phase === "Failed" ? undefined : `containers with unready status: ${names(unready)}`;
  const containersReady = unready.length === 0 && phase === "Running";
  const gateMessage = gates
    .map(
      (gate) =>
        `corresponding condition of pod readiness gate "${gate.conditionType}" does not exist or is not "True".`,
    )
    .join(", ");
  return [
    ...previous.filter((condition) => !ourConditions.has(condition.type)).map(withoutNullTime),
    make("PodReadyToStartContainers", view.hasSandbox),
    make(
      "Initialized",
      incomplete.length === 0,
      "ContainersNotInitialized",
      `containers with incomplete status: ${names(incomplete)}`,
    ),
    make(
      "Ready",
      containersReady && gates.length === 0,
      containersReady ? "ReadinessGatesNotReady" : unreadyReason,
      containersReady ? gateMessage : unreadyMessage,
    ),
    make("ContainersReady", containersReady, unreadyReason, unreadyMessage),
  ];
}

/**
 * The condition without a null time. The server stores no nulls, so a condition with one would never equal the stored
 * one.
 */
function withoutNullTime({ lastProbeTime, ...condition }: PodCondition): PodCondition {
  return typeof lastProbeTime === "string" ? { ...condition, lastProbeTime } : condition;
}

import { transientError, userError, type Clock, type SerinError } from "../base/index.ts";
import { keyOf, type KubernetesObject, type UntypedObject } from "../api/index.ts";
import {
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  statefulSetKind,
  type CustomResourceDefinition,
  type DaemonSet,
  type Deployment,
  type StatefulSet,
} from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";
import type { PodObstacle } from "../kube/obstacles/index.ts";
import { WorkloadObstacles } from "./workload-obstacle.ts";

export interface WaitOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** The maximum time for one object to become ready. */
  readonly readyTimeoutMs: number;
  /**
   * Called with the object and what it lacks if a wait takes longer than a second, and again when this changes. Called
   * with `missing` undefined when such a wait ends.
   */
  readonly onWait?: (object: string, missing: string | undefined) => void;
  /**
   * The workloads of the same installation. The object may wait for one of these that cannot start, and its own status
   * does not show this.
   */
  readonly others?: readonly WorkloadObstacles[];
  /** Pods that were made before this time and cannot start are deleted. If absent, no pods are deleted. */
  readonly replacesPodsBeforeMs?: number;
  readonly signal?: AbortSignal;
}

/** The bounds of the pause between two reads. */
const minPollMs = 40;
const maxPollMs = 500;
/**
 * The pause as a fraction of the time waited so far. A result is noticed late by at most this fraction, and a slow
 * cluster gets few reads.
 */
const pollPart = 1 / 8;
const tellAfterMs = 1000;

/** The pause before the next read, in milliseconds. */
export function pollPauseMs(waitedMs: number): number {
  return Math.min(maxPollMs, Math.max(minPollMs, waitedMs * pollPart));
}

/** The time after which the installer looks for obstacles. It is longer than pods usually take to start. */
const lookAfterMs = 2_000;

/**
 * Waits until the object is ready. Throws a user error with the kubelet's reason as soon as its pods cannot start and
 * waiting would not help. Throws a transient error on timeout.
 */
export async function waitReady(object: UntypedObject, options: WaitOptions): Promise<void> {
  const { client, clock, signal } = options;
  const check = readinessCheck(object, client);
  if (check === undefined) return;
  const subject = `${object.kind ?? ""} ${keyOf(object)}`;
  const obstacles = isWorkload(object)
    ? new WorkloadObstacles(object, client, clock, options.replacesPodsBeforeMs)
    : undefined;
  const began = clock.steadyMs();
  let reported = "";
  for (;;) {
    const missing = await check();
    if (missing === undefined) {
      if (reported !== "") options.onWait?.(subject, undefined);
      return;
    }
    const waitedMs = clock.steadyMs() - began;
    const look = waitedMs > lookAfterMs ? await obstacles?.look() : undefined;
    const obstacle = look?.obstacle;
    const waitingFor = obstacle === undefined ? missing : `${missing}; ${obstacle.text}`;
    if (waitingFor !== reported && waitedMs > tellAfterMs) {
      reported = waitingFor;
      options.onWait?.(subject, waitingFor);
    }
    if (look?.isFinal === true && obstacles !== undefined) throw await cannotStart(obstacles, waitingFor, obstacle);
    if (waitedMs > lookAfterMs)
      for (const other of options.others ?? []) {
        const found = await other.look();
        if (found.isFinal) throw await cannotStart(other, found.obstacle?.text ?? "", found.obstacle);
      }
    if (waitedMs > options.readyTimeoutMs) {
      throw transientError(
        "not-ready",
        `${subject} was not ready after ${options.readyTimeoutMs / 1000} s: ${waitingFor}`,
        { hint: hintOf(object) },
      );
    }
    await clock.sleep(pollPauseMs(waitedMs), signal);
  }
}

async function cannotStart(
  obstacles: WorkloadObstacles,
  why: string,
  obstacle: PodObstacle | undefined,
): Promise<SerinError> {
  const hint = obstacle?.hint;
  const message = `${obstacles.subject} cannot become ready: ${why}${await obstacles.crashLog()}`;
  return userError("pods-do-not-start", message, hint === undefined ? {} : { hint });
}

function hintOf({ kind = "", metadata: { name = "", namespace } }: UntypedObject): string {
  if (namespace === undefined) return `kubectl describe ${kind.toLowerCase()} ${name}`;
  return `kubectl -n ${namespace} get pods; kubectl -n ${namespace} describe ${kind.toLowerCase()} ${name}`;
}

const workloadKinds: ReadonlySet<string> = new Set(["Deployment", "DaemonSet", "StatefulSet"]);

export function isWorkload({ kind = "" }: UntypedObject): boolean {
  return workloadKinds.has(kind);
}

/** Returns a function that reports what the object still lacks, or undefined for kinds that need no wait. */
export function readinessCheck(
  { kind, metadata }: UntypedObject,
  client: KubeClient,
): (() => Promise<string | undefined>) | undefined {
  const { name = "", namespace } = metadata;
  if (kind === "Deployment") return async () => deploymentMissing(await client.get(deploymentKind, name, namespace));
  if (kind === "DaemonSet") return async () => daemonSetMissing(await client.get(daemonSetKind, name, namespace));
  if (kind === "StatefulSet") return async () => statefulSetMissing(await client.get(statefulSetKind, name, namespace));
  if (kind === "CustomResourceDefinition") {
    return async () => {
      const found = await client.get(customResourceDefinitionKind, name);
      return found !== undefined && isEstablished(found) ? undefined : "the definition is not established";
    };
  }
  if (kind === "MutatingWebhookConfiguration") {
    return async () => {
      const found = await client.get(mutatingWebhookConfigurationKind, name);
      return found?.webhooks?.every(
        ({ clientConfig }) => clientConfig.caBundle !== undefined || clientConfig.url !== undefined,
      ) === true
        ? undefined
        : `${found?.metadata.labels?.["app"] === "serin-rollout" ? "the rollout engine" : "istiod"} has not written its certificate authority into it`;
    };
  }
  return undefined;
}

/** Whether the API server serves the CRD's kind, according to its status. */
export function isEstablished(definition: KubernetesObject): boolean {
  const { status } = definition as CustomResourceDefinition;
  return (
    status?.conditions?.some((condition) => condition["type"] === "Established" && condition["status"] === "True") ===
    true
  );
}

function deploymentMissing(deployment: Deployment | undefined): string | undefined {
  if (deployment === undefined) return "it does not exist";
  const { status = {}, spec, metadata } = deployment;
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return "its controller has not seen it yet";
  const wanted = spec?.replicas ?? 1;
  const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  const ready = Math.min(updatedReplicas, availableReplicas);
  if (ready < wanted) return `${ready} of ${wanted} replicas are available`;
  return replicas > updatedReplicas
    ? `${replicas - updatedReplicas} pod${replicas - updatedReplicas === 1 ? "" : "s"} of the previous version still serve`
    : undefined;
}

function daemonSetMissing(daemonSet: DaemonSet | undefined): string | undefined {
  const status = daemonSet?.status;
  if (daemonSet === undefined) return "it does not exist";
  if (status === undefined || (status.observedGeneration ?? 0) < (daemonSet.metadata.generation ?? 0))
    return "its controller has not seen it yet";
  const ready = Math.min(status.updatedNumberScheduled ?? 0, status.numberAvailable ?? 0);
  const wanted = status.desiredNumberScheduled;
  return ready >= wanted ? undefined : `${ready} of ${wanted} nodes run it`;
}

function statefulSetMissing(set: StatefulSet | undefined): string | undefined {
  if (set === undefined) return "it does not exist";
  const { status, spec, metadata } = set;
  if (status === undefined || (status.observedGeneration ?? 0) < (metadata.generation ?? 0))
    return "its controller has not seen it yet";
  const wanted = spec?.replicas ?? 1;
  const ready = status.readyReplicas ?? 0;
  return ready >= wanted ? undefined : `${ready} of ${wanted} replicas are ready`;
}

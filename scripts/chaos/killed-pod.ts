// Follows the pod of a killed process until no new connection can reach the dead process. A Service sends connections
// to a pod until its EndpointSlices change, which depends on the node, the API server and the controllers.
import { readFileSync } from "node:fs";
import { endpointSliceKind, podKind, type EndpointSlice, type Pod } from "../../src/api/kubernetes/index.ts";
import type { KubeClient } from "../../src/kube/index.ts";

export interface PodName {
  readonly name: string;
  readonly namespace: string;
}

/** The state of a pod before its process was killed. */
export interface PodBefore {
  readonly uid: string;
  readonly restarts: number;
  /** The pod's address, if a Service sends connections to it. */
  readonly listed: string | undefined;
}

/** Returns the pod of a process of the mesh. Returns undefined if the process has ended, or does not name a pod. */
export function podOfProcess(pid: number): PodName | undefined {
  try {
    return podOfEnvironment(readFileSync(`/proc/${pid}/environ`, "utf8"));
  } catch {
    return undefined;
  }
}

export function podOfEnvironment(environment: string): PodName | undefined {
  const variables = new Map(environment.split("\0").map((line) => [line.split("=", 1)[0], line.split("=")[1]]));
  const [name, namespace] = [variables.get("POD_NAME"), variables.get("POD_NAMESPACE")];
  return name === undefined || namespace === undefined ? undefined : { name, namespace };
}

export async function podBefore(client: KubeClient, { name, namespace }: PodName): Promise<PodBefore> {
  const [pod, { items }] = await Promise.all([
    client.get(podKind, name, namespace),
    client.list(endpointSliceKind, { namespace }),
  ]);
  if (pod === undefined) throw new Error(`pod ${name} no longer exists`);
  const { uid = "" } = pod.metadata;
  const address = pod.status?.podIP;
  const listed = address !== undefined && isListed(address, items) ? address : undefined;
  return { uid, restarts: restartsOf(pod), listed };
}

/** Returns how the pod recovered, as text. Returns undefined while new connections may still reach the dead process. */
export async function afterKill(
  client: KubeClient,
  { name, namespace }: PodName,
  before: PodBefore,
): Promise<string | undefined> {
  const [pod, { items }] = await Promise.all([
    client.get(podKind, name, namespace),
    before.listed === undefined ? { items: [] } : client.list(endpointSliceKind, { namespace }),
  ]);
  return recovery(before, pod, items);
}

export function recovery(
  { uid, restarts, listed }: PodBefore,
  pod: Pod | undefined,
  slices: readonly EndpointSlice[],
): string | undefined {
  if (pod?.metadata.uid !== uid) return "is gone";
  if (listed !== undefined && !isListed(listed, slices)) return "gets no new connections";
  const isReady = pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  return restartsOf(pod) > restarts && isReady ? "is ready again" : undefined;
}

function restartsOf({ status }: Pod): number {
  const { containerStatuses = [], initContainerStatuses = [] } = status ?? {};
  return [...containerStatuses, ...initContainerStatuses].reduce((sum, { restartCount }) => sum + restartCount, 0);
}

function isListed(address: string, slices: readonly EndpointSlice[]): boolean {
  return slices.some(({ endpoints }) =>
    (endpoints ?? []).some(({ addresses, conditions }) => addresses.includes(address) && conditions?.ready !== false),
  );
}

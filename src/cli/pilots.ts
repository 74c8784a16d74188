import { messageOf, transientError } from "../base/index.ts";
import type { ConnectedProxy } from "../api/serin/index.ts";
import { podKind, type Pod } from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";

export interface Pilot {
  readonly pod: string;
  readonly namespace: string;
  readonly revision: string;
}

/** The running pods of every control plane, by their label. */
export async function listPilots(client: KubeClient): Promise<Pilot[]> {
  const { items } = await client.list(podKind, { labelSelector: "app=istiod" });
  return items.filter(isRunning).map(({ metadata }) => ({
    pod: metadata.name ?? "",
    namespace: metadata.namespace ?? "",
    revision: metadata.labels?.["istio.io/rev"] ?? "default",
  }));
}

function isRunning(pod: Pod): boolean {
  return pod.status?.phase === "Running" && pod.metadata.deletionTimestamp === undefined;
}

/** GET of a pilot's port through the API server. */
export async function askPilot(client: KubeClient, pilot: Pilot, port: number, path: string): Promise<string> {
  const answer = await client.raw("GET", `/api/v1/namespaces/${pilot.namespace}/pods/${pilot.pod}:${port}/proxy${path}`, { accept: "*/*" }).catch((cause: unknown) => {
    throw transientError("pilot-unreachable", `${pilot.pod} does not answer on port ${port}: ${messageOf(cause)}`, { cause });
  });
  if (answer.status !== 200) throw transientError("pilot-unreachable", `${pilot.pod} answered ${answer.status} for ${path}: ${answer.text.slice(0, 200)}`);
  return answer.text;
}

export async function listProxies(client: KubeClient, pilot: Pilot): Promise<readonly ConnectedProxy[]> {
  return JSON.parse(await askPilot(client, pilot, 8080, "/debug/serin/proxies")) as readonly ConnectedProxy[];
}

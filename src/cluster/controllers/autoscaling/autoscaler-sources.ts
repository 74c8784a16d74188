import type { HorizontalPodAutoscaler, Pod } from "../../../api/kubernetes/index.ts";
import { ownField, transientError } from "../../../base/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { MeasuredPod } from "./autoscaler-usage.ts";

/** The `scale` subresource of an autoscaler's target. */
export interface TargetScale {
  readonly path: string;
  readonly replicas: number;
  readonly selector: string;
}

type TargetReference = NonNullable<HorizontalPodAutoscaler["spec"]>["scaleTargetRef"];

interface Status {
  readonly message?: string;
}

/** The plural names of the built-in kinds with a `scale` subresource. */
const builtInPlurals: Readonly<Record<string, string>> = {
  Deployment: "deployments",
  ReplicaSet: "replicasets",
  ReplicationController: "replicationcontrollers",
  StatefulSet: "statefulsets",
};

/** Reads the target's scale. Throws a transient error with the API server's message. */
export async function readScale(client: KubeClient, namespace: string, target: TargetReference): Promise<TargetScale> {
  const { apiVersion = "apps/v1", kind, name } = target;
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = ownField(builtInPlurals, kind) ?? (await pluralOf(client, root, kind));
  const path = `${root}/namespaces/${namespace}/${plural}/${name}/scale`;
  const { spec, status } = (await read(client, path)) as {
    spec?: { replicas?: number };
    status?: { selector?: string };
  };
  return { path, replicas: spec?.replicas ?? 0, selector: status?.selector ?? "" };
}

export async function writeScale(client: KubeClient, { path }: TargetScale, replicas: number): Promise<void> {
  const answer = await client.raw("PATCH", path, {
    body: { spec: { replicas } },
    contentType: "application/merge-patch+json",
  });
  if (answer.status >= 300) throw refused(answer.text);
}

export async function readPods(client: KubeClient, namespace: string, selector: string): Promise<Pod[]> {
  const list = await read(client, `/api/v1/namespaces/${namespace}/pods?${query(selector)}`);
  return (list as { items?: Pod[] }).items ?? [];
}

/** Reads the current resource use of the pods from the metrics API, by pod name. */
export async function readUsage(
  client: KubeClient,
  namespace: string,
  selector: string,
): Promise<Map<string, MeasuredPod>> {
  const list = await read(client, `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods?${query(selector)}`);
  const { items = [] } = list as {
    items?: {
      metadata: { name: string };
      timestamp: string;
      window: string;
      containers: MeasuredPod["containers"];
    }[];
  };
  return new Map(
    items.map(({ metadata, timestamp, window, containers }) => [
      metadata.name,
      { atMs: Date.parse(timestamp), windowMs: Number.parseFloat(window) * 1_000, containers },
    ]),
  );
}

function query(labelSelector: string): string {
  return new URLSearchParams({ labelSelector }).toString();
}

async function pluralOf(client: KubeClient, root: string, kind: string): Promise<string> {
  const { resources = [] } = (await read(client, root)) as { resources?: { name: string; kind: string }[] };
  const found = resources.find((resource) => resource.kind === kind && !resource.name.includes("/"));
  if (found === undefined) throw transientError("object-missing", `no matches for kind "${kind}"`);
  return found.name;
}

async function read(client: KubeClient, path: string): Promise<unknown> {
  const answer = await client.raw("GET", path);
  if (answer.status >= 300) throw refused(answer.text);
  return JSON.parse(answer.text);
}

function refused(text: string): Error {
  let message = text;
  try {
    message = (JSON.parse(text) as Status).message ?? text;
  } catch {
    // The answer is not a Status, so the error quotes its text.
  }
  return transientError("object-missing", message);
}

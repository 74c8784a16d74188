import { transientError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export interface PodAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly ip: string;
  readonly port: number;
}

/**
 * GET of a pod's port. Fails with a transient error where the pod cannot be asked; any status is an answer. The body of a status 200
 * is given to `read`, where there is one, instead of being made a text: its bytes are others' once `read` has returned.
 */
export type AskPod = (address: PodAddress, path: string, signal: AbortSignal, read?: (body: Buffer) => void) => Promise<PodAnswer>;

export interface PodAnswer {
  readonly status: number;
  readonly text: string;
}

/** Through the API server, which takes `get` on `pods/proxy`: for a server outside of the cluster. */
export function askPodByApiServer(client: KubeClient): AskPod {
  return async ({ namespace, pod, port }, path, signal, read) => {
    const answer = await client.raw("GET", `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy${path}`, { accept: "*/*", signal });
    if (answer.status === 403) throw transientError("forbidden", `pods of ${namespace} may not be asked through the API server: it takes "get" on pods/proxy`);
    if (read === undefined || answer.status !== 200) return answer;
    read(Buffer.from(answer.text));
    return { status: answer.status, text: "" };
  };
}

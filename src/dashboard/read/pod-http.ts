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
export type AskPod = (
  address: PodAddress,
  path: string,
  signal: AbortSignal,
  read?: (body: Buffer) => void,
) => Promise<PodAnswer>;

export interface PodAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * Throws where a path is none that a pod is asked for. Who may start a pod writes it (`prometheus.io/path`), and it is asked for with the server's
 * rights: it must lead to that pod and nowhere else, whoever on the way takes `..` for the folder above.
 */
export function checkPath(path: string): void {
  const [way = ""] = path.split(/[?#]/);
  if (
    /^\/[\x21-\x7e]*$/.test(path) &&
    !way
      .replaceAll(/%2e/gi, ".")
      .split(/[/\\]|%2f|%5c/i)
      .includes("..")
  )
    return;
  throw transientError("pod-unreachable", `${JSON.stringify(path.slice(0, 100))} is no path of a request`);
}

/** Through the API server, which takes `get` on `pods/proxy`: for a server outside of the cluster. */
export function askPodByApiServer(client: KubeClient): AskPod {
  return async ({ namespace, pod, port }, path, signal, read) => {
    checkPath(path);
    const answer = await client.raw("GET", `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy${path}`, {
      accept: "*/*",
      signal,
    });
    if (answer.status === 403)
      throw transientError(
        "forbidden",
        `pods of ${namespace} may not be asked through the API server: it takes "get" on pods/proxy`,
      );
    if (read === undefined || answer.status !== 200) return answer;
    read(Buffer.from(answer.text));
    return { status: answer.status, text: "" };
  };
}

import { transientError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export interface PodAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly ip: string;
  readonly port: number;
}

/**
 * Sends a GET to a port of a pod. Throws a transient error if the pod cannot be reached, but returns an answer of any
 * status. With `read`, passes the body of a status 200 to it instead of making a text. The bytes of that body are
 * reused when `read` has returned.
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
 * Throws for a path that must not be requested from a pod. Anybody who may start a pod writes the path
 * (`prometheus.io/path`), and the server requests it with its own permissions. So the path must lead to that pod only,
 * even if a proxy on the way resolves `..`.
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
  throw transientError("pod-unreachable", `${JSON.stringify(path.slice(0, 100))} is not the path of a request`);
}

/** Connects through the API server, for a server outside the cluster. It needs `get` on `pods/proxy`. */
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
        `pods of ${namespace} may not be asked through the API server: you need "get" on pods/proxy`,
      );
    if (read === undefined || answer.status !== 200) return answer;
    read(Buffer.from(answer.text));
    return { status: answer.status, text: "" };
  };
}

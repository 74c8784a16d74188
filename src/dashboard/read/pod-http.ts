import { transientError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export interface PodAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly ip: string;
  readonly port: number;
}

/**
 * Sends a GET to a port of a pod. Throws a transient error if the pod cannot be reached. Returns an answer of any
 * status. If `read` is given, it gets the body of a 200 instead of a text. The bytes are reused after `read` has
 * returned.
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
 * Throws for a path that the server must not request from a pod. Anybody who may start a pod writes such a path
 * (`prometheus.io/path`), and the server requests it with its own rights. So the path must lead to no other pod, even
 * if a proxy on the way resolves `..`.
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

/** Connects through the API server, which works outside the cluster. Needs `get` on `pods/proxy`. */
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

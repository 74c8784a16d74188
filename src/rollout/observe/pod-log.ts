import { errorOfStatus, podLogPath, type KubeClient } from "../../kube/index.ts";

/**
 * The time limit of reading a log. The API server fetches a log from the node's kubelet. A kubelet that does not answer
 * must not delay the engine's round, in which people's orders wait.
 */
const limitMs = 5_000;

/** Reads a pod's log. If the node does not answer, the error says so. */
export async function readPodLog(
  client: KubeClient,
  pod: { readonly namespace: string; readonly name: string; readonly node?: string | undefined },
  parameters: Readonly<Record<string, string>>,
  signal: AbortSignal = AbortSignal.timeout(limitMs),
): Promise<string> {
  const { namespace, name, node } = pod;
  const path = podLogPath(pod, parameters);
  try {
    const { status, text } = await client.raw("GET", path, { accept: "*/*", signal });
    if (status !== 200)
      throw errorOfStatus({ verb: "read", object: `the log of pod ${namespace}/${name}` }, status, text);
    return text;
  } catch (error) {
    if (!signal.aborted) throw error;
    const where = node === undefined ? "its node" : `node ${node}`;
    throw new Error(`the log of pod ${namespace}/${name} cannot be read: the kubelet of ${where} does not answer`, {
      cause: error,
    });
  }
}

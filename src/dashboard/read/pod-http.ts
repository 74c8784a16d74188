import { Agent, request, type IncomingMessage } from "node:http";
import { messageOf, transientError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export interface PodAddress {
  readonly namespace: string;
  readonly pod: string;
  readonly ip: string;
  readonly port: number;
}

/** GET of a pod's port. Fails with a transient error where the pod cannot be asked; any status is an answer. */
export type AskPod = (address: PodAddress, path: string, signal: AbortSignal, headers?: Readonly<Record<string, string>>) => Promise<PodAnswer>;

export interface PodAnswer {
  readonly status: number;
  readonly text: string;
  /** The same as bytes, as they came, where no text has to be made of them. */
  readonly parts?: readonly Buffer[];
}

const maxAnswerBytes = 16 << 20;
/** Connections that are kept open to pods that are asked every second. */
const maxIdleConnections = 1024;

/** Straight to the pod's address: for a server within the cluster. Answers are read as Latin-1 unless they say otherwise. */
export function askPodDirectly(): { readonly ask: AskPod; close(): void } {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: maxIdleConnections });
  const ask: AskPod = async ({ ip, port }, path, signal, headers = {}) => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request({ host: ip, port, path, headers, agent, signal }, resolve);
      outgoing.on("error", (cause) => reject(transientError("pod-unreachable", `${ip}:${port} does not answer: ${messageOf(cause)}`, { cause })));
      outgoing.end();
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxAnswerBytes) {
        response.destroy();
        throw transientError("answer-too-long", `${ip}:${port} answers more than ${maxAnswerBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return {
      status: response.statusCode ?? 0,
      parts: chunks,
      get text() {
        return Buffer.concat(chunks, size).toString();
      },
    };
  };
  return { ask, close: () => agent.destroy() };
}

/** Through the API server, which takes `get` on `pods/proxy`: for a server outside of the cluster. */
export function askPodByApiServer(client: KubeClient): AskPod {
  return async ({ namespace, pod, port }, path, signal) => {
    const answer = await client.raw("GET", `/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy${path}`, { accept: "*/*", signal });
    if (answer.status === 403) throw transientError("forbidden", `pods of ${namespace} may not be asked through the API server: it takes "get" on pods/proxy`);
    return answer;
  };
}

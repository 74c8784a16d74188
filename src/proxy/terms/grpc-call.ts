import type { CallCluster, ClusterAnswer } from "../terms/call-cluster.ts";

/** A gRPC service behind a cluster. */
export interface GrpcTarget {
  readonly cluster: string;
  readonly authority: string;
  readonly timeoutMs: number;
  readonly initialMetadata: readonly (readonly [name: string, value: string])[];
  readonly callCluster: CallCluster;
}

const maxAnswerBytes = 4 * 1024 * 1024;
const prefixBytes = 5;

/**
 * Calls a method with one message, and returns the one of the answer. Rejects with the result of `failed` if the answer
 * has none.
 */
export async function callGrpc(
  target: GrpcTarget,
  path: string,
  message: Uint8Array,
  signal: AbortSignal,
  failed: (answer: string) => Error,
): Promise<Uint8Array> {
  const body = Buffer.alloc(prefixBytes + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, prefixBytes);
  const { cluster, authority, timeoutMs, initialMetadata, callCluster } = target;
  const answer = await callCluster(
    {
      cluster,
      protocol: "http2",
      method: "POST",
      path,
      authority,
      headers: [
        ["content-type", "application/grpc"],
        ["te", "trailers"],
        ["grpc-timeout", `${Math.ceil(timeoutMs)}m`],
        ...initialMetadata,
      ],
      body,
      timeoutMs,
      maxAnswerBytes,
    },
    signal,
  );
  const status = answer.headers.find(([name]) => name === "grpc-status")?.[1];
  if (answer.status !== 200 || status !== "0" || !isOneMessage(answer))
    throw failed(`HTTP ${answer.status}, gRPC ${status ?? "nothing"}`);
  return answer.body.subarray(prefixBytes);
}

/** Whether the body is one whole message that is not compressed. */
function isOneMessage({ body }: ClusterAnswer): boolean {
  return body.length >= prefixBytes && body.length === prefixBytes + body.readUInt32BE(1) && body[0] === 0;
}

import type { CallCluster, ClusterAnswer } from "./call-cluster.ts";

export interface GrpcTarget {
  readonly cluster: string;
  readonly authority: string;
  readonly timeoutMs: number;
  readonly initialMetadata: readonly (readonly [name: string, value: string])[];
  readonly callCluster: CallCluster;
}

/** The HTTP status for each gRPC status (google.rpc.Code), by its number. */
const httpStatuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

export function httpStatusOfGrpc(status: number): number {
  return httpStatuses[status] ?? 500;
}

export function isGrpcContentType(value: string): boolean {
  return (
    value.startsWith("application/grpc") &&
    (value.length === 16 || value.charCodeAt(16) === 43 || value.charCodeAt(16) === 59)
  );
}

/**
 * The status by which an endpoint is judged after a response. As in Envoy, an error of gRPC counts only if the response
 * has no body, so that its head contains `grpcStatus`. Other gRPC responses show their status only at their end.
 */
export function judgedStatus(status: number, grpcStatus: string | undefined): number {
  return grpcStatus === undefined ? status : httpStatusOfGrpc(Number(grpcStatus));
}

const maxAnswerBytes = 4 * 1024 * 1024;
/** The size of the prefix of each message: one byte with flags and four bytes with the length. */
export const grpcPrefixBytes = 5;
const lengthAt = 1;

export function grpcFrame(message: Uint8Array, flags = 0): Buffer {
  const framed = Buffer.allocUnsafe(grpcPrefixBytes + message.length);
  framed[0] = flags;
  framed.writeUInt32BE(message.length, lengthAt);
  framed.set(message, grpcPrefixBytes);
  return framed;
}

/** Reads the prefix of a message. It must have arrived completely. */
export function grpcPrefix(framed: Buffer): { readonly isPlain: boolean; readonly length: number } {
  return { isPlain: framed[0] === 0, length: framed.readUInt32BE(lengthAt) };
}

/**
 * Calls a gRPC method with one message, and returns the one message of the response. Rejects with the result of
 * `failed` if the response contains none.
 */
export async function callGrpc(
  target: GrpcTarget,
  path: string,
  message: Uint8Array,
  signal: AbortSignal,
  failed: (answer: string) => Error,
): Promise<Uint8Array> {
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
      body: grpcFrame(message),
      timeoutMs,
      maxAnswerBytes,
    },
    signal,
  );
  const status = answer.headers.find(([name]) => name === "grpc-status")?.[1];
  if (answer.status !== 200 || status !== "0" || !isOneMessage(answer))
    throw failed(`HTTP ${answer.status}, gRPC ${status ?? "nothing"}`);
  return answer.body.subarray(grpcPrefixBytes);
}

/** Whether the body is exactly one message that is not compressed. */
function isOneMessage({ body }: ClusterAnswer): boolean {
  if (body.length < grpcPrefixBytes) return false;
  const { isPlain, length } = grpcPrefix(body);
  return isPlain && body.length === grpcPrefixBytes + length;
}

import type { Clock } from "../../../base/index.ts";
import { errorCode } from "../../../wire/http2/index.ts";
import type { CallSender } from "./call-sender.ts";
import { acceptedEncodings, decompressionOf } from "./decompress.ts";
import { GrpcCall, type CallOwner } from "./grpc-call.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
import { isGrpc, readRequestHead, requestFault, type RequestHead } from "./request-head.ts";

export interface CalledServer {
  readonly clock: Clock;
  readonly maxRequestBytes: number;
  /** The method for calls of the path. Undefined if the server has none. */
  method(path: string): ((call: GrpcCall) => void) | undefined;
}

export interface OpenedStream {
  readonly id: number;
  /** The request's header fields, names and values in turn. */
  readonly fields: readonly string[];
  readonly endStream: boolean;
}

/**
 * Makes the stream a call and starts its method, or ends it with the reason why the server refuses it. A request that
 * breaks HTTP/2's rules for heads (RFC 9113, section 8.3) becomes no call: its stream is reset.
 */
export function openCall(
  connection: CallOwner & { readonly sender: CallSender },
  server: CalledServer,
  { id, fields, endStream }: OpenedStream,
): void {
  const { session, sender } = connection;
  if (requestFault(fields) !== undefined) {
    session.refuse(id, errorCode.protocolError);
    return;
  }
  const head = readRequestHead(fields);
  const { maxRequestBytes, clock } = server;
  const decompress = decompressionOf(head.encoding, maxRequestBytes);
  const call = new GrpcCall(connection, {
    id,
    fields,
    head,
    maxRequestBytes,
    decompress: decompress === "none" ? undefined : decompress,
  });
  call.remoteEnded = endStream;
  session.adopt(call);
  if (!call.countOrEnd()) return;
  const method = server.method(head.path);
  const refusal = refusalOf(head, { hasMethod: method !== undefined, decompress });
  if (refusal === undefined) {
    const end = (): void => call.end(grpcStatus.deadlineExceeded, "the call's deadline has passed");
    if (head.timeoutMs !== undefined) call.deadline = clock.after(head.timeoutMs, end);
    method?.(call);
  } else if (refusal.httpStatus === undefined) call.end(refusal.status, refusal.message);
  else sender.sendLast(call, [":status", refusal.httpStatus]);
}

/** Why a call is not started: a status of gRPC, or one of HTTP if the request is not gRPC. */
type CallRefusal =
  | { readonly httpStatus: "405" | "415" }
  | { readonly httpStatus?: undefined; readonly status: GrpcStatus; readonly message: string };

/** Why no call can start with this head (gRPC over HTTP/2, "Requests"). Undefined if a call can start. */
function refusalOf(
  head: RequestHead,
  { hasMethod, decompress }: { readonly hasMethod: boolean; readonly decompress: ReturnType<typeof decompressionOf> },
): CallRefusal | undefined {
  if (head.method !== "POST") return { httpStatus: "405" };
  if (!isGrpc(head.contentType)) return { httpStatus: "415" };
  const { unimplemented, internal } = grpcStatus;
  if (!hasMethod) return { status: unimplemented, message: `the server does not have the method ${head.path}` };
  if (decompress === undefined)
    return {
      status: unimplemented,
      message: `requests may be compressed by ${acceptedEncodings}, not by ${head.encoding}`,
    };
  if (Number.isNaN(head.timeoutMs))
    return { status: internal, message: "grpc-timeout must be 1 to 8 digits, followed by one of H, M, S, m, u, n" };
  return undefined;
}

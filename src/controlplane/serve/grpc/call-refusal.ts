import { acceptedEncodings, type decompressionOf } from "./decompress.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
import { isGrpc, type RequestHead } from "./request-head.ts";

/** Why a call is not started: the status of gRPC, or that of HTTP if the request is not gRPC. */
export type CallRefusal =
  | { readonly httpStatus: "405" | "415" }
  | { readonly httpStatus?: undefined; readonly status: GrpcStatus; readonly message: string };

/** Decides by its head whether a call can start (gRPC over HTTP/2, "Requests"). Undefined if it can. */
export function refusalOf(
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

import type { SerinError } from "../../../base/index.ts";
import type { GrpcCall } from "./grpc-call.ts";
import type { GrpcMethod } from "./grpc-server.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";

/**
 * A method with one request and one response. `statusOf` converts rejections of `answer`, and requests that cannot be
 * decoded, into a status.
 */
export function unaryMethod(
  answer: (request: Buffer, call: GrpcCall) => Promise<Buffer>,
  statusOf: (error: unknown) => { readonly status: GrpcStatus; readonly message: string },
): GrpcMethod {
  return (call) => {
    let request: Buffer | undefined;
    const refuse = (error: unknown): void => {
      const { status, message } = statusOf(error);
      call.end(status, message);
    };
    call.start({
      message: (bytes) => {
        if (request === undefined) request = Buffer.from(bytes);
        else call.end(grpcStatus.unimplemented, "the method takes one request, but a second arrived");
      },
      ended: () => {
        if (request === undefined) {
          call.end(grpcStatus.unimplemented, "the method takes one request, but none arrived");
          return;
        }
        answer(request, call).then((response) => {
          call.write([response]);
          call.end();
        }, refuse);
      },
      drained: () => undefined,
      failed: (error: SerinError) => refuse(error),
      closed: () => undefined,
    });
  };
}

import { userError, type Clock, type SerinError } from "../../../base/index.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import type { GrpcMethod } from "./grpc-server.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";

export interface UnaryMethodOptions {
  readonly answer: (request: Buffer, call: GrpcCall) => Promise<Buffer>;
  /** Converts rejections of `answer`, and faults of requests, into a status. */
  readonly statusOf: (error: unknown) => { readonly status: GrpcStatus; readonly message: string };
  readonly clock: Clock;
}

export function unaryMethod({ answer, statusOf, clock }: UnaryMethodOptions): GrpcMethod {
  return (call) => {
    let request: Buffer | undefined;
    const refuse = (error: unknown): void => {
      const { status, message } = statusOf(error);
      call.end(status, message);
    };
    // The caller is authenticated only when its request has ended, so without a limit anybody could keep calls open.
    const silence = call.afterSilence(clock, grpcLimits.unaryRequestTimeoutMs, () =>
      refuse(userError("bad-request", `the request must end within ${grpcLimits.unaryRequestTimeoutMs / 1000} s`)),
    );
    call.start({
      message: (bytes) => {
        if (request !== undefined) {
          call.end(grpcStatus.unimplemented, "the method takes one request, but a second arrived");
          return;
        }
        call.keepRequest(bytes.length);
        request = Buffer.from(bytes);
      },
      ended: () => {
        silence[Symbol.dispose]();
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
      closed: () => silence[Symbol.dispose](),
    });
  };
}

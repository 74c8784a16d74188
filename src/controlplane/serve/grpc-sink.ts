import { Duplex } from "node:stream";
import * as grpc from "@grpc/grpc-js";

export type DiscoveryCall = grpc.ServerDuplexStream<Buffer, Buffer>;

/** Where the parts of responses go; `drained` is called when more may come. */
export interface GrpcSink {
  write(parts: readonly Buffer[]): boolean;
}

/** Not compressed, and the length. */
const prefixBytes = 5;

/**
 * Writes responses as parts that many streams share. The library takes a message as one buffer and copies it behind its
 * prefix: for a response of a megabyte to hundreds of clients at once that is most of the time and of the memory. So the
 * parts go to the call's HTTP/2 stream, which the library does not show; where it is not found, the library gets a copy.
 */
export function grpcSink(call: DiscoveryCall, drained: () => void): GrpcSink {
  const stream = http2StreamOf(call);
  if (stream === undefined) {
    call.on("drain", drained);
    return { write: (parts) => call.write(Buffer.concat(parts)) };
  }
  stream.on("drain", drained);
  let begun = false;
  return {
    write: (parts) => {
      if (stream.destroyed || stream.writableEnded) return false;
      if (!begun) call.sendMetadata(new grpc.Metadata());
      begun = true;
      const [head = nothing, ...bodies] = parts;
      const prefixed = Buffer.allocUnsafe(prefixBytes + head.length);
      prefixed[0] = 0;
      prefixed.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0), 1);
      head.copy(prefixed, prefixBytes);
      stream.cork();
      let writable = stream.write(prefixed);
      for (const body of bodies) if (body.length > 0) writable = stream.write(body);
      stream.uncork();
      return writable;
    },
  };
}

const nothing = Buffer.alloc(0);

/** The innermost of the interceptors' calls has it. */
function http2StreamOf(call: DiscoveryCall): Duplex | undefined {
  let inner: unknown = (call as { readonly call?: unknown }).call;
  while (typeof inner === "object" && inner !== null) {
    const { stream, nextCall } = inner as { readonly stream?: unknown; readonly nextCall?: unknown };
    if (stream instanceof Duplex) return stream;
    inner = nextCall;
  }
  return undefined;
}

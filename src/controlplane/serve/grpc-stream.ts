import { Duplex } from "node:stream";
import * as grpc from "@grpc/grpc-js";
import { MessageDecoder } from "./message-decoder.ts";

export type DiscoveryCall = grpc.ServerDuplexStream<Buffer, Buffer>;

/** Where the parts of responses go; `drained` is called when more may come. */
export interface GrpcSink {
  write(parts: readonly Buffer[]): boolean;
}

/** Up to here a copy costs less than to write the parts one by one. */
const joinedBytes = 16_384;
/** Not compressed, and the length. */
const prefixBytes = 5;

/**
 * Writes responses as parts that many streams share. The library takes a message as one buffer and copies it behind its
 * prefix: for a response of a megabyte to hundreds of clients at once that is most of the time and of the memory. So the
 * parts go to the call's HTTP/2 stream, which the library does not show; where it is not found, the library gets a copy.
 */
export function grpcSink(call: DiscoveryCall, drained: () => void): GrpcSink {
  const stream = innermostOf(call)?.stream;
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
      let length = 0;
      for (const part of parts) length += part.length;
      const joined = length <= joinedBytes ? parts.length : 1;
      const message = prefixedMessage(parts, joined, length);
      if (joined >= parts.length) return stream.write(message);
      stream.cork();
      let writable = stream.write(message);
      for (let index = joined; index < parts.length; index += 1) writable = stream.write(parts[index]);
      stream.uncork();
      return writable;
    },
  };
}

/** A message's prefix and the first of its parts. */
function prefixedMessage(parts: readonly Buffer[], count: number, messageBytes: number): Buffer {
  let size = prefixBytes;
  for (let index = 0; index < count; index += 1) size += parts[index]?.length ?? 0;
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = 0;
  bytes.writeUInt32BE(messageBytes, 1);
  let at = prefixBytes;
  for (let index = 0; index < count; index += 1) {
    const part = parts[index];
    if (part === undefined) continue;
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Calls with the bytes of each request. The library takes them through several queues and a promise each, which for an
 * acknowledgement of a hundred bytes is most of its cost; so they are read from the call's HTTP/2 stream. A stream that
 * compresses, or that is not found, is read by the library.
 */
export function grpcSource(call: DiscoveryCall, maxRequestBytes: number, take: (request: Buffer) => void, fail: (error: unknown) => void): void {
  const inner = innermostOf(call);
  if (inner === undefined || inner.incomingEncoding !== "identity") {
    call.on("data", take);
    return;
  }
  const { stream } = inner;
  const decoder = new MessageDecoder(maxRequestBytes);
  stream.removeAllListeners("data");
  stream.on("data", (chunk: Buffer) => {
    try {
      decoder.push(chunk, take);
    } catch (error) {
      stream.removeAllListeners("data");
      stream.resume();
      fail(error);
    }
  });
  stream.resume();
  // The library tells of the end to who reads.
  call.resume();
}

interface InnermostCall {
  readonly stream: Duplex;
  readonly incomingEncoding?: unknown;
}

/** The innermost of the interceptors' calls has the stream. */
function innermostOf(call: DiscoveryCall): InnermostCall | undefined {
  let inner: unknown = (call as { readonly call?: unknown }).call;
  while (typeof inner === "object" && inner !== null) {
    const { stream, nextCall, incomingEncoding } = inner as { readonly stream?: unknown; readonly nextCall?: unknown; readonly incomingEncoding?: unknown };
    if (stream instanceof Duplex) return { stream, incomingEncoding };
    inner = nextCall;
  }
  return undefined;
}

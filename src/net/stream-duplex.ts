import { Duplex } from "node:stream";
import type { ByteStream } from "./byte-stream.ts";

/**
 * Wraps a {@link ByteStream} as a node stream for code that needs one: TLS inside a tunnel, the HTTP client of a test.
 * Slower.
 */
export function streamDuplex(stream: ByteStream): Duplex {
  let drained: (() => void) | undefined;
  const flushed = (): void => {
    const done = drained;
    drained = undefined;
    done?.();
  };
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => stream.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      if (stream.write(chunk)) done();
      else drained = done;
    },
    final: (done) => {
      stream.end();
      done();
    },
    destroy: (error, done) => {
      stream.destroy(error === null ? {} : { error });
      flushed();
      done(error);
    },
  });
  stream.setHandler({
    data: (chunk) => {
      if (!duplex.push(Buffer.from(chunk))) stream.pause();
    },
    end: () => void duplex.push(null),
    drain: flushed,
    close: (error) => {
      flushed();
      if (!duplex.destroyed) duplex.destroy(error);
    },
  });
  return duplex;
}

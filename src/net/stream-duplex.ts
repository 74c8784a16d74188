import { Duplex } from "node:stream";
import type { ByteStream } from "./byte-stream.ts";

/**
 * The largest single write. A TLS stream encrypts what it gets at once, so a larger write would need twice its size in
 * memory.
 */
const maxWriteBytes = 1 << 16;

/** A Duplex with those members of a socket by which servers recognise clients and see progress. */
export interface StreamDuplex extends Duplex {
  readonly remoteAddress: string;
  /** How many bytes the stream has accepted. During a large write, it grows as the peer reads. */
  readonly sentBytes: number;
}

/**
 * Makes a Node stream of a {@link ByteStream}, for code that needs one, such as TLS inside a tunnel. A Node stream is
 * slower.
 */
export function streamDuplex(stream: ByteStream): StreamDuplex {
  const { address: remoteAddress } = stream.remote;
  let drained: (() => void) | undefined;
  const flushed = (): void => {
    const done = drained;
    drained = undefined;
    done?.();
  };
  const writeFrom = (chunk: Buffer, start: number, done: () => void): void => {
    for (let from = start; from < chunk.length;) {
      const next = from + maxWriteBytes;
      if (!stream.write(chunk.subarray(from, next))) {
        drained = () => (duplex.destroyed ? done() : writeFrom(chunk, next, done));
        return;
      }
      from = next;
    }
    done();
  };
  const duplex: Duplex = new Duplex({
    allowHalfOpen: true,
    read: () => stream.resume(),
    write: (chunk: Buffer, _encoding, done) => writeFrom(chunk, 0, done),
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
      // Destroying the duplex also ends a write that waits.
      if (!duplex.destroyed) duplex.destroy(error);
    },
  });
  return Object.defineProperties(duplex, {
    remoteAddress: { value: remoteAddress },
    sentBytes: { get: () => stream.sentBytes },
  }) as StreamDuplex;
}

import type { ByteStream } from "../byte-stream.ts";

/** Sends back everything that the stream receives, and ends it after the peer. */
export function echo(stream: ByteStream): void {
  stream.setHandler({
    data: (chunk) => void stream.write(Buffer.from(chunk)),
    end: () => stream.end(),
    drain() {},
    close() {},
  });
  stream.resume();
}

import type { ByteStream } from "../byte-stream.ts";

/** Sends everything back that the stream receives, and ends it when the peer has ended. */
export function echo(stream: ByteStream): void {
  stream.setHandler({
    data: (chunk) => void stream.write(Buffer.from(chunk)),
    end: () => stream.end(),
    drain() {},
    close() {},
  });
  stream.resume();
}

import { listenTcp } from "../../src/net/index.ts";

/** Runs the application behind the ztunnel. It returns what it gets. */
export async function runEchoServer(port: number): Promise<void> {
  await listenTcp({ address: "0.0.0.0", port }, (stream) => {
    stream.setHandler({
      data: (chunk) => void stream.write(chunk),
      end: () => stream.end(),
      drain() {},
      close() {},
    });
    stream.resume();
  });
  process.send?.("listening");
}

import { once } from "node:events";
import { Worker } from "node:worker_threads";

const answerHttp = `import("node:http").then(({ createServer }) => createServer((_, response) => response.end("ok")))`;
const answerGrpc = `import("node:http2").then(({ createServer }) => {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, 1]));
  });
  return server;
})`;

/** Servers that answer at once in a thread of their own, also while this thread stands still. */
export const answering = { http: answerHttp, grpc: answerGrpc };

const standstillMs = 600;
/** A client's limit that is shorter than the standstill. */
export const shortLimitSeconds = 0.5;

/** Calls the server, and lets this thread stand still before it can read the answer, longer than the short limit. */
export async function callAndStandStill<T>(
  server: (typeof answering)[keyof typeof answering],
  call: (port: number) => Promise<T>,
): Promise<T> {
  const code = `import { parentPort } from "node:worker_threads";
    const server = await ${server};
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));`;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
  try {
    const [port] = (await once(thread, "message")) as [number];
    const outcome = call(port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, standstillMs);
    return await outcome;
  } finally {
    await thread.terminate();
  }
}

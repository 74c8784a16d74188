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

interface ShortProbe {
  readonly httpGet?: { readonly port: number };
  readonly tcpSocket?: { readonly port: number };
  readonly grpc?: { readonly port: number };
  readonly timeoutSeconds: number;
}

const standstillMs = 600;
/** The time limit of a probe. It is shorter than the standstill. */
export const shortLimitSeconds = 0.5;

/**
 * Runs a probe of each kind with the short limit, and returns the outcomes. The application answers at once, in another
 * thread, but this thread stands still for longer than the limit before it can read the answer.
 */
export async function probeAndStandStill<T>(attempt: (probe: ShortProbe) => Promise<T>): Promise<T[]> {
  const timeoutSeconds = shortLimitSeconds;
  return [
    await withServer(answerHttp, (port) => attempt({ httpGet: { port }, timeoutSeconds })),
    await withServer(answerHttp, (port) => attempt({ tcpSocket: { port }, timeoutSeconds })),
    await withServer(answerGrpc, (port) => attempt({ grpc: { port }, timeoutSeconds })),
  ];
}

async function withServer<T>(server: string, call: (port: number) => Promise<T>): Promise<T> {
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

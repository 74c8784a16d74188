import { connectTcp, type NetworkNamespace } from "../src/net/index.ts";

/** Whether a data plane in this namespace reports on its readiness port that it is ready. */
export async function answersReady(namespace: NetworkNamespace, port: number): Promise<boolean> {
  try {
    const stream = await connectTcp({ address: "127.0.0.1", port, namespaceFd: namespace.fd, timeoutMs: 1000 });
    return await new Promise((resolve) => {
      stream.setHandler({
        data: (chunk) => {
          resolve(chunk.toString("latin1", 9, 12) === "200");
          stream.destroy();
        },
        end: () => stream.destroy(),
        drain() {},
        close: () => resolve(false),
      });
      stream.resume();
      stream.write(Buffer.from("GET /healthz/ready HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    });
  } catch {
    return false;
  }
}

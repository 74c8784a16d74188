import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import type { TestContext } from "node:test";

/**
 * A Service of which one backend has ended: it answers nothing on the first connection, and connects later ones to
 * `port`.
 */
export async function serviceWithEndedBackend(
  t: TestContext,
  port: number,
): Promise<{ readonly port: number; readonly sockets: readonly Socket[] }> {
  const sockets: Socket[] = [];
  const service = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined));
    if (sockets.length === 1) return;
    const backend = connect(port, "127.0.0.1").on("error", () => undefined);
    socket.on("close", () => backend.destroy());
    socket.pipe(backend).pipe(socket);
  });
  await once(service.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    service.close();
  });
  return { port: (service.address() as AddressInfo).port, sockets };
}

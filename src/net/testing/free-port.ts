import { createServer } from "node:net";

/**
 * The first port of the kernel's range for ports that it assigns by itself. Nobody gets a port below it without asking
 * for it.
 */
const firstGivenPort = 32_768;
const firstPort = 20_000;
/** The port of the last call. Concurrent processes begin at different ports. */
let lastPort = firstPort + ((process.pid * 61) % (firstGivenPort - firstPort));

/**
 * A port on which nothing listens, another one at each call. By default it is free on all addresses, because a
 * connection that has just ended on one address blocks its port for listeners on all addresses.
 */
export async function freePort(address = "0.0.0.0"): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    lastPort = lastPort + 1 < firstGivenPort ? lastPort + 1 : firstPort;
    const port = lastPort;
    const server = createServer();
    const isFree = await new Promise<boolean>(
      (resolve) => void server.on("error", () => resolve(false)).listen(port, address, () => resolve(true)),
    );
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error(`a hundred ports of ${address} up to ${lastPort} are taken`);
}

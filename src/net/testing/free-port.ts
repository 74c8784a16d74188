import { createServer } from "node:net";

/** The kernel gives those from here on to who asks for any port and to who connects; one below stays free until it is listened on. */
const firstGivenPort = 32_768;
const firstPort = 20_000;
/** Processes that run at the same time begin apart from each other. */
let lastPort = firstPort + ((process.pid * 61) % (firstGivenPort - firstPort));

/**
 * One that nobody listens on, another at each call. Where no address is named it is free on every one of them: a connection
 * that has just ended on one keeps its port from who listens on all.
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

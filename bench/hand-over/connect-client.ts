import type { Order } from "./clients.ts";
import { plainExchange } from "./plain-exchange.ts";
import { RateClient } from "./rate-client.ts";

/**
 * Performs the orders that the bench sends. Without words, the client opens plain connections. With the address of an
 * application and a file with the mesh's root, it opens tunnels to the application.
 */
export async function runClient([authority, rootFile]: readonly string[]): Promise<void> {
  const exchange =
    authority === undefined || rootFile === undefined
      ? plainExchange()
      : (await import("./tunnel-exchange.ts")).tunnelExchange(authority, rootFile);
  const client = new RateClient(exchange);
  process.on("message", (order: Order) => void client.perform(order).then((counts) => process.send?.(counts)));
}

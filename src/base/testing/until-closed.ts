import type { EventEmitter } from "node:events";

/**
 * Resolves when the stream closes, even after an error. `once` of node:events would reject then, for example if a peer
 * resets the connection before it has read everything.
 */
export async function untilClosed(stream: EventEmitter): Promise<void> {
  await new Promise<void>((resolve) => void stream.once("close", resolve));
}

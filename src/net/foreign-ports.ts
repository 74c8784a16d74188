import { BoundedCache } from "../base/index.ts";

/**
 * The range of ports for connections from another host's address. It lies below Linux's `ip_local_port_range` (32768 to
 * 60999). The other host may dial the same server from a port of that range. Its SYN would then meet our connection and
 * stay unanswered.
 */
const range = { first: 1024, end: 32_768 } as const;
const portCount = range.end - range.first;
/** The number of ports to try before the kernel picks one. */
const maxAttempts = 4;
/**
 * The maximum number of addresses without free ports that are remembered. Forgetting one costs only a few more
 * attempts.
 */
const maxCrowded = 1024;
/** How rarely a connection of an address without free ports tries a port: one in this many. */
const crowdedTurns = 8;

/** A random integer from `min` to `max - 1`. */
type RandomInt = (min: number, max: number) => number;

/**
 * Chooses ports for connections from other hosts' addresses. A closed connection keeps its port for a minute. The ports
 * are therefore used in turn and not at random, so that each is reused as late as possible. Each thread has its own
 * start and order, because another thread may dial from the same address.
 */
export class ForeignPorts {
  readonly #step: number;
  #walked: number;
  /**
   * The namespaces and addresses that had no free port when they last tried one, with the number of their connections
   * since then. Ports are used in turn, so if the next one is in use, the others are too. Every eighth connection tries
   * one port, until one is free. More than 500 connections a second from one address use up all ports of its namespace.
   * A later namespace whose descriptor has the same number begins in this state, and leaves it with its first free
   * port.
   */
  readonly #crowded = new BoundedCache<string, { connections: number }>(maxCrowded);

  constructor(randomInt: RandomInt) {
    this.#walked = randomInt(0, portCount);
    this.#step = coprimeStep(portCount, randomInt);
  }

  /** Calls `tryPort` until it returns true for a free port. Returns false if it gives up. */
  choose(namespaceFd: number | undefined, address: string, tryPort: (port: number) => boolean): boolean {
    const key = `${namespaceFd} ${address}`;
    const crowded = this.#crowded.get(key);
    if (crowded === undefined) {
      if (this.#findFree(maxAttempts, tryPort)) return true;
      this.#crowded.set(key, { connections: 0 });
      return false;
    }
    crowded.connections += 1;
    if (crowded.connections % crowdedTurns !== 0 || !this.#findFree(1, tryPort)) return false;
    this.#crowded.delete(key);
    return true;
  }

  #findFree(attempts: number, tryPort: (port: number) => boolean): boolean {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      this.#walked = (this.#walked + this.#step) % portCount;
      if (tryPort(range.first + this.#walked)) return true;
    }
    return false;
  }
}

/** A step that visits each of `count` positions once before it returns to the first. */
function coprimeStep(count: number, randomInt: RandomInt): number {
  let step = 0;
  do step = randomInt(1, count);
  while (commonDivisor(step, count) > 1);
  return step;
}

function commonDivisor(left: number, right: number): number {
  return right === 0 ? left : commonDivisor(right, left % right);
}

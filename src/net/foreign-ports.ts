import { BoundedCache } from "../base/index.ts";

/**
 * The ports for connections from another host's address. The range is below Linux's `ip_local_port_range` (32768 to
 * 60999), from which the other host takes its own ports. If that host connected to the same server from the same port,
 * the SYN of one of the two connections would stay unanswered.
 */
const range = { first: 1024, end: 32_768 } as const;
const portCount = range.end - range.first;
/** The number of ports to try before the kernel chooses one. */
const maxAttempts = 4;
/** The maximum number of recorded addresses without free ports. Forgetting one only costs a few more attempts. */
const maxCrowded = 1024;
/** For an address without free ports, one connection in this many tries a port. */
const crowdedTurns = 8;

/** Returns a random integer from `min` to `max - 1`. */
type RandomInt = (min: number, max: number) => number;

/**
 * Chooses ports for connections from other hosts' addresses.
 *
 * A closed connection keeps its port for a minute. So ports are used in turn and not at random, which reuses each as
 * late as possible. Each thread has its own start and order, because another thread may connect from the same address.
 */
export class ForeignPorts {
  readonly #step: number;
  #walked: number;
  /**
   * The namespaces and addresses that had no free port when one was last tried, with the number of connections since
   * then.
   *
   * Ports are used in turn, so if the next port is in use, the others are too. Every eighth connection tries one port,
   * until one is free. More than 500 connections a second from one address use up all ports of its namespace. If a
   * later namespace has the same descriptor number, it begins in this state and leaves it with its first free port.
   */
  readonly #crowded = new BoundedCache<string, { connections: number }>(maxCrowded);

  constructor(randomInt: RandomInt) {
    this.#walked = randomInt(0, portCount);
    this.#step = coprimeStep(portCount, randomInt);
  }

  /**
   * Calls `tryPort` with ports until it returns true for one. Returns false if it gives up, and then the kernel should
   * choose the port.
   */
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

/** A random step with which a walk through `count` positions visits each of them before it returns to the first. */
function coprimeStep(count: number, randomInt: RandomInt): number {
  let step = 0;
  do step = randomInt(1, count);
  while (commonDivisor(step, count) > 1);
  return step;
}

function commonDivisor(left: number, right: number): number {
  return right === 0 ? left : commonDivisor(right, left % right);
}

import { clientNetwork, containing } from "../../base/index.ts";
import { endOfTurn, type Flushable } from "./end-of-turn.ts";
import { hboneLimits } from "./limits.ts";

/** A stream with bytes that wait for a reader: received bytes for this process, and sent bytes for the peer. */
export interface HeldStream {
  readonly heldBytes: number;
  /** Resets the stream and drops its bytes. */
  shed(): void;
}

export interface InputHolder {
  /** The address of the peer that sends the bytes or does not read them. */
  readonly peer: string;
  readonly heldStreams: Iterable<HeldStream>;
}

/** All connections of one peer, or of one network of peers, that hold input. */
interface HeldByPeer {
  bytes: number;
  readonly holders: InputHolder[];
}

/** The maximum number of bytes that a process may hold. It is less if the memory is limited. */
const maxBytesOfProcess = 512 * 1_048_576;
/** If the memory is limited, held bytes may use this part of it (one in `memoryParts`). */
const memoryParts = 4;
/**
 * The minimum limit of one thread in bytes. With less, a single stream whose reader pauses could be reset although it
 * stays within its window.
 */
const minBytesOfThread = 2 * hboneLimits.streamWindowBytes;
/**
 * When the limit is exceeded, this part of it (one in `roomParts`) is freed, so that the next bytes do not exceed the
 * limit again.
 */
const roomParts = 8;
/**
 * The part of the limit (one in `fewParts`) up to which a peer counts as small. If all peers are small, networks
 * ({@link clientNetwork}) are compared in place of peers.
 */
const fewParts = 64;

/**
 * Returns the limit of each thread in bytes. `memoryBytes` is the memory limit of the process, or 0 if it is not
 * limited.
 */
export type HeldLimit = (memoryBytes: number, threads: number) => number;

export function heldInputBytes(memoryBytes: number, threads: number): number {
  const ofMemory = memoryBytes > 0 ? memoryBytes / memoryParts : Infinity;
  return Math.max(minBytesOfThread, Math.floor(Math.min(maxBytesOfProcess, ofMemory) / threads));
}

/**
 * Limits the bytes that all connections of a thread hold for readers that pause. HTTP/2's windows limit each
 * connection, but not their sum. Above the limit, the peer that holds the most loses its largest streams. If no peer
 * holds more than a small part, the network that holds the most loses its largest streams instead.
 */
export class HeldInput implements Flushable {
  readonly #limitOf: HeldLimit;
  #maxBytes: number;
  #bytes = 0;
  #isMarked = false;
  readonly #held = new Map<InputHolder, number>();

  constructor(limitOf: HeldLimit) {
    this.#limitOf = limitOf;
    this.#maxBytes = limitOf(process.constrainedMemory(), 1);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Divides the limit of the process among its threads. */
  shareAmong(threads: number): void {
    this.#maxBytes = this.#limitOf(process.constrainedMemory(), threads);
  }

  changed(holder: InputHolder, bytes: number): void {
    this.#bytes += bytes - (this.#held.get(holder) ?? 0);
    if (bytes > 0) this.#held.set(holder, bytes);
    else this.#held.delete(holder);
    if (this.#bytes <= this.#maxBytes || this.#isMarked) return;
    // Reset streams only at the end of the turn: a stream must not be reset while it receives.
    this.#isMarked = true;
    endOfTurn.mark(this);
  }

  flush(): void {
    this.#isMarked = false;
    if (this.#bytes <= this.#maxBytes) return;
    const goal = this.#maxBytes - this.#maxBytes / roomParts;
    let peers = this.#groups((peer) => peer);
    let areNetworks = false;
    while (this.#bytes > goal) {
      if (!areNetworks && (largest(peers)?.bytes ?? 0) <= this.#maxBytes / fewParts) {
        peers = this.#groups(clientNetwork);
        areNetworks = true;
      }
      const most = largest(peers);
      if (most === undefined || most.bytes <= 0) return;
      // Free at least one part in `roomParts` of what this peer holds. Otherwise peers that hold equal amounts would
      // need many rounds.
      const wanted = Math.max(most.bytes / roomParts, Math.min(most.bytes, this.#bytes - goal) / peers.length);
      const freed = shed(most.holders, wanted);
      most.bytes = freed === 0 ? 0 : most.bytes - freed;
    }
  }

  #groups(nameOf: (peer: string) => string): readonly HeldByPeer[] {
    const peers = new Map<string, HeldByPeer>();
    for (const [holder, bytes] of this.#held) {
      const name = nameOf(holder.peer);
      const same = peers.get(name);
      if (same === undefined) peers.set(name, { bytes, holders: [holder] });
      else {
        same.bytes += bytes;
        same.holders.push(holder);
      }
    }
    return [...peers.values()];
  }
}

function largest(peers: readonly HeldByPeer[]): HeldByPeer | undefined {
  let most: HeldByPeer | undefined;
  for (const peer of peers) if (most === undefined || peer.bytes > most.bytes) most = peer;
  return most;
}

/** Resets the largest streams until this many bytes are free. Returns the number of freed bytes. */
function shed(holders: readonly InputHolder[], wanted: number): number {
  const streams = holders
    .flatMap((holder) => [...holder.heldStreams])
    .filter(({ heldBytes }) => heldBytes > 0)
    .sort((left, right) => right.heldBytes - left.heldBytes);
  let freed = 0;
  for (const stream of streams) {
    if (freed >= wanted) break;
    freed += stream.heldBytes;
    containing(() => stream.shed());
  }
  return freed;
}

export const heldInput = new HeldInput(heldInputBytes);

import { clientNetwork, containing } from "../../base/index.ts";
import { endOfTurn, type Flushable } from "./end-of-turn.ts";
import { hboneLimits } from "./limits.ts";

/** A stream with bytes that their reader, here or at the peer, does not accept yet. */
export interface HeldStream {
  readonly heldBytes: number;
  /** Resets the stream, and drops what it holds. */
  shed(): void;
}

/** A connection whose streams may hold bytes. */
export interface InputHolder {
  /** The address of the peer that sends them, or that does not read them. */
  readonly peer: string;
  readonly heldStreams: Iterable<HeldStream>;
}

/** All connections of one peer, or of one network of peers, that hold input. */
interface HeldByPeer {
  bytes: number;
  readonly holders: InputHolder[];
}

/** The maximum that a process may hold. It is less if the memory is limited. */
const maxBytesOfProcess = 512 * 1_048_576;
/** If the memory is limited, held input may use this part of it (one in `memoryParts`). */
const memoryParts = 4;
/**
 * The minimum for one thread. With less, a single stream whose reader pauses could be reset although it stays within
 * its window.
 */
const minBytesOfThread = 2 * hboneLimits.streamWindowBytes;
/**
 * When the limit is exceeded, this part of it (one in `roomParts`) is freed, so that the next bytes do not exceed it
 * again.
 */
const roomParts = 8;
/**
 * The part of the limit (one in `fewParts`) up to which a peer's input is small. If no peer holds more, peers are
 * compared by their networks ({@link clientNetwork}).
 */
const fewParts = 64;

/** The limit of each thread, by the memory of the process (0 if nothing limits it) and the number of its threads. */
export type HeldLimit = (memoryBytes: number, threads: number) => number;

/** The limit of the input of connections. */
export function heldInputBytes(memoryBytes: number, threads: number): number {
  // 0 means that the memory is not limited.
  const ofMemory = memoryBytes > 0 ? memoryBytes / memoryParts : Infinity;
  return Math.max(minBytesOfThread, Math.floor(Math.min(maxBytesOfProcess, ofMemory) / threads));
}

/**
 * Limits the input that all connections of a thread hold for readers that pause. HTTP/2's windows limit each
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

  /** Notes how many bytes the streams of a connection hold now. */
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
      // Free at least one part in `roomParts` of what this peer holds. This bounds the number of rounds among peers
      // that hold equal amounts.
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

/** Sheds the streams that hold the most until this many bytes are free. Returns how many are. */
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

/** The input that the connections of this thread hold. */
export const heldInput = new HeldInput(heldInputBytes);

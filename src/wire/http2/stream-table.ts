import { errorCode, Http2ConnectionError, maxStreamId } from "./constants.ts";
import type { SessionStream } from "./session-stream.ts";

/**
 * Holds a stream until it is deleted from the table.
 *
 * A Map that is refilled leaves its old table behind, with its entries and a reference to the next table. Once one of
 * these tables is old, V8 keeps all later ones until it collects old objects. Without this holder, every short-lived
 * stream, with everything that belongs to its connection, would be copied twice and become old.
 */
interface Place<Stream> {
  stream: Stream | undefined;
}

/**
 * The number of streams after which a new Map replaces the present one. No old table refers to the table of a new Map.
 */
const renewAfter = 256;

/** The streams of a connection by id, and the limits for new ones. */
export class StreamTable<Stream extends SessionStream> {
  readonly #server: boolean;
  #places = new Map<number, Place<Stream>>();
  /** Where the last stream was found. Frames of one stream often follow each other. */
  #lastId = 0;
  #last: Place<Stream> | undefined;
  /** The number of streams that were added to this Map. */
  #added = 0;
  #nextId = 1;
  /** The id of the last stream that we accept. The peer knows that we ignore later ones. */
  #lastAcceptedId: number = maxStreamId;
  /** The last stream that the peer opened. */
  lastPeerId = 0;
  /** Whether we accept no more streams. */
  draining = false;
  /** Whether the peer accepts no more streams. */
  peerLeaves = false;

  constructor(server: boolean) {
    this.#server = server;
  }

  get size(): number {
    return this.#places.size;
  }

  get all(): Iterable<Stream> {
    return this.#all();
  }

  *#all(): Generator<Stream> {
    for (const { stream } of this.#places.values()) if (stream !== undefined) yield stream;
  }

  get(id: number): Stream | undefined {
    if (id !== this.#lastId) {
      this.#last = this.#places.get(id);
      this.#lastId = id;
    }
    return this.#last?.stream;
  }

  add(stream: Stream): void {
    this.#added += 1;
    if (this.#added === renewAfter) {
      this.#places = new Map(this.#places);
      this.#added = 0;
    }
    const place = { stream };
    this.#places.set(stream.id, place);
    this.#lastId = stream.id;
    this.#last = place;
  }

  delete({ id }: Stream): boolean {
    const place = this.#places.get(id);
    if (place === undefined) return false;
    place.stream = undefined;
    return this.#places.delete(id);
  }

  /** The id of a client's next stream. */
  claimId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  get hasIds(): boolean {
    return this.#nextId < maxStreamId;
  }

  /**
   * Whether HEADERS on an unknown stream open it. False for trailers of an ended stream, and for a stream after our
   * GOAWAY.
   */
  isNew(id: number): boolean {
    if (!this.#server || id % 2 === 0) {
      this.refuseUnopened(id, "HEADERS");
      return false;
    }
    if (id <= this.lastPeerId || id > this.#lastAcceptedId) return false;
    this.lastPeerId = id;
    return true;
  }

  /** Handles a frame for an unknown stream. Does nothing if the stream existed earlier, and throws otherwise. */
  refuseUnopened(id: number, frame: string): void {
    const unopened = this.#server ? id > this.lastPeerId : id >= this.#nextId;
    if (!unopened && id % 2 === 1) return;
    const whose = frame === "HEADERS" && this.#server ? "is not a client's" : "was never opened";
    throw new Http2ConnectionError(errorCode.protocolError, `${frame} on stream ${id}, which ${whose}`);
  }

  /** Ignores streams that the peer opens from now on. Returns false if that was so already. */
  acceptNoMore(): boolean {
    if (!this.#server || !this.draining || this.#lastAcceptedId !== maxStreamId) return false;
    this.#lastAcceptedId = this.lastPeerId;
    return true;
  }

  /** Whether no stream is left and none will come. */
  get done(): boolean {
    if (this.#places.size > 0) return false;
    return this.#server ? this.#lastAcceptedId !== maxStreamId : this.draining || this.peerLeaves;
  }
}

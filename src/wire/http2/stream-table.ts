import { errorCode, Http2ConnectionError, maxStreamId } from "./constants.ts";
import type { SessionStream } from "./session-stream.ts";

/**
 * Refers to a stream until the table drops it. A Map that is refilled leaves its old table behind, with its entries and
 * a reference to the next table. After one of these tables has become old, V8 keeps all later ones until it collects
 * old objects. Without a Place, every short-lived stream, with everything that belongs to its connection, would be
 * copied twice and become old.
 */
interface Place<Stream> {
  stream: Stream | undefined;
}

/** After this many streams, a new Map replaces the current one. No old table refers to a new Map's table. */
const renewAfter = 256;

/** The streams of a connection by their ids, and which ids may still be opened. */
export class StreamTable<Stream extends SessionStream> {
  readonly #server: boolean;
  #places = new Map<number, Place<Stream>>();
  /** Where the last stream was found. Frames of one stream often follow each other. */
  #lastId = 0;
  #last: Place<Stream> | undefined;
  /** How many streams were added to this Map. */
  #added = 0;
  #nextId = 1;
  /** The last stream that we accept, as our GOAWAY says. Later ones are ignored. */
  #lastAcceptedId: number = maxStreamId;
  lastPeerId = 0;
  /** Whether we are to accept no more streams. */
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

  claimId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  get hasIds(): boolean {
    return this.#nextId < maxStreamId;
  }

  /**
   * Whether HEADERS with this unknown id open a stream. False for trailers of an ended stream, and for a stream after
   * our GOAWAY. Throws an error if the peer may not open such a stream.
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

  /** Ignores a frame for a stream that existed earlier. Throws an error if the stream was never opened. */
  refuseUnopened(id: number, frame: string): void {
    const unopened = this.#server ? id > this.lastPeerId : id >= this.#nextId;
    if (!unopened && id % 2 === 1) return;
    const whose = frame === "HEADERS" && this.#server ? "is not a client's" : "was never opened";
    throw new Http2ConnectionError(errorCode.protocolError, `${frame} on stream ${id}, which ${whose}`);
  }

  /**
   * Lets a server that drains ignore the streams that the peer opens from now on. Returns false if it already does, or
   * if it does not drain.
   */
  acceptNoMore(): boolean {
    if (!this.#server || !this.draining || this.#lastAcceptedId !== maxStreamId) return false;
    this.#lastAcceptedId = this.lastPeerId;
    return true;
  }

  /** Whether no stream is left and none can come. */
  get done(): boolean {
    if (this.#places.size > 0) return false;
    return this.#server ? this.#lastAcceptedId !== maxStreamId : this.draining || this.peerLeaves;
  }
}

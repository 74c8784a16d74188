import { Transform, type Readable } from "node:stream";
import type { ServerResponse } from "node:http";
import type { KindDefinition, UntypedObject } from "../api/index.ts";

export interface OverlaidObject {
  readonly kind: KindDefinition<UntypedObject>;
  /** The object as the server would return it, with uid, resourceVersion, and a namespace if the kind is namespaced. */
  readonly object: UntypedObject;
}

/** What a watch covers, from its path. */
export interface WatchedCollection {
  readonly group: string;
  readonly version: string;
  /** The watched namespace, or undefined for all namespaces. */
  readonly namespace: string | undefined;
  readonly plural: string;
}

/** The version of an object that the relay has sent to watchers. */
export interface ShownVersion {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** The version that the relay has assigned. It is higher than all earlier ones, and no server has assigned it. */
  readonly resourceVersion: string;
}

/**
 * The base of versions that the relay assigns. It is far above the versions of servers, so that the two cannot be
 * confused.
 */
const firstShownVersion = 1n << 60n;

/**
 * Watches that a relay forwards and into which it inserts events. While an object is overlaid, watchers see the
 * overlaid object, and the server's own events for it are withheld. Afterwards they see the server's object again. Both
 * changes look like ordinary writes. A bookmark after each inserted event sets the watcher back to the server's
 * version.
 */
export class RelayedWatches {
  readonly #open = new Set<RelayedWatch>();
  #nextVersion = firstShownVersion;

  /** Forwards a server's watch until either side ends. `hides` selects the objects whose events are withheld. */
  pass(
    collection: WatchedCollection,
    fromVersion: string,
    source: Readable,
    response: ServerResponse,
    hides: (object: UntypedObject) => boolean,
  ): void {
    const watch = new RelayedWatch(collection, fromVersion, hides);
    this.#open.add(watch);
    const end = (): void => {
      this.#open.delete(watch);
      source.destroy();
      response.destroy();
    };
    watch.on("error", end);
    source.on("error", end);
    response.on("close", end);
    source.pipe(watch).pipe(response);
  }

  /** Sends an object to all watchers of its kind, as MODIFIED. Returns undefined if there are none. */
  show({ kind, object }: OverlaidObject): ShownVersion | undefined {
    return this.#announce({ kind, object }, "MODIFIED");
  }

  /** Sends the deletion of an object to all watchers of its kind. Returns undefined if there are none. */
  hide(shown: OverlaidObject): ShownVersion | undefined {
    return this.#announce(shown, "DELETED");
  }

  /** The number of events of a kind so far, by which a caller detects new events. */
  passed({ group, plural }: Pick<WatchedCollection, "group" | "plural">): number {
    return [...this.#open].reduce(
      (sum, { collection, passed }) => sum + (collection.group === group && collection.plural === plural ? passed : 0),
      0,
    );
  }

  #announce({ kind, object }: OverlaidObject, type: "MODIFIED" | "DELETED"): ShownVersion | undefined {
    const { namespace = "", name = "" } = object.metadata;
    const watches = [...this.#open].filter(
      ({ collection }) =>
        collection.group === kind.group &&
        collection.plural === kind.plural &&
        (collection.namespace === undefined || collection.namespace === namespace),
    );
    if (watches.length === 0) return undefined;
    this.#nextVersion += 1n;
    const resourceVersion = String(this.#nextVersion);
    for (const watch of watches)
      watch.announce(type, { ...object, kind: kind.kind, metadata: { ...object.metadata, resourceVersion } });
    return { group: kind.group, kind: kind.kind, namespace, name, resourceVersion };
  }
}

interface WatchLine {
  readonly type?: string;
  readonly object?: UntypedObject;
}

/** A watch of which whole lines are forwarded. Each line is an event. */
class RelayedWatch extends Transform {
  readonly collection: WatchedCollection;
  passed = 0;
  readonly #hides: (object: UntypedObject) => boolean;
  /** The server's version from which a new watch would continue. */
  #version: string;
  #rest: Buffer = Buffer.alloc(0);

  constructor(collection: WatchedCollection, fromVersion: string, hides: (object: UntypedObject) => boolean) {
    super();
    this.collection = collection;
    this.#hides = hides;
    this.#version = fromVersion;
  }

  announce(type: "MODIFIED" | "DELETED", object: UntypedObject): void {
    const { group, version } = this.collection;
    const apiVersion = group === "" ? version : `${group}/${version}`;
    this.#push({ type, object: { ...object, apiVersion } });
    this.#push({
      type: "BOOKMARK",
      object: { apiVersion, kind: object.kind, metadata: { resourceVersion: this.#version } },
    });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      const piece = chunk.subarray(from, end + 1);
      this.#line(this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]));
      this.#rest = Buffer.alloc(0);
      from = end + 1;
    }
    if (from < chunk.length) this.#rest = Buffer.concat([this.#rest, chunk.subarray(from)]);
    done();
  }

  /** Forwards a last line without a newline, because a response that is not a watch, such as an error, may have one. */
  override _flush(done: () => void): void {
    if (this.#rest.length > 0) this.push(this.#rest);
    done();
  }

  #line(bytes: Buffer): void {
    const event = readLine(bytes);
    const version = event?.type === "ERROR" ? undefined : event?.object?.metadata?.resourceVersion;
    if (version !== undefined) this.#version = version;
    this.passed += 1;
    const object = event?.type === "BOOKMARK" || event?.type === "ERROR" ? undefined : event?.object;
    // Replace a withheld event with a bookmark of its version, from which the watcher may start a new watch.
    if (object?.metadata !== undefined && version !== undefined && this.#hides(object))
      this.#push({
        type: "BOOKMARK",
        object: {
          apiVersion: object.apiVersion ?? "",
          kind: object.kind ?? "",
          metadata: { resourceVersion: version },
        },
      });
    else this.push(bytes);
  }

  #push(event: object): void {
    if (!this.writableFinished && !this.destroyed) this.push(`${JSON.stringify(event)}\n`);
  }
}

function readLine(bytes: Buffer): WatchLine | undefined {
  try {
    return JSON.parse(bytes.toString()) as WatchLine;
  } catch {
    return undefined;
  }
}

const newline = "\n".charCodeAt(0);

import { Transform, type Readable } from "node:stream";
import type { ServerResponse } from "node:http";
import type { KindDefinition, UntypedObject } from "../api/index.ts";

export interface OverlaidObject {
  readonly kind: KindDefinition<UntypedObject>;
  /** The object as the server would return it: with namespace, uid and resourceVersion. */
  readonly object: UntypedObject;
}

/** The target of a watch: the parts of an API path. */
export interface WatchedCollection {
  readonly group: string;
  readonly version: string;
  /** The watched namespace, or undefined if the watch covers all of them. */
  readonly namespace: string | undefined;
  readonly plural: string;
}

/** An object that watchers see, or saw, in place of the server's. */
export interface ShownVersion {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** A version that is greater than all versions shown before. No server has assigned it. */
  readonly resourceVersion: string;
}

/**
 * The first version that the relay assigns. It is far above the versions of servers, so that the two are never
 * confused.
 */
const firstShownVersion = 1n << 60n;

/**
 * Watches that pass through a relay, which inserts events. While an object is overlaid, watchers see the overlaid
 * object instead of the server's. Afterwards they see the server's object again. To watchers, both look like ordinary
 * writes. The server's own events for such objects are withheld meanwhile. A bookmark after each inserted event returns
 * the watcher to the server's version.
 */
export class RelayedWatches {
  readonly #open = new Set<RelayedWatch>();
  #nextVersion = firstShownVersion;

  /**
   * Passes a server's watch on until either side ends. `hides` selects the objects whose server events are withheld.
   */
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

  /** Shows an object to all watchers of its kind. Undefined if there are none. */
  show({ kind, object }: OverlaidObject): ShownVersion | undefined {
    return this.#announce({ kind, object }, "MODIFIED");
  }

  /** Tells watchers that the overlaid object is deleted. */
  hide(shown: OverlaidObject): ShownVersion | undefined {
    return this.#announce(shown, "DELETED");
  }

  /** The number of events of the kind so far. A caller compares it to detect further events. */
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

/** Passes on whole lines, one for each event. */
class RelayedWatch extends Transform {
  readonly collection: WatchedCollection;
  passed = 0;
  readonly #hides: (object: UntypedObject) => boolean;
  /** The server's version, from which a new watch would continue. */
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

  /** A response that is not a watch, such as an error, may end without a newline. */
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
    // Use the version even of a withheld event. A watcher may start a new watch from it.
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

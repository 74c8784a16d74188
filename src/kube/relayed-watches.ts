import { Transform, type Readable } from "node:stream";
import type { ServerResponse } from "node:http";
import type { KindDefinition, UntypedObject } from "../api/index.ts";

export interface OverlaidObject {
  readonly kind: KindDefinition<UntypedObject>;
  /** As the server would have it: with namespace, uid and resourceVersion. */
  readonly object: UntypedObject;
}

/** The target of a watch: the parts of an API path. */
export interface WatchedCollection {
  readonly group: string;
  readonly version: string;
  /** Undefined where objects of all namespaces are watched. */
  readonly namespace: string | undefined;
  readonly plural: string;
}

/** What a watcher was shown in the place of the server's. */
export interface ShownVersion {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** Greater than all that were shown before; of no server. */
  readonly resourceVersion: string;
}

/** Far above what servers give, so that none of theirs is ever taken for one of these. */
const firstShownVersion = 1n << 60n;

/**
 * Watches that lead through a relay, into which events are put: their watchers see objects in the place of the server's for a while, and then the
 * server's again, as if somebody had written both. What the server says of such an object meanwhile is kept from them. A bookmark after each such
 * event gives the watcher back the version from which the server goes on.
 */
export class RelayedWatches {
  readonly #open = new Set<RelayedWatch>();
  #nextVersion = firstShownVersion;

  /** Passes a server's watch on until either side ends. `hides` says which objects the server is not to be heard about. */
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

  /** Shows an object to all who watch its kind; undefined where nobody does. */
  show({ kind, object }: OverlaidObject): ShownVersion | undefined {
    return this.#tell({ kind, object }, "MODIFIED");
  }

  /** Says that there is no such object. */
  hide(shown: OverlaidObject): ShownVersion | undefined {
    return this.#tell(shown, "DELETED");
  }

  /** A number that another event of the kind changes. */
  passed({ group, plural }: Pick<WatchedCollection, "group" | "plural">): number {
    return [...this.#open].reduce(
      (sum, { collection, passed }) => sum + (collection.group === group && collection.plural === plural ? passed : 0),
      0,
    );
  }

  #tell({ kind, object }: OverlaidObject, type: "MODIFIED" | "DELETED"): ShownVersion | undefined {
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
      watch.tell(type, { ...object, kind: kind.kind, metadata: { ...object.metadata, resourceVersion } });
    return { group: kind.group, kind: kind.kind, namespace, name, resourceVersion };
  }
}

interface WatchLine {
  readonly type?: string;
  readonly object?: UntypedObject;
}

/** Whole lines come out, one an event. */
class RelayedWatch extends Transform {
  readonly collection: WatchedCollection;
  passed = 0;
  readonly #hides: (object: UntypedObject) => boolean;
  /** That of the server, from which a new watch would go on. */
  #version: string;
  #rest: Buffer = Buffer.alloc(0);

  constructor(collection: WatchedCollection, fromVersion: string, hides: (object: UntypedObject) => boolean) {
    super();
    this.collection = collection;
    this.#hides = hides;
    this.#version = fromVersion;
  }

  tell(type: "MODIFIED" | "DELETED", object: UntypedObject): void {
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

  /** An answer that is no watch ends as it likes. */
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
    // What is not told is passed over, also by who begins again.
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

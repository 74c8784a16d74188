import { apiVersionOf } from "../schema/contract.ts";
import { onAbort } from "../../base/index.ts";
import type { ChangeEvent, StoredRecord } from "../store/index.ts";
import { includeObjectOf, type ResourceContext, type ServerParts } from "./context.ts";
import { type IncludeObject } from "./encoder.ts";
import { answerFormOf, type AnswerForm } from "./negotiate.ts";
import { requireKnownRevision, selectionOf, type Selection } from "./read.ts";
import { isTrue } from "./request-info.ts";
import { checkListOptions, numberOption, wantsInitialEvents } from "./options.ts";
import { expired, type ApiError } from "./status.ts";

/**
 * The maximum number of bytes that a watcher has not read. The server disconnects a watcher with more. The watcher may
 * resume from its last event.
 */
const maximumUnsentBytes = 16 * 1024 * 1024;
const bookmarkIntervalMs = 60_000;
const defaultTimeoutSeconds = 1800;

/** Streams changes until the client leaves, the requested time is over, or the server ends. */
export function watchObjects(parts: ServerParts, context: ResourceContext): void {
  const { query, response, type } = context;
  checkListOptions(query, "watch");
  const form = answerFormOf(context.request.headers.accept);
  const selection = selectionOf(context);
  const initialEvents = wantsInitialEvents(query);
  const text = query.get("resourceVersion") ?? "";
  // Refuse a version in the future. It comes from an earlier cluster of the same name, so the client must list again.
  const known = requireKnownRevision(parts, text);
  const from = known === 0 || initialEvents ? undefined : known;
  response.writeHead(200, {
    "content-type": form.encoding === "yaml" ? "application/yaml;stream=watch" : "application/json",
    "cache-control": "no-cache, private",
  });
  response.flushHeaders();
  const stream = new WatchStream(parts, context, form, selection, includeObjectOf(query));
  const collection = parts.store.collection(type.storageKey);
  // With `sendInitialEvents=false`, a watch without a version begins with the next change.
  const skipsInitial = from === undefined && query.has("sendInitialEvents") && !initialEvents;
  const past = from === undefined ? [] : collection.since(from);
  if (past === undefined) return stream.fail(expired(`too old resource version: ${text} (${collection.revision})`));
  if (skipsInitial) stream.changes([]);
  else if (from === undefined)
    stream.initial(
      collection.list(selection.namespace),
      initialEvents && isTrue(query.get("allowWatchBookmarks") ?? "false"),
    );
  else stream.changes(past);
  stream.follow(
    numberOption(query, "timeoutSeconds") || defaultTimeoutSeconds,
    isTrue(query.get("allowWatchBookmarks") ?? "false"),
  );
}

class WatchStream {
  readonly #parts: ServerParts;
  readonly #context: ResourceContext;
  readonly #form: AnswerForm;
  readonly #selection: Selection;
  readonly #include: IncludeObject;
  /** The form of the events. Watchers with the same form share an event's encoded bytes. */
  readonly #formKey: string;
  #columnsSent = false;

  constructor(
    parts: ServerParts,
    context: ResourceContext,
    form: AnswerForm,
    selection: Selection,
    include: IncludeObject,
  ) {
    this.#parts = parts;
    this.#context = context;
    this.#form = form;
    this.#selection = selection;
    this.#include = include;
    this.#formKey = `${apiVersionOf(context.type)} ${form.as} ${form.metaVersion} ${form.as === "table" ? include : ""}`;
  }

  initial(records: readonly StoredRecord[], withEnd: boolean): void {
    const lines: Buffer[] = [];
    for (const record of records) if (this.#matches(record)) lines.push(this.#encode("ADDED", record));
    if (withEnd) lines.push(this.#bookmark({ "k8s.io/initial-events-end": "true" }));
    this.#write(lines);
  }

  changes(events: readonly ChangeEvent[]): void {
    const lines: Buffer[] = [];
    for (const event of events) {
      const line = this.#line(event);
      if (line !== undefined) lines.push(line);
    }
    this.#write(lines);
  }

  fail(error: ApiError): void {
    this.#context.response.end(`${JSON.stringify({ type: "ERROR", object: error.body })}\n`);
  }

  follow(timeoutSeconds: number, bookmarks: boolean): void {
    const { response, type } = this.#context;
    const { clock, stopping, store } = this.#parts;
    const subscription = store.collection(type.storageKey).subscribe((events) => {
      try {
        this.changes(events);
      } catch (error) {
        // A watcher must not miss an event, so disconnect it if an event cannot be encoded. The watcher then lists
        // again.
        response.destroy();
        throw error;
      }
    });
    const end = (): void => void response.end();
    // A last bookmark lets the client resume at the newest version, even if none of its objects has changed.
    const timer = clock.after(timeoutSeconds * 1000, () => {
      if (bookmarks) this.#write([this.#bookmark()]);
      end();
    });
    let ticker: Disposable | undefined;
    const tickLater = (): void => {
      ticker = clock.after(bookmarkIntervalMs, () => {
        this.#write([this.#bookmark()]);
        tickLater();
      });
    };
    if (bookmarks) tickLater();
    const stopped = onAbort(stopping, end);
    response.on("close", () => {
      subscription[Symbol.dispose]();
      timer[Symbol.dispose]();
      ticker?.[Symbol.dispose]();
      stopped[Symbol.dispose]();
    });
    response.on("error", () => undefined);
  }

  /**
   * A change as this watcher sees it. An object that begins to match is ADDED, and an object that no longer matches is
   * DELETED.
   */
  #line(event: ChangeEvent): Buffer | undefined {
    const was = event.previous !== undefined && this.#matches(event.previous);
    const is = event.type !== "DELETED" && this.#matches(event.record);
    if (!was && !is) return undefined;
    const type = is ? (was ? "MODIFIED" : "ADDED") : "DELETED";
    // An object that no longer matches is shown in its last matching state, with the version at which it stopped
    // matching.
    const shown =
      is || event.type === "DELETED" || event.previous === undefined ? event.record : event.previous.at(event.revision);
    if (this.#form.as === "table" && !this.#columnsSent) return this.#encode(type, shown);
    const key = `${type} ${this.#formKey}`;
    let line = event.encoded.get(key);
    if (line === undefined) event.encoded.set(key, (line = this.#encode(type, shown)));
    return line;
  }

  #matches(record: StoredRecord): boolean {
    const { matches, namespace } = this.#selection;
    return (namespace === "" || record.namespace === namespace) && (matches === undefined || matches(record));
  }

  #encode(type: string, record: StoredRecord): Buffer {
    return this.#parts.encoder.event(this.#context.type, type, record, {
      form: this.#form,
      include: this.#include,
      withColumns: this.#takeColumns(),
    });
  }

  /** Whether the next event includes the columns. Only the first event of a stream does. */
  #takeColumns(): boolean {
    const withColumns = !this.#columnsSent;
    this.#columnsSent = true;
    return withColumns;
  }

  #bookmark(annotations?: Record<string, string>): Buffer {
    const { type } = this.#context;
    const metadata = {
      resourceVersion: String(this.#parts.store.revision),
      ...(annotations === undefined ? {} : { annotations }),
    };
    const object = { kind: type.kind, apiVersion: apiVersionOf(type), metadata };
    return Buffer.concat([
      Buffer.from('{"type":"BOOKMARK","object":'),
      this.#parts.encoder.object(type, object, this.#form, this.#include, this.#takeColumns()),
      Buffer.from("}\n"),
    ]);
  }

  #write(lines: readonly Buffer[]): void {
    const { response } = this.#context;
    if (lines.length === 0 || response.writableEnded || response.destroyed) return;
    if (response.writableLength > maximumUnsentBytes) {
      this.#parts.log.warn("a watcher is too slow and was cut off", {
        resource: this.#context.type.plural,
        user: this.#context.user.name,
      });
      response.destroy();
      return;
    }
    response.write(lines.length === 1 ? lines[0] : Buffer.concat(lines));
  }
}

import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { apiVersionOf, type KindDefinition, type KubernetesObject } from "../api/index.ts";
import {
  SerinError,
  toSerinError,
  transientError,
  userError,
  onAbort,
  type Clock,
  type Logger,
  withoutEnd,
} from "../base/index.ts";
import { AnswerWatch, type WaitingPerson } from "./answer-watch.ts";
import { AuthorizedTransport } from "./authorized-transport.ts";
import type {
  ApplyOptions,
  DeleteOptions,
  KubeClient,
  ListOptions,
  ListResult,
  RawOptions,
  RawResponse,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
import { Credentials } from "./credentials.ts";
import { pickExcerpt, readStatus, type Excerpt } from "./excerpt.ts";
import { Http1Transport } from "./http1-transport.ts";
import { Http2Transport } from "./http2-transport.ts";
import type { KubeConfig } from "./kube-config.ts";
import { LineDecoder } from "./line-decoder.ts";
import { parsed, readPage, type AnswerBody, type ListPage } from "./list-page.ts";
import { describeObject, resourcePath, selectorQuery, withQuery } from "./resource-path.ts";
import { errorOfStatus, errorOfWatchStatus, isCode, unreadable, type RequestSubject } from "./status-error.ts";
import { TooLong, wholeBody, type TransportRequest, type TransportResponse } from "./transport.ts";

export interface KubeClientOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** The User-Agent, by default `serin`. It appears in the server's audit log and is the default field manager. */
  readonly userAgent?: string;
  /** Requests only the `metadata` of objects in lists and watches (PartialObjectMetadata). */
  readonly metadataOnly?: boolean;
  /**
   * The time limit for one request and its response, by default 60 s. For a watch, it limits only the beginning of the
   * response.
   */
  readonly requestTimeoutMs?: number;
  /**
   * How often the client repeats a request that a busy server refuses with 429. It waits as long as the server requests
   * before each repetition. The default is 0, because informers and reconcilers retry themselves.
   */
  readonly busyRetries?: number;
  readonly person?: WaitingPerson;
}

/**
 * A client that owns its connections. An idle client does not keep the process alive. `close` also ends open requests.
 */
export interface KubeConnection extends KubeClient {
  close(): void;
}

const metadataList = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const metadataObject = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const binaryType = "application/vnd.kubernetes.protobuf";
const binaryOrJson = `${binaryType},application/json`;
const defaultPageSize = 500;
const defaultRequestTimeoutMs = 60_000;
/**
 * The longest time that the client waits because a busy server requests it. For a longer time, it returns the refusal.
 */
const maxBusyWaitMs = 30_000;
const maxWatchLineBytes = 16 << 20;
const maxAnswerBytes = 512 << 20;
/** The time after which the server ends a watch. Informers then start a new one. */
const watchTimeoutSeconds = 570;

/** Creates a client of one API server. The client connects at its first request. */
export function createKubeClient(config: KubeConfig, options: KubeClientOptions): KubeConnection {
  return new HttpKubeClient(config, options);
}

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly subject: RequestSubject;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

class HttpKubeClient implements KubeConnection {
  readonly #transport: AuthorizedTransport;
  readonly #credentials: Credentials;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #userAgent: string;
  readonly #prefix: string;
  readonly #metadataOnly: boolean;
  readonly #requestTimeoutMs: number;
  readonly #busyRetries: number;
  readonly #answers: AnswerWatch;

  constructor(config: KubeConfig, options: KubeClientOptions) {
    const { log, clock, userAgent = "serin", metadataOnly = false, person } = options;
    const url = parseServer(config);
    this.#credentials = new Credentials(config, clock);
    const transport =
      url.protocol === "https:"
        ? new Http2Transport(config, this.#credentials, clock)
        : new Http1Transport(config, this.#credentials);
    this.#transport = new AuthorizedTransport(transport, this.#credentials);
    this.#log = log.scoped("kube");
    this.#clock = clock;
    this.#userAgent = userAgent;
    this.#metadataOnly = metadataOnly;
    this.#busyRetries = options.busyRetries ?? 0;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? defaultRequestTimeoutMs;
    const ask = async (signal: AbortSignal): Promise<void> => await this.#askVersion(signal);
    this.#answers = new AnswerWatch({ config, clock, requestTimeoutMs: this.#requestTimeoutMs, person, ask });
    this.#prefix = withoutEnd(url.pathname, "/");
  }

  close(): void {
    this.#transport.close();
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    const subject = { verb: "get", object: describeObject(kind, namespace, name) };
    try {
      return await this.#json<Value>({ method: "GET", path: resourcePath(kind, namespace, name), subject });
    } catch (error) {
      if (isCode(error, "not-found")) return undefined;
      throw error;
    }
  }

  async list<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: ListOptions = {},
  ): Promise<ListResult<Value>> {
    try {
      return await this.#pages(kind, options, options.pageSize ?? defaultPageSize);
    } catch (error) {
      // The continue token has expired, so request the whole list in one response.
      if (isCode(error, "gone")) return await this.#pages(kind, options, undefined);
      throw error;
    }
  }

  async create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: WriteOptions = {},
  ): Promise<Value> {
    const { name, namespace, generateName } = object.metadata;
    const subject = { verb: "create", object: describeObject(kind, namespace, name ?? `${generateName ?? ""}…`) };
    // A subresource (`binding`, `eviction`, `token`) is created below an object.
    const owner = options.subresource === undefined ? undefined : name;
    const path = resourcePath(kind, namespace, owner, options.subresource);
    return await this.#json<Value>({
      method: "POST",
      path: withQuery(path, writeQuery(options)),
      subject,
      body: typed(kind, object, options),
    });
  }

  async update<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: WriteOptions = {},
  ): Promise<Value> {
    const { name, namespace } = object.metadata;
    if (name === undefined) throw userError("object-missing", `update of ${kind.kind}: metadata.name is missing`);
    const subject = { verb: "update", object: describeObject(kind, namespace, name) };
    const path = withQuery(resourcePath(kind, namespace, name, options.subresource), writeQuery(options));
    return await this.#json<Value>({ method: "PUT", path, subject, body: typed(kind, object, options) });
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options: WriteOptions = {},
  ): Promise<Value> {
    const subject = { verb: "patch", object: describeObject(kind, namespace, name) };
    const path = withQuery(resourcePath(kind, namespace, name, options.subresource), writeQuery(options));
    return await this.#json<Value>({
      method: "PATCH",
      path,
      subject,
      body: patch,
      contentType: "application/merge-patch+json",
    });
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value> {
    const { name, namespace } = object.metadata;
    if (name === undefined) throw userError("object-missing", `apply of ${kind.kind}: metadata.name is missing`);
    const subject = { verb: "apply", object: describeObject(kind, namespace, name) };
    const query = { ...writeQuery(options), force: options.force === true ? "true" : undefined };
    const path = withQuery(resourcePath(kind, namespace, name, options.subresource), query);
    // The content type requires YAML. JSON is valid YAML.
    return await this.#json<Value>({
      method: "PATCH",
      path,
      subject,
      body: typed(kind, object, {}),
      contentType: "application/apply-patch+yaml",
    });
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const subject = { verb: "delete", object: describeObject(kind, namespace, name) };
    const body = { kind: "DeleteOptions", apiVersion: "v1", ...options };
    try {
      await this.#json({ method: "DELETE", path: resourcePath(kind, namespace, name), subject, body });
    } catch (error) {
      if (!isCode(error, "not-found")) throw error;
    }
  }

  async *watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    const object = describeObject(kind, options.namespace);
    const path = withQuery(resourcePath(kind, options.namespace), {
      ...selectorQuery(options),
      watch: "true",
      allowWatchBookmarks: "true",
      ...(options.sendInitialEvents === true
        ? { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }
        : { resourceVersion: options.resourceVersion }),
      timeoutSeconds: String(watchTimeoutSeconds),
    });
    const subject = { verb: "watch", object };
    const exchange = { method: "GET", path, subject, ...this.#accept(metadataObject) };
    const response = await this.#within(options.signal, subject, async (signal) => {
      const answer = await this.#send({ ...exchange, signal });
      if (answer.status === 200) return answer;
      throw errorOfStatus(subject, answer.status, await readAll(answer.body, subject), answer.headers["retry-after"]);
    });
    yield* this.#watched<Value>(response, subject, options);
  }

  /**
   * Yields the events of a watch until the server ends it. The time limit is for a server that hangs, because such a
   * server does not end the watch, and may still answer pings.
   */
  async *#watched<Value extends KubernetesObject>(
    response: TransportResponse,
    subject: RequestSubject,
    { signal, excerpt }: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    const { object } = subject;
    const late = transientError(
      "timeout",
      `watch of ${object}: the server has not ended it after ${watchTimeoutSeconds} s, as it was asked to`,
    );
    using _limit = this.#clock.after(watchTimeoutSeconds * 1000 + this.#requestTimeoutMs, () =>
      response.body.destroy(late),
    );
    using _abort = onAbort(signal, () => response.body.destroy());
    const decoder = new LineDecoder(maxWatchLineBytes);
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        for (const line of decoder.push(chunk)) yield watchEventOf<Value>(line, subject, excerpt);
      }
    } catch (error) {
      if (error instanceof SerinError) throw error;
      if (signal?.aborted === true) return;
      throw transientError("unreachable", `watch of ${object}: the connection broke`, { cause: error });
    } finally {
      response.body.destroy();
    }
  }

  async raw(method: string, path: string, options: RawOptions = {}): Promise<RawResponse> {
    const subject = { verb: method, object: path };
    await this.#credentials.prepare(options.signal);
    return await this.#within(options.signal, subject, async (signal) => {
      const response = await this.#sendPatiently({ method, path, subject, ...options, signal });
      const text = await readAll(response.body, subject);
      return { status: response.status, headers: response.headers, text };
    });
  }

  async #pages<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: ListOptions,
    limit: number | undefined,
  ): Promise<ListResult<Value>> {
    const subject = { verb: "list", object: describeObject(kind, options.namespace) };
    const { excerpt } = options;
    const accept = excerpt === undefined ? this.#accept(metadataList) : { accept: binaryOrJson };
    const ask = (next: string | undefined): Promise<AnswerBody> => {
      const query = {
        ...selectorQuery(options),
        limit: limit === undefined ? undefined : String(limit),
        continue: next,
      };
      const response = this.#answer({
        method: "GET",
        path: withQuery(resourcePath(kind, options.namespace), query),
        subject,
        ...accept,
      });
      // Prevent an unhandled rejection: this request may fail while the previous page is still being read.
      response.catch(() => undefined);
      return response;
    };
    const items: Value[] = [];
    let resourceVersion = "";
    for (let pending: Promise<AnswerBody> | undefined = ask(undefined); pending !== undefined;) {
      let early: Promise<AnswerBody> | undefined;
      // Request the next page before the objects of this one are read, so that the server prepares it meanwhile.
      const page: ListPage<Value> = readPage(await pending, subject, excerpt, (token) => {
        early = ask(token);
      });
      for (const item of page.items) {
        item.apiVersion ??= apiVersionOf(kind);
        item.kind ??= kind.kind;
        items.push(item);
      }
      resourceVersion = page.resourceVersion;
      pending = early ?? (page.next === "" ? undefined : ask(page.next));
    }
    return { items, resourceVersion };
  }

  #accept(metadata: string): Pick<Exchange, "accept"> {
    return this.#metadataOnly ? { accept: metadata } : {};
  }

  async #json<Answer>(exchange: Exchange): Promise<Answer> {
    return parsed<Answer>(await this.#text(exchange), exchange.subject);
  }

  async #text(exchange: Exchange): Promise<string> {
    return (await this.#answer(exchange)).bytes.toString("utf8");
  }

  async #answer(exchange: Exchange): Promise<AnswerBody> {
    await this.#credentials.prepare(exchange.signal);
    return await this.#within(exchange.signal, exchange.subject, async (signal) => {
      const response = await this.#sendPatiently({ ...exchange, signal });
      const bytes = await readAllBytes(response.body, exchange.subject);
      const isBinary = response.headers["content-type"]?.startsWith(binaryType) ?? false;
      if (response.status >= 300)
        throw errorOfStatus(
          exchange.subject,
          response.status,
          isBinary ? JSON.stringify(readStatus(bytes)) : bytes.toString("utf8"),
          response.headers["retry-after"],
        );
      return { isBinary, bytes };
    });
  }

  /** Runs one exchange with the time limit of a request. */
  async #within<Answer>(
    outer: AbortSignal | undefined,
    subject: RequestSubject,
    run: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const deadline = new AbortController();
    let late: SerinError | undefined;
    using _limit = this.#answers.over(subject, (error) => {
      late = error;
      deadline.abort(error);
    });
    using _abort = onAbort(outer, () => deadline.abort(outer?.reason));
    try {
      return await run(deadline.signal);
    } catch (error) {
      // If the time limit ends the request during its response, the error looks like a broken connection.
      const isOurs = !(error instanceof SerinError) || error.code === "unreachable";
      if (!deadline.signal.aborted || !isOurs) throw error;
      const request = `${subject.verb} of ${subject.object}`;
      if (outer?.aborted === true) {
        const isLate = outer.reason instanceof DOMException && outer.reason.name === "TimeoutError";
        throw isLate
          ? transientError("timeout", `${request}: no answer in time`, { cause: error })
          : transientError("cancelled", `${request} was cancelled`, { cause: error });
      }
      throw late ?? error;
    }
  }

  /**
   * Sends a request, and repeats it if the server responds with 429. Any request may be repeated, because a server that
   * responds with 429 has not executed it. The wait before a repetition is that of the Retry-After header, and may be
   * 0. If the waits would exceed the time limit of the request, returns the 429 response, because it contains the
   * reason.
   */
  async #sendPatiently(exchange: Exchange): Promise<TransportResponse> {
    let waitedMs = 0;
    for (let retry = 0; ; retry += 1) {
      const response = await this.#send(exchange);
      const waitMs = secondsOf(response.headers["retry-after"]) * 1_000;
      const isBusy = response.status === 429 && waitMs <= maxBusyWaitMs;
      waitedMs += waitMs;
      if (!isBusy || retry >= this.#busyRetries || waitedMs >= this.#requestTimeoutMs) return response;
      response.body.resume();
      await this.#clock.sleep(waitMs, exchange.signal);
    }
  }

  async #send(exchange: Exchange): Promise<TransportResponse> {
    const { method, path, body, contentType = "application/json", accept = "application/json", signal } = exchange;
    const request = {
      method,
      path: `${this.#prefix}${path}`,
      headers: {
        accept,
        "user-agent": this.#userAgent,
        ...(body === undefined ? {} : { "content-type": contentType }),
      },
      ...(body === undefined ? {} : { body: encode(body) }),
      ...(signal === undefined ? {} : { signal }),
    };
    if (signal !== undefined) setMaxListeners(0, signal);
    try {
      return await this.#transported(request);
    } catch (error) {
      // Before the server's first response, there was no older connection that could have been broken.
      const isKept = this.#answers.hasAnswered;
      if (method !== "GET" || !isKept || !isCode(error, "unreachable") || signal?.aborted === true) throw error;
      // A restarted server may have ended the existing connection. A read can safely be repeated.
      this.#log.debug("reading again on a new connection", { path });
      return await this.#transported(request);
    }
  }

  /** Requests the server's version. Any response shows that the server is alive, even an error. */
  async #askVersion(signal: AbortSignal): Promise<void> {
    const subject = { verb: "GET", object: "/version" };
    const { body } = await this.#send({ method: "GET", path: "/version", subject, signal });
    body.resume();
  }

  async #transported(request: TransportRequest): Promise<TransportResponse> {
    const response = await this.#transport.send(request);
    this.#answers.answered();
    return response;
  }
}

function parseServer(config: KubeConfig): URL {
  try {
    return new URL(config.server);
  } catch (error) {
    throw userError("kubeconfig-invalid", `the server of context "${config.context}" is not a URL: ${config.server}`, {
      cause: error,
    });
  }
}

/**
 * The seconds in a Retry-After header. Returns NaN if the header is absent or contains a date, which API servers do not
 * send.
 */
function secondsOf(retryAfter: string | undefined): number {
  return /^\d+$/.test(retryAfter ?? "") ? Number(retryAfter) : Number.NaN;
}

function encode(body: unknown): string | Uint8Array {
  return typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
}

function typed<Value extends KubernetesObject>(
  kind: KindDefinition<Value>,
  object: Value,
  { subresource }: WriteOptions,
): Value {
  // The object of a subresource may have its own kind (Scale, Binding, Eviction), which must stay.
  if (object.kind !== undefined && (object.apiVersion !== undefined || subresource !== undefined)) return object;
  return { apiVersion: apiVersionOf(kind), kind: kind.kind, ...object };
}

function writeQuery({ fieldManager, dryRun }: WriteOptions): Record<string, string | undefined> {
  return { fieldManager, dryRun: dryRun === true ? "All" : undefined };
}

async function readAll(body: Readable, subject: RequestSubject): Promise<string> {
  return (await readAllBytes(body, subject)).toString("utf8");
}

async function readAllBytes(body: Readable, subject: RequestSubject): Promise<Buffer> {
  try {
    return await wholeBody(body, maxAnswerBytes);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    if (error instanceof TooLong)
      throw transientError(
        "answer-too-long",
        `${subject.verb} of ${subject.object}: the answer is longer than ${maxAnswerBytes} bytes`,
      );
    throw transientError(
      "unreachable",
      `${subject.verb} of ${subject.object}: the connection broke in the middle of the answer`,
      { cause: error },
    );
  }
}

const initialEventsEnd = "k8s.io/initial-events-end";

function watchEventOf<Value extends KubernetesObject>(
  line: string,
  subject: RequestSubject,
  excerpt: Excerpt | undefined,
): WatchEvent<Value> {
  let event: { type?: string; object?: Value };
  try {
    event = JSON.parse(line) as { type?: string; object?: Value };
  } catch (error) {
    throw unreadable(subject, error);
  }
  const { type, object } = event;
  if (type === "ERROR") throw errorOfWatchStatus(subject.object, object);
  if (object === undefined) throw unreadable(subject, toSerinError(`an event of type ${type ?? "?"} without object`));
  if (type === "BOOKMARK") {
    const { annotations, resourceVersion = "" } = object.metadata;
    const ends = annotations?.[initialEventsEnd] === "true";
    return { type, resourceVersion, ...(ends ? { endsInitialEvents: true } : {}) };
  }
  if (type === "ADDED" || type === "MODIFIED" || type === "DELETED")
    return { type, object: excerpt === undefined ? object : pickExcerpt(excerpt, object) };
  throw unreadable(subject, toSerinError(`an event of the unknown type ${type ?? "?"}`));
}

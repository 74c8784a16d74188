import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { UntypedObject } from "../api/index.ts";
import {
  messageOf,
  nodeHttp,
  SerinError,
  transientError,
  userError,
  type Clock,
  type Logger,
  withoutEnd,
} from "../base/index.ts";
import { readBytes } from "../base/joined-bytes/index.ts";
import { AuthorizedTransport } from "./authorized-transport.ts";
import { Credentials } from "./credentials.ts";
import { Http1Transport } from "./http1-transport.ts";
import type { KubeConfig } from "./kube-config.ts";
import type { OverlaidObject, RelayedWatches, ShownVersion } from "./relayed-watches.ts";
import type { TransportResponse } from "./transport.ts";

export interface ReadOnlyRelayOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** The plural names of resources that callers cannot see, such as `envoyfilters`. */
  readonly hidden?: readonly string[];
  /** Objects that callers see instead of the server's objects with the same names, or in addition to them. */
  readonly overlaid?: readonly OverlaidObject[];
}

/**
 * An API server on loopback that forwards only reads. It is for processes that must neither write nor have credentials.
 */
export interface ReadOnlyRelay {
  /** A kubeconfig for the relay, as JSON, which is valid YAML. It contains a token, so its file must be private. */
  readonly kubeconfig: string;
  /** The refused requests, such as `POST /api/v1/…`, at most {@link maxNoted}. */
  readonly refused: readonly string[];
  /**
   * Replaces the set of overlaid objects. Watchers receive the new objects. For objects that are no longer overlaid,
   * they receive the server's object. Returns the versions that they receive. Throws a transient error if nobody
   * watches the kind of one of these objects.
   */
  overlay(objects: readonly OverlaidObject[]): Promise<readonly ShownVersion[]>;
  close(): void;
}

export const maxNoted = 100;
const maxBodyBytes = 1 << 20;
const tokenBytes = 24;
const liveTimeoutMs = 5000;
const liveAttempts = 10;
/** The paths of reviews. A POST to them only asks a question, and the server stores nothing. */
const askingPosts = /^\/apis\/(authorization|authentication)\.k8s\.io\/[^/]+\/(self)?(subject|token)[a-z]*reviews$/;
/** Paths at which even a GET acts on a pod, Service or node. */
const actingPaths = /\/(pods|services|nodes)\/[^/]+\/(exec|attach|portforward|proxy)(\/|$)/;

/**
 * Starts a relay on a free port of 127.0.0.1. The caller must close it. Throws a transient error if it cannot listen.
 */
export async function serveReadOnlyRelay(config: KubeConfig, options: ReadOnlyRelayOptions): Promise<ReadOnlyRelay> {
  // Loaded on demand, because most processes that load this file start no relay.
  const watches = await import("./relayed-watches.ts");
  const relay = new Relay(config, new watches.RelayedWatches(), options);
  const server = nodeHttp().createServer((request, response) => void relay.answer(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(transientError("cannot-listen", `cannot listen on 127.0.0.1: ${error.message}`, { cause: error })),
    );
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    kubeconfig: kubeconfigOf(portOf(server), relay.token),
    refused: relay.refused,
    overlay: async (objects) => await relay.overlay(objects),
    close: () => {
      server.close();
      server.closeAllConnections();
      relay.close();
    },
  };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function kubeconfigOf(port: number, token: string): string {
  const name = "read-only";
  return `${JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
  })}\n`;
}

class Relay {
  readonly token = randomBytes(tokenBytes).toString("hex");
  readonly refused: string[] = [];
  readonly #transport: AuthorizedTransport;
  readonly #prefix: string;
  readonly #hidden: readonly string[];
  readonly #watches: RelayedWatches;
  #overlaid: readonly OverlaidObject[];
  readonly #log: Logger;

  constructor(
    config: KubeConfig,
    watches: RelayedWatches,
    { clock, log, hidden = [], overlaid = [] }: ReadOnlyRelayOptions,
  ) {
    this.#watches = watches;
    const credentials = new Credentials(config, clock);
    this.#transport = new AuthorizedTransport(new Http1Transport(config, credentials), credentials);
    this.#prefix = withoutEnd(new URL(config.server).pathname, "/");
    this.#hidden = hidden;
    this.#overlaid = overlaid;
    this.#log = log;
  }

  close(): void {
    this.#transport.close();
  }

  async overlay(objects: readonly OverlaidObject[]): Promise<readonly ShownVersion[]> {
    const before = this.#overlaid.filter((old) => !objects.some((added) => isSame(added, old)));
    this.#overlaid = objects;
    const shown = [
      ...objects.map((object) => this.#watches.show(object)),
      ...(await Promise.all(before.map(async (old) => await this.#showLive(old)))),
    ];
    const announced = shown.filter((version) => version !== undefined);
    if (announced.length < shown.length)
      throw transientError("not-watched", "nobody watches the object's kind through this relay");
    return announced;
  }

  /**
   * Shows the server's object to watchers again. Repeats the read if a watch has reported an event of the kind
   * meanwhile.
   */
  async #showLive(old: OverlaidObject): Promise<ShownVersion | undefined> {
    for (let attempt = 0; attempt < liveAttempts; attempt += 1) {
      const passed = this.#watches.passed(old.kind);
      const live = await this.#live(old);
      if (this.#watches.passed(old.kind) === passed)
        return live === undefined ? this.#watches.hide(old) : this.#watches.show({ kind: old.kind, object: live });
    }
    throw transientError("watch-behind", `${old.kind.plural} change faster than the relay reads one of them`);
  }

  /** Reads the server's object, or undefined if it does not exist. */
  async #live({ kind, object }: OverlaidObject): Promise<UntypedObject | undefined> {
    const { namespace, name = "" } = object.metadata;
    const apiVersion = object.apiVersion ?? (kind.group === "" ? "v1" : `${kind.group}/${kind.versions[0] ?? ""}`);
    const path = `${kind.group === "" ? "/api" : "/apis"}/${apiVersion}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${kind.plural}/${name}`;
    const { status, body } = await this.#transport.send({
      method: "GET",
      path: `${this.#prefix}${path}`,
      headers: { accept: "application/json" },
      signal: AbortSignal.timeout(liveTimeoutMs),
    });
    const answer = await text(body);
    if (status === 404) return undefined;
    if (status !== 200) throw transientError("answer-unreadable", `GET ${path}: status ${status}`);
    return JSON.parse(answer) as UntypedObject;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    try {
      await this.#answer(request, response);
    } catch (error) {
      this.#log.debug("a read could not be forwarded", { path: request.url ?? "", error: messageOf(error) });
      if (response.headersSent) response.destroy();
      else if (error instanceof SerinError && error.code === "request-too-long")
        answerStatus(response, 413, "RequestEntityTooLarge", error.message);
      else answerStatus(response, 503, "ServiceUnavailable", messageOf(error));
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = request;
    const path = pathOf(url);
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return answerStatus(response, 401, "Unauthorized", "the token is not this relay's");
    if (path === undefined) return answerStatus(response, 400, "BadRequest", `${url} is not the path of a resource`);
    const isQuestion = method === "POST" && askingPosts.test(path);
    if ((method !== "GET" && method !== "HEAD" && !isQuestion) || actingPaths.test(path)) {
      if (this.refused.length < maxNoted) this.refused.push(`${method} ${path}`);
      return answerStatus(response, 403, "Forbidden", `${method} ${path}: only reads are forwarded`);
    }
    const resource = resourceOf(path);
    if (resource !== undefined && this.#hidden.includes(resource.plural))
      return answerNone(url, resource, request, response);
    const collection = resource?.subresource === undefined ? resource : undefined;
    if (
      collection?.name === undefined &&
      collection !== undefined &&
      method === "GET" &&
      isWatch(new URL(url, "http://relay").searchParams)
    ) {
      await this.#watch(url, collection, request, response);
      return;
    }
    const overlaid = this.#overlaid.filter(
      ({ kind, object }) =>
        kind.group === collection?.group &&
        kind.plural === collection.plural &&
        (collection.namespace === undefined || object.metadata.namespace === collection.namespace),
    );
    if (collection !== undefined && overlaid.length > 0 && method === "GET")
      await this.#overlay(url, collection, overlaid, request, response);
    else await this.#relay(method, url, request, response, isQuestion ? await readBody(request) : undefined);
  }

  /** Forwards a watch of a collection, without the server's events for overlaid objects. */
  async #watch(url: string, collection: Collection, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#send(
      "GET",
      url,
      { accept: request.headers.accept, "user-agent": request.headers["user-agent"] },
      response,
    );
    const type = answer.headers["content-type"];
    response.writeHead(answer.status, type === undefined ? {} : { "content-type": type });
    response.flushHeaders();
    // Forward a watch in Kubernetes' binary form unchanged, because the relay can insert events only into JSON.
    // Upstream's control planes may request this form.
    if (type?.startsWith("application/json") !== true) {
      answer.body.on("error", () => response.destroy());
      answer.body.pipe(response);
      return;
    }
    const { searchParams } = new URL(url, "http://relay");
    const hides = ({ metadata }: UntypedObject): boolean =>
      this.#overlaid.some(
        ({ kind, object }) =>
          kind.group === collection.group &&
          kind.plural === collection.plural &&
          object.metadata.name === metadata.name &&
          object.metadata.namespace === metadata.namespace,
      );
    this.#watches.pass(collection, searchParams.get("resourceVersion") ?? "", answer.body, response, hides);
  }

  /** Responds to a read of an object or a list with the overlaid objects instead of the server's. */
  async #overlay(
    url: string,
    { version, name }: Collection,
    overlaid: readonly OverlaidObject[],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { searchParams } = new URL(url, "http://relay");
    const objects = overlaid.map(({ kind, object }) => ({
      ...object,
      apiVersion: kind.group === "" ? version : `${kind.group}/${version}`,
    }));
    if (name !== undefined) {
      const own = objects.find(({ metadata }) => metadata.name === name);
      if (own === undefined) await this.#relay("GET", url, request, response, undefined);
      else answerJson(response, 200, own);
      return;
    }
    const answer = await this.#send("GET", url, { accept: "application/json" }, response);
    const body = await text(answer.body);
    if (answer.status !== 200) return answerJson(response, answer.status, JSON.parse(body));
    const list = JSON.parse(body) as { items?: UntypedObject[] | null };
    const others = (list.items ?? []).filter(
      ({ metadata }) =>
        !objects.some(
          (object) => object.metadata.name === metadata.name && object.metadata.namespace === metadata.namespace,
        ),
    );
    // Put the overlaid objects on the first page, even if their names belong on a later one.
    answerJson(response, 200, { ...list, items: searchParams.has("continue") ? others : [...others, ...objects] });
  }

  async #send(
    method: string,
    url: string,
    given: Readonly<Record<string, string | undefined>>,
    response: ServerResponse,
    body?: string,
  ): Promise<TransportResponse> {
    const ended = new AbortController();
    response.on("close", () => ended.abort());
    const present = Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return await this.#transport.send({
      method,
      path: `${this.#prefix}${url}`,
      headers: Object.fromEntries(present),
      signal: ended.signal,
      ...(body === undefined ? {} : { body }),
    });
  }

  async #relay(
    method: string,
    url: string,
    request: IncomingMessage,
    response: ServerResponse,
    body: string | undefined,
  ): Promise<void> {
    const given = {
      accept: request.headers.accept,
      "user-agent": request.headers["user-agent"],
      "content-type": body === undefined ? undefined : request.headers["content-type"],
    };
    const answer = await this.#send(method, url, given, response, body);
    const type = answer.headers["content-type"];
    response.writeHead(answer.status, type === undefined ? {} : { "content-type": type });
    answer.body.on("error", () => response.destroy());
    answer.body.pipe(response);
  }
}

function isSame(left: OverlaidObject, right: OverlaidObject): boolean {
  return (
    left.kind.group === right.kind.group &&
    left.kind.plural === right.kind.plural &&
    left.object.metadata.name === right.object.metadata.name &&
    left.object.metadata.namespace === right.object.metadata.namespace
  );
}

/** Reads the body of a review. Throws a user error if it has more than {@link maxBodyBytes}. */
async function readBody(request: IncomingMessage): Promise<string> {
  const tooLong = (): SerinError =>
    userError("request-too-long", `the body of a review has more than ${maxBodyBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) throw tooLong();
  return (await readBytes(request, maxBodyBytes, tooLong)).toString("utf8");
}

function answerStatus(response: ServerResponse, code: number, reason: string, message: string): void {
  answerJson(response, code, { apiVersion: "v1", kind: "Status", status: "Failure", code, reason, message });
}

function answerJson(response: ServerResponse, code: number, value: unknown): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function answerSilence(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  request.on("close", () => response.end());
}

function isWatch(query: URLSearchParams): boolean {
  return query.get("watch") === "true" || query.get("watch") === "1";
}

/**
 * Returns the path as a server interprets it, decoded and without empty segments, so that another spelling of a path
 * does not bypass the checks. Returns undefined for a malformed path or one with `.` or `..` segments, because no
 * client needs these.
 */
function pathOf(url: string): string | undefined {
  try {
    const path = decodeURIComponent(url.split("?")[0] ?? "/").replaceAll(/\/{2,}/g, "/");
    return path.split("/").some((part) => part === "." || part === "..") ? undefined : path;
  } catch {
    return undefined;
  }
}

interface Collection {
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
}

interface ResourcePath extends Collection {
  readonly subresource: string | undefined;
}

/**
 * Parses `/apis/<group>/<version>[/namespaces/<namespace>]/<plural>[/<name>[/<subresource>]]`. Returns undefined for
 * other paths.
 */
function resourceOf(path: string): ResourcePath | undefined {
  const [root, ...words] = path.split("/").filter((word) => word !== "");
  if (root !== "api" && root !== "apis") return undefined;
  const [group = "", version = "", ...rest] = root === "api" ? ["", ...words] : words;
  const isWithin = rest[0] === "namespaces" && rest.length > 2;
  const [plural, name, ...more] = isWithin ? rest.slice(2) : rest;
  const subresource = more.length === 0 ? undefined : more.join("/");
  return plural === undefined
    ? undefined
    : { group, version, namespace: isWithin ? rest[1] : undefined, plural, name, subresource };
}

/** Responds as if the kind had no objects: with 404 for a name, an empty list, or a watch without events. */
function answerNone(
  url: string,
  { group, version, plural, name }: ResourcePath,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (isWatch(new URL(url, "http://relay").searchParams)) return answerSilence(request, response);
  if (name !== undefined) return answerStatus(response, 404, "NotFound", `${plural} "${name}" not found`);
  answerJson(response, 200, {
    apiVersion: group === "" ? version : `${group}/${version}`,
    kind: "List",
    metadata: { resourceVersion: "1" },
    items: [],
  });
}

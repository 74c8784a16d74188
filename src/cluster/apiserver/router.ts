import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { messageOf, SerinError, sourceStack } from "../../base/index.ts";
import { prometheusContentType } from "../../telemetry/index.ts";
import { AdmissionRefusal } from "../admission/index.ts";
import type { AccessAttributes, Authenticator, User } from "../auth/index.ts";
import { SchemaFault, type ResourceType } from "../schema/contract.ts";
import { authorize, sendBytes, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import type { Discovery } from "./discovery.ts";
import { impersonated } from "./impersonate.ts";
import { answerMetrics, isMetrics } from "./metrics-api.ts";
import { answerFormOf } from "./negotiate.ts";
import { answerPath } from "./paths.ts";
import { selectedName } from "./field-selector.ts";
import { bindPod, evictPod } from "./pod-subresources.ts";
import { hasNoLogsYet, isProxied, proxyTarget } from "./proxy-targets.ts";
import { getObject, listObjects } from "./read.ts";
import { deleteCollection, deleteObject } from "./remove.ts";
import { RequestMetrics } from "./request-metrics.ts";
import { requestInfoOf, type RequestInfo, type ResourceRequest } from "./request-info.ts";
import { answerReview, createToken, isReview } from "./reviews.ts";
import { scaleOf } from "./scale.ts";
import { ApiError, badRequest, methodNotAllowed, notFound, NotServed, unknownPath } from "./status.ts";
import { admitConnection } from "./subresource-admission.ts";
import type { UnreadAnswers } from "./unread-answers.ts";
import { watchObjects } from "./watch.ts";
import { createObject, patchObject, updateObject } from "./write.ts";
import type { Writer } from "./writer.ts";

/** Passes a request through authentication, parsing and authorization to its handler. */
export class Router {
  readonly #parts: ServerParts;
  readonly #writer: Writer;
  readonly #discovery: Discovery;
  readonly #authenticator: Authenticator;
  readonly #metrics: RequestMetrics;
  readonly #unread: UnreadAnswers;

  constructor(
    parts: ServerParts,
    writer: Writer,
    discovery: Discovery,
    authenticator: Authenticator,
    unread: UnreadAnswers,
  ) {
    this.#unread = unread;
    this.#parts = parts;
    this.#writer = writer;
    this.#discovery = discovery;
    this.#authenticator = authenticator;
    this.#metrics = new RequestMetrics(parts.clock);
  }

  /** Answers the request, if necessary with an error. Never throws. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const warnings: string[] = [];
    try {
      const url = new URL(`https://apiserver${request.url ?? "/"}`);
      const info = requestInfoOf(request.method ?? "GET", url.pathname, url.searchParams);
      const user = this.#userOf(request);
      authorize(this.#parts, user, attributesOf(info, url.searchParams));
      this.#unread.follow(user.name, response);
      if (info.kind === "resource" && request.method === "HEAD") throw methodNotAllowed();
      if (info.kind === "path" && info.path === "/metrics")
        return sendBytes({ response, warnings }, 200, Buffer.from(this.#metrics.text()), prometheusContentType);
      if (info.kind === "path")
        return answerPath(this.#parts, this.#discovery, {
          request,
          response,
          path: url.pathname,
          query: url.searchParams,
        });
      const type = this.#typeOf(info);
      this.#metrics.follow(info, url.searchParams, response);
      const deprecated = type.deprecationWarning ?? deprecations[`${type.storageKey}/${type.version}`];
      if (deprecated !== undefined) warnings.push(deprecated);
      await this.#resource({ request, response, info, query: url.searchParams, user, type, warnings });
      if (response.writableLength > longAnswerBytes) this.endUnread();
    } catch (error) {
      try {
        this.#refuse(error, request, response, warnings);
      } catch (fault) {
        this.#parts.log.error("a request could not be answered", { path: request.url, error: messageOf(fault) });
        response.destroy();
      }
    }
  }

  /** Ends answers that clients do not read, if their unread bytes exceed the limit. */
  endUnread(): void {
    const ended = this.#unread.enforce();
    if (ended !== undefined) this.#parts.log.warn("answers that a client does not read were cut off", { ...ended });
  }

  /** Handles a request to switch protocols (exec, attach, port-forward, proxied WebSockets). */
  async handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      const url = new URL(`https://apiserver${request.url ?? "/"}`);
      const info = requestInfoOf(request.method ?? "GET", url.pathname, url.searchParams);
      const user = this.#userOf(request);
      authorize(this.#parts, user, attributesOf(streamVerb(info), url.searchParams));
      if (info.kind === "path") throw unknownPath();
      const type = this.#typeOf(info);
      const context: ResourceContext = {
        request,
        response: undefined as never,
        info,
        query: url.searchParams,
        user,
        type,
        warnings: [],
      };
      if (!isProxied(context))
        throw new ApiError(400, "BadRequest", "the request asks for an upgrade that this resource does not offer");
      await admitConnection(this.#parts, context);
      await this.#parts.nodes.upgrade(proxyTarget(this.#parts, context), request, socket, head);
    } catch (error) {
      const { code, body } = this.#apiErrorOf(error, request);
      const text = JSON.stringify(body);
      socket.end(
        `HTTP/1.1 ${code} ${body.reason ?? "Error"}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
      );
    }
  }

  #userOf(request: IncomingMessage): User {
    // Identify the connection by its session, because each HTTP/2 request has a socket object of its own.
    const { session } = (request as IncomingMessage & { stream?: { session?: object } }).stream ?? {};
    const user = this.#authenticator.authenticate(session ?? request.socket, request.socket, request.headers);
    if (user === undefined) throw new ApiError(401, "Unauthorized", "Unauthorized");
    return impersonated(this.#parts.authorizer, user, request.headers);
  }

  #typeOf(info: ResourceRequest): ResourceType {
    const type = this.#parts.registry.resource(info.group, info.version, info.resource);
    if (type === undefined)
      throw this.#parts.registry.resources().some(({ group }) => group === info.group)
        ? unknownPath()
        : new NotServed();
    // The rights to a Namespace are those in the namespace of the same name, so a path through another namespace must
    // be refused.
    const ownNamespace = type.storageKey === "/namespaces" ? info.name : "";
    if (!type.namespaced && info.namespace !== ownNamespace) throw unknownPath();
    if (info.subresource !== "" && !type.subresources.some((subresource) => subresource.name === info.subresource))
      throw unknownPath();
    return type;
  }

  async #resource(context: ResourceContext): Promise<void> {
    const { info, type } = context;
    if (hasNoLogsYet(this.#parts, context)) return sendBytes(context, 200, Buffer.alloc(0), "text/plain");
    if (isProxied(context)) {
      await admitConnection(this.#parts, context);
      return await this.#parts.nodes.forward(proxyTarget(this.#parts, context), context.request, context.response);
    }
    if (info.subresource === "") requireVerb(type.verbs, info.verb);
    else
      requireVerb(
        type.subresources.find((subresource) => subresource.name === info.subresource)?.verbs ?? [],
        info.verb,
      );
    if (info.name === "" && ["update", "patch"].includes(info.verb)) throw methodNotAllowed();
    if (type.namespaced && info.namespace === "" && !["list", "watch"].includes(info.verb))
      throw info.name === "" ? methodNotAllowed() : unknownPath();
    if (isMetrics(type)) return await answerMetrics(this.#parts, context);
    switch (info.verb) {
      case "get":
        return await this.#get(context);
      case "list":
        return await listObjects(this.#parts, context);
      case "watch":
        return watchObjects(this.#parts, watchedContext(context));
      case "create":
        return await this.#create(context);
      case "update":
        return await updateObject(this.#parts, this.#writer, context);
      case "patch":
        return await patchObject(this.#parts, this.#writer, context);
      case "delete":
        return await deleteObject(this.#parts, context);
      case "deletecollection":
        return await deleteCollection(this.#parts, context);
      default:
        throw methodNotAllowed();
    }
  }

  async #get(context: ResourceContext): Promise<void> {
    const { info, type } = context;
    if (info.subresource !== "scale") return await getObject(this.#parts, context);
    const record = this.#parts.store.get(type.storageKey, info.namespace, info.name);
    if (record === undefined) throw notFound(type, info.name);
    sendJson(context, 200, scaleOf(type, this.#parts.encoder.objectIn(record, type)));
  }

  async #create(context: ResourceContext): Promise<void> {
    const { info, type } = context;
    if (isReview(context)) return await answerReview(this.#parts, context);
    if (type.storageKey === "/bindings" || (type.storageKey === "/pods" && info.subresource === "binding"))
      return await bindPod(this.#parts, this.#writer, context);
    if (type.storageKey === "/pods" && info.subresource === "eviction")
      return await evictPod(this.#parts, this.#writer, context);
    if (type.storageKey === "/serviceaccounts" && info.subresource === "token")
      return await createToken(this.#parts, context);
    if (info.subresource !== "" || info.name !== "") throw methodNotAllowed();
    await createObject(this.#parts, this.#writer, context);
  }

  #refuse(error: unknown, request: IncomingMessage, response: ServerResponse, warnings: string[]): void {
    const refused = this.#apiErrorOf(error, request);
    if (error instanceof NotServed && !response.headersSent)
      return sendBytes({ response, warnings }, refused.code, notServedText, "text/plain; charset=utf-8");
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (refused.details?.retryAfterSeconds !== undefined)
      response.setHeader("retry-after", String(refused.details.retryAfterSeconds));
    sendJson({ response, warnings }, refused.code, refused.body);
  }

  #apiErrorOf(error: unknown, request: IncomingMessage): ApiError {
    if (error instanceof ApiError) return error;
    if (error instanceof URIError || (error as { code?: unknown }).code === "ERR_INVALID_URL")
      return badRequest(`the path ${request.url ?? ""} is not well-formed`);
    if (error instanceof SchemaFault)
      return new ApiError(
        error.status,
        error.reason,
        error.message,
        error.causes.length === 0 ? undefined : { causes: error.causes },
      );
    if (error instanceof AdmissionRefusal)
      return new ApiError(error.code, error.reason, error.message, {
        ...error.subject,
        ...(error.causes.length === 0 ? {} : { causes: error.causes }),
      });
    if (error instanceof SerinError && error.kind === "transient")
      return new ApiError(500, "InternalError", error.message, { retryAfterSeconds: 1 });
    if (error instanceof SerinError && error.kind === "user")
      return new ApiError(500, "InternalError", error.message, {});
    this.#parts.log.error("a request failed", {
      method: request.method,
      path: request.url,
      error: error instanceof Error ? sourceStack(error) : String(error),
    });
    return new ApiError(
      500,
      "InternalError",
      `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
      {},
    );
  }
}

/**
 * If an answer has more unread bytes than this, the server checks all unread answers at once. The regular check finds
 * shorter ones.
 */
const longAnswerBytes = 65_536;
const notServedText = Buffer.from("404 page not found\n");

function requireVerb(verbs: readonly string[], verb: string): void {
  if (!verbs.includes(verb)) throw methodNotAllowed();
}

/** The request with the verb that authorizes a stream. As in kube-apiserver, exec by GET needs the right `create`. */
function streamVerb(info: RequestInfo): RequestInfo {
  if (info.kind === "path" || !["exec", "attach", "portforward"].includes(info.subresource)) return info;
  return { ...info, verb: "create" };
}

const deprecations: Readonly<Record<string, string>> = {
  "/endpoints/v1": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
  "/componentstatuses/v1": "v1 ComponentStatus is deprecated in v1.19+",
};

/** Turns a deprecated watch of one object by its path into a watch with a field selector on its name. */
function watchedContext(context: ResourceContext): ResourceContext {
  if (context.info.name === "") return context;
  const query = new URLSearchParams(context.query);
  query.set("fieldSelector", `metadata.name=${context.info.name}`);
  answerFormOf(context.request.headers.accept);
  return { ...context, query };
}

function attributesOf(info: RequestInfo, query: URLSearchParams): AccessAttributes {
  if (info.kind === "path")
    return { verb: info.verb, path: info.path, group: "", resource: "", subresource: "", namespace: "", name: "" };
  const { verb, group, resource, subresource, namespace } = info;
  // For a list or watch whose field selector names one object, the right to this object suffices.
  const selected = ["list", "watch"].includes(verb) ? selectedName(query.get("fieldSelector")) : undefined;
  return { verb, group, resource, subresource, namespace, name: info.name || (selected ?? "") };
}

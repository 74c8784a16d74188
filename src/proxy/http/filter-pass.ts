import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { FilterRequest, GrpcWebForm, HttpFilter, LocalReply, RequestBodyStart } from "../filters/http-filter.ts";
import type { MutationContext } from "../routing/header-mutation.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { PreferredEndpoint } from "../upstream/preferred-endpoint.ts";
import type { ClusterChoice, ClusterPick, Route } from "../routing/route.ts";
import type { MessageHead } from "../../wire/http1/index.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

export interface FilterPassOptions {
  readonly connection: ConnectionInfo;
  readonly facts: ExchangeRequest;
  readonly config: HttpConnectionConfig;
  readonly route: Route | undefined;
  /** Chooses a route by the request's present headers and metadata. */
  readonly chooseRoute: (request: RequestView) => Route | undefined;
  readonly pickCluster: (target: ClusterChoice) => ClusterPick | undefined;
  readonly hasBody: boolean;
  readonly bodyStart: (limit: number) => Promise<RequestBodyStart>;
  /** The trailers that came with the body: alternating names and values. */
  readonly trailers: () => readonly string[] | undefined;
  readonly setTrailers: (fields: readonly string[]) => void;
  readonly bodyHeld: (difference: number) => void;
  readonly markHealthCheck: () => void;
  /**
   * The facts to which variables in header values may refer. They do not yet contain the edits and the route of this
   * pass.
   */
  readonly valueContext: (response: MutationContext["response"]) => MutationContext;
}

/** The result of the filters: a reply that one of them made, or `pass`. */
export type FilterVerdict = LocalReply | "pass";

/** The pass of one request through the filters, with what they read and change. */
export class FilterPass implements FilterRequest {
  readonly #options: FilterPassOptions;
  readonly #facts: ExchangeRequest;
  #route: Route | undefined;
  /** Header edits by name, in lower case. Undefined means removed. */
  readonly #edits = new Map<string, string | readonly string[] | undefined>();
  /** Whether an edit concerns the request line or the host. */
  #editsTarget = false;
  #clientAddress: string | undefined;
  #abort: AbortController | undefined;
  #lengthIsOpen = false;
  #over = false;
  readonly metadata = new Map<string, unknown>();
  /** The body for the upstream, if a filter has replaced the client's. */
  newBody: Buffer | undefined;
  /** The form of gRPC-Web in which the client sends and receives bodies. If undefined, bodies stay unchanged. */
  grpcWeb: GrpcWebForm | undefined;
  readonly answerFields: (readonly [name: string, value: string])[] = [];

  constructor(options: FilterPassOptions) {
    this.#options = options;
    this.#facts = options.facts;
    this.#route = options.route;
  }

  get connection(): ConnectionInfo {
    return this.#options.connection;
  }

  get clientAddress(): string {
    return (this.#clientAddress ??= this.#facts.clientAddress(this.#options.config));
  }

  get route(): Route | undefined {
    return this.#route;
  }

  get cluster(): string | undefined {
    const action = this.#route?.action;
    if (action?.kind !== "forward") return undefined;
    const { target } = action;
    return target.kind === "header" ? this.header(target.header) : this.#options.pickCluster(target)?.cluster;
  }

  get head(): MessageHead {
    return this.#facts.head;
  }

  get method(): string {
    return this.#target.method;
  }

  get path(): string {
    return this.#target.path;
  }

  get query(): string {
    return this.#target.query;
  }

  get authority(): string {
    return this.#target.authority;
  }

  /**
   * The facts, including the edits of earlier filters to the request line and the host. A policy must see the request
   * that the upstream gets.
   */
  get #target(): ExchangeRequest {
    if (this.#editsTarget) this.applyEdits();
    return this.#facts;
  }

  get scheme(): "http" | "https" {
    return this.#facts.scheme;
  }

  header(name: string): string | undefined {
    if (this.#edits.size === 0 || !this.#edits.has(name)) return this.#facts.header(name);
    const edited = this.#edits.get(name);
    return typeof edited === "object" ? edited.join(",") : edited;
  }

  values(name: string): readonly string[] {
    if (this.#edits.has(name)) {
      const edited = this.#edits.get(name);
      return edited === undefined ? [] : typeof edited === "string" ? [edited] : edited;
    }
    return this.#facts.values(name);
  }

  isAsReceived(name: string): boolean {
    return (this.#edits.size === 0 || !this.#edits.has(name)) && this.#facts.isAsReceived(name);
  }

  setHeader(name: string, value: string | readonly string[]): void {
    this.#edits.set(name, value);
    if (name.charCodeAt(0) === 58 || name === "host") this.#editsTarget = true;
  }

  removeHeader(name: string): void {
    this.#edits.set(name, undefined);
  }

  *headers(): Iterable<readonly [name: string, value: string]> {
    for (const field of this.#facts.fields()) {
      const [name] = field;
      // Skip the header: in a request with HTTP/2 it only stands for a body of unknown length.
      if (name === "transfer-encoding" && this.#facts.isHttp2) continue;
      if (!this.#edits.has(name)) yield field;
    }
    for (const [name, value] of this.#edits) {
      if (typeof value === "string") yield [name, value];
      else for (const text of value ?? []) yield [name, text];
    }
  }

  addResponseHeader(name: string, value: string): void {
    this.answerFields.push([name, value]);
  }

  get hasBody(): boolean {
    return this.#options.hasBody;
  }

  bodyStart(limit: number): Promise<RequestBodyStart> {
    return this.#options.bodyStart(limit);
  }

  openLength(): void {
    this.#lengthIsOpen = true;
    this.#edits.set("content-length", undefined);
    this.#edits.set("transfer-encoding", "chunked");
  }

  bodyHeld(difference: number): void {
    this.#options.bodyHeld(difference);
  }

  replaceBody(bytes: Buffer): void {
    this.newBody = bytes;
    if (this.#lengthIsOpen) return;
    this.#edits.set("content-length", String(bytes.length));
    this.#edits.set("transfer-encoding", undefined);
  }

  get trailers(): readonly string[] | undefined {
    return this.#options.trailers();
  }

  setTrailers(fields: readonly string[]): void {
    this.#options.setTrailers(fields);
  }

  valueContext(response: MutationContext["response"]): MutationContext {
    const { metadata } = this;
    return { ...this.#options.valueContext(response), request: this, routeName: this.#route?.name ?? "", metadata };
  }

  get protocol(): FilterRequest["protocol"] {
    return this.#facts.protocol;
  }

  translateGrpcWeb(form: GrpcWebForm): void {
    this.grpcWeb = form;
  }

  prefer(endpoint: PreferredEndpoint): void {
    this.#facts.preferredEndpoint = endpoint;
  }

  markHealthCheck(): void {
    this.#options.markHealthCheck();
  }

  clearRoute(): void {
    this.applyEdits();
    this.#route = this.#options.chooseRoute(this);
  }

  applyEdits(): void {
    if (this.#edits.size === 0) return;
    this.#facts.applyFilterEdits(this.#edits, this.#options.config);
    this.#edits.clear();
    this.#editsTarget = false;
  }

  /** Runs the filters. `detach` is called before waiting for the first filter that needs time. */
  run(filters: readonly HttpFilter[], detach: () => void): FilterVerdict | Promise<FilterVerdict> {
    for (let index = 0; index < filters.length; index += 1) {
      const result = filters[index]?.onRequest(this, this.signal);
      if (result === undefined) continue;
      if (!(result instanceof Promise)) return result;
      detach();
      return this.#runLater(result, filters, index + 1);
    }
    this.applyEdits();
    return "pass";
  }

  /** Aborted when the client leaves or the exchange ends. */
  readonly signal = (): AbortSignal => (this.#abort ??= new AbortController()).signal;

  /** Called when the client leaves or the exchange ends. No further filter gets the request. */
  abort(): void {
    this.#over = true;
    this.#abort?.abort();
  }

  async #runLater(
    first: Promise<LocalReply | undefined>,
    filters: readonly HttpFilter[],
    next: number,
  ): Promise<FilterVerdict> {
    const reply = await first;
    if (reply !== undefined) return reply;
    for (const filter of filters.slice(next)) {
      if (this.#over) break;
      const later = await filter.onRequest(this, this.signal);
      if (later !== undefined) return later;
    }
    this.applyEdits();
    return "pass";
  }
}

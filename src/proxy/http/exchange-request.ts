import { isIP } from "node:net";
import { internalError, type Random } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import { MessageHead, scanRequestHead } from "../../wire/http1/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { RequestView } from "../routing/request-view.ts";
import { chooseCluster, type ClusterChoice, type ClusterPick } from "../routing/route.ts";
import { withoutPort } from "../routing/route-table.ts";
import type { PreferredEndpoint } from "../upstream/preferred-endpoint.ts";
import { clientCertificateField, type ClientCertificateField } from "./messages/client-certificate.ts";
import { isGrpcContentType } from "../terms/grpc-call.ts";
import { headText } from "../terms/header-text.ts";
import type { NewRequestId, RandomUuid } from "../terms/random-id.ts";
import {
  edgeField,
  edgeNames,
  forwardedPortHeader,
  fromClient,
  mayDescribeClient,
  trustsForwardedProto,
  type EdgeFacts,
} from "./messages/edge-fields.ts";
import type { ExchangeMemory, RepeatedText } from "./exchange-memory.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { nominatedFields } from "./nominated-fields.ts";
import { replyTable, type ReplyRow } from "./reply-table.ts";

const none: readonly string[] = [];

/** The empty head that an exchange has if the client's bytes were not a valid request. */
const noHead = new MessageHead();

/** New values by name in lower case. Undefined removes the header, and a list writes one field for each value. */
type HeadEdits = ReadonlyMap<string, string | readonly string[] | undefined>;

function oneOf(edits: HeadEdits, name: string): string | undefined {
  const value = edits.get(name);
  return typeof value === "object" ? value[0] : value;
}

export class ExchangeRequest implements RequestView, EdgeFacts {
  readonly connection: ConnectionInfo;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /**
   * Whether the listener treats the client as internal. The headers in which an internal client describes itself are
   * kept.
   */
  internalPeer = false;
  /** Whether the client speaks HTTP/2. Bodies then have no framing in either direction. */
  readonly isHttp2: boolean;
  /** The scheme of the request's URL. For an HTTP/1 client, `x-forwarded-proto` decides if the listener trusts it. */
  scheme: "http" | "https";
  forwardedProto = "";
  head: MessageHead;
  readonly #memory: ExchangeMemory;
  /**
   * A copy of the head. It exists if the head was edited, or must be kept longer than the buffer that it was read into.
   */
  #ownHead: MessageHead | undefined;
  method = "-";
  path = "";
  query = "";
  authority = "";
  protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  /** The path and query as the client sent them, or in normal form if the configuration normalizes them. */
  pathAndQuery = "-";
  #requestId = "";
  requestIdIsNew = false;
  /** The request's id, if the proxy has made it and no trace has changed it. */
  randomId: RandomUuid | undefined;
  userAgent = "";
  forwardedFor = "";
  isGrpc = false;
  isGrpcWeb = false;
  /** Whether the response passes filters. Its chunked framing is then removed. */
  answerPassesFilters = false;
  captured = none;
  preferredEndpoint: PreferredEndpoint | undefined;
  /** Names of headers (lower case) that filters have written or removed. */
  settled: ReadonlySet<string> | undefined;
  #config: HttpConnectionConfig | undefined;
  #picked: { readonly target: ClusterChoice; readonly pick: ClusterPick | undefined } | undefined;
  /** Whether the target to forward differs from the head's own. */
  targetDiffers = false;
  /** The client's address before a filter changed `x-forwarded-for`. Undefined if no filter did. */
  #unedited: string | undefined;

  /** Without a head, the exchange represents bytes that were not a request. */
  constructor(connection: ConnectionInfo, isHttp2: boolean, head: MessageHead | undefined, memory: ExchangeMemory) {
    this.connection = connection;
    this.local = connection.local;
    this.remote = connection.remote;
    this.scheme = connection.tls === undefined ? "http" : "https";
    this.isHttp2 = isHttp2;
    this.protocol = isHttp2 ? "HTTP/2" : "HTTP/1.1";
    this.head = head ?? noHead;
    this.#memory = memory;
  }

  /**
   * The cluster of a route's target. A choice by weight is made only once, because a filter may already have read it.
   */
  pickCluster(target: ClusterChoice, random: Random): ClusterPick | undefined {
    if (target.kind !== "weighted") return chooseCluster(target, (name) => this.header(name), random);
    if (this.#picked?.target !== target)
      this.#picked = { target, pick: chooseCluster(target, (name) => this.header(name), random) };
    return this.#picked.pick;
  }

  get isConnect(): boolean {
    return this.method === "CONNECT";
  }

  /** Reads and checks the head. Returns the reply with which the request must be refused, or undefined. */
  read(config: HttpConnectionConfig, newRequestId: NewRequestId): ReplyRow | undefined {
    this.#config = config;
    this.method = this.head.method();
    const { head } = this;
    if (!this.isHttp2) this.protocol = head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1";
    const contentType = head.find("content-type");
    this.isGrpc = contentType >= 0 && isGrpcContentType(head.value(contentType));
    if (this.protocol === "HTTP/1.0" && !config.acceptHttp10) {
      this.pathAndQuery = head.target();
      return replyTable.oldVersion;
    }
    // Refuse a method with small letters: a server that ignores case would see another method than the policies do.
    if (this.method !== "GET" && /[a-z]/.test(this.method)) return replyTable.badMethod;
    if (!this.#readTarget(config)) return replyTable.badPath;
    if (this.authority === "") return replyTable.noHost;
    if (head.connectionNominates && !this.#dropNominated(config)) return replyTable.badConnectionField;
    if (config.underscores !== undefined && !this.#judgeUnderscores(config, config.underscores))
      return replyTable.underscore;
    this.#readIdentity(config, newRequestId);
    return undefined;
  }

  /** Removes the headers that `connection` names. They end at this hop, so policies do not see them either. */
  #dropNominated(config: HttpConnectionConfig): boolean {
    const names = nominatedFields(this.head);
    if (names === undefined) return false;
    const present = names.filter((name) => this.head.find(name) >= 0);
    if (present.length > 0) this.rewriteHead(new Map(present.map((name) => [name, undefined])), config);
    return true;
  }

  /**
   * Applies the rule for header names with an underscore. A server that turns headers into variables, as CGI does,
   * cannot distinguish `a_b` from `a-b`, which a proxy before it may have checked.
   */
  #judgeUnderscores(config: HttpConnectionConfig, rule: "reject" | "drop"): boolean {
    const { head } = this;
    const dropped = new Map<string, undefined>();
    for (let field = 0; field < head.fieldCount; field += 1) {
      const name = head.name(field).toLowerCase();
      if (name.includes("_")) dropped.set(name, undefined);
    }
    if (dropped.size > 0 && rule === "drop") this.rewriteHead(dropped, config);
    return dropped.size === 0 || rule === "drop";
  }

  /** The host for the upstream, if it differs from the one that the client sent. */
  changedHost(): string | undefined {
    const { head } = this;
    const original = head.hostField < 0 ? "" : this.#valueOf(head.hostField, this.#memory.host);
    return this.authority === original || this.authority === this.#memory.host.lower(original)
      ? undefined
      : this.authority;
  }

  /** The client's address: the one in `x-forwarded-for` if the listener trusts that header, otherwise the peer's. */
  clientAddress(config: HttpConnectionConfig): string {
    if (this.#unedited !== undefined) return this.#unedited;
    const hops = config.useRemoteAddress ? config.trustedHops : config.trustedHops + 1;
    if (hops === 0) return this.remote.address;
    const given = forwardedForOf(this.head)?.split(",") ?? [];
    const claimed = given.at(-hops)?.trim() ?? "";
    // An invalid address does not identify the client, so rules use the peer's address.
    return isIP(claimed) !== 0 && !claimed.includes("%") ? claimed : this.remote.address;
  }

  get externalAddress(): string {
    return this.#config === undefined ? this.remote.address : this.clientAddress(this.#config);
  }

  /** The port that the client used. A client behind a trusted proxy may name it itself. */
  get forwardedPort(): string | undefined {
    const config = this.#config;
    return config?.appendForwardedPort === true && (config.trustedHops === 0 || this.head.find(forwardedPortHeader) < 0)
      ? String(this.local.port)
      : undefined;
  }

  get clientCertificate(): ClientCertificateField {
    return this.#config === undefined ? "drop" : clientCertificateField(this.#config, this.connection.tls, this.head);
  }

  get requestId(): string {
    return this.randomId?.toString() ?? this.#requestId;
  }

  set requestId(id: string) {
    this.randomId = undefined;
    this.#requestId = id;
  }

  get newRequestId(): string | undefined {
    return this.requestIdIsNew ? this.requestId : undefined;
  }

  /**
   * The value of a header for routes and filters: the proxy's own value if it has one about the client, otherwise the
   * client's header. `name` is in lower case.
   */
  header(name: string): string | undefined {
    const own = this.#edgeField(name);
    return own === fromClient ? this.head.get(name) : own;
  }

  /** Like {@link header}, with one value for each field of that name. */
  values(name: string): readonly string[] {
    const own = this.#edgeField(name);
    return own === fromClient ? this.head.values(name) : own === undefined ? none : [own];
  }

  /** Whether the fields of that name are those of the client's head. */
  isAsReceived(name: string): boolean {
    return this.#edgeField(name) === fromClient;
  }

  /** All headers as {@link header} reads them, with names in lower case. */
  *fields(): Iterable<readonly [name: string, value: string]> {
    const { head } = this;
    for (let field = 0; field < head.fieldCount; field += 1) {
      const name = head.name(field).toLowerCase();
      if (this.#edgeField(name) === fromClient) yield [name, head.value(field)];
    }
    for (const name of edgeNames) {
      const own = this.#edgeField(name);
      if (typeof own === "string") yield [name, own];
    }
  }

  #edgeField(name: string): string | undefined | typeof fromClient {
    const config = this.#config;
    if (config === undefined || !mayDescribeClient(name) || this.settled?.has(name) === true) return fromClient;
    return edgeField(name, this, config);
  }

  /**
   * Like {@link rewriteHead}, for the edits of a filter. The proxy's own values about the client do not replace these
   * headers.
   */
  applyFilterEdits(edits: HeadEdits, config: HttpConnectionConfig): void {
    // Keep the client's address from before the edit: a filter's edit changes what the upstream reads, and not where
    // the request comes from.
    if (edits.has("x-forwarded-for")) this.#unedited = this.clientAddress(config);
    this.rewriteHead(edits, config);
    this.settled = new Set([...(this.settled ?? none), ...edits.keys()]);
  }

  /** Copies the head, so that it can be kept longer than the buffer that it was read into. */
  detach(): void {
    if (this.head !== this.#ownHead) this.#keep(Buffer.from(this.head.bytes.subarray(this.head.start, this.head.end)));
  }

  /** Gives the head's memory to the next request, because the head is no longer read. */
  giveMemoryBack(): void {
    const own = this.#ownHead;
    if (own === undefined) return;
    this.#ownHead = undefined;
    this.head = noHead;
    this.#memory.giveHead(own);
  }

  /**
   * Changes the head. A value replaces all fields with its name (lower case), and undefined removes them. `:path`,
   * `:method` and `:authority` can be changed too.
   */
  rewriteHead(edits: HeadEdits, config: HttpConnectionConfig): void {
    const { head } = this;
    const host = oneOf(edits, ":authority") ?? oneOf(edits, "host");
    let text = `${oneOf(edits, ":method") ?? this.method} ${oneOf(edits, ":path") ?? head.target()} HTTP/1.${head.minorVersion}\r\n`;
    if (host !== undefined) text += `host: ${host}\r\n`;
    for (let field = 0; field < head.fieldCount; field += 1) {
      const name = head.name(field).toLowerCase();
      if (edits.has(name) || (host !== undefined && name === "host")) continue;
      if (name === "connection") {
        // Remove the names of these headers from `connection`, which must not remove headers that a filter has set:
        // they do not belong to the client's hop.
        const tokens = head
          .value(field)
          .split(",")
          .filter((token) => edits.get(token.trim().toLowerCase()) === undefined);
        text += `connection:${tokens.join(",")}\r\n`;
        continue;
      }
      text += head.bytes.toString("latin1", head.nameStarts[field], head.lineEnds[field]);
    }
    for (const [name, value] of edits)
      if (value !== undefined && name !== "host" && !name.startsWith(":"))
        for (const fieldValue of typeof value === "string" ? [value] : value) text += `${name}: ${fieldValue}\r\n`;
    this.#keep(Buffer.from(headText(`${text}\r\n`), "latin1"));
    this.method = this.head.method();
    if (!this.#readTarget(config))
      throw internalError("bad-filter-edit", `a filter gave a request a path that is not valid: ${this.head.target()}`);
  }

  #keep(bytes: Buffer): void {
    const own = (this.#ownHead ??= this.#memory.takeHead() ?? new MessageHead());
    if (scanRequestHead(own, bytes, 0, bytes.length, ownHeadLimits) <= 0)
      throw internalError("bad-filter-edit", `a filter made a request unreadable: ${own.error?.reason ?? "no end"}`);
    this.head = own;
  }

  #readTarget(config: HttpConnectionConfig): boolean {
    const { head } = this;
    const { host: kept, target: targets } = this.#memory;
    const text = targets.text(head.bytes, head.targetStart, head.targetEnd);
    const target = targets.read(this.method, text, config.path);
    this.pathAndQuery = target?.changed ?? text;
    if (target === undefined) return false;
    this.path = target.path;
    this.query = target.query;
    this.targetDiffers = target.changed !== undefined;
    const host =
      target.authority ?? (head.hostField < 0 ? config.defaultHostForHttp10 : this.#valueOf(head.hostField, kept));
    this.authority = kept.lower(this.#stripped(host, config.stripHostPort));
    return true;
  }

  #valueOf(field: number, kept: RepeatedText): string {
    const { bytes, valueStarts, valueEnds } = this.head;
    return kept.read(bytes, valueStarts[field] ?? 0, valueEnds[field] ?? 0);
  }

  /** Like {@link MessageHead.get}, for a value that many requests of the connection repeat. */
  #repeated(name: string, kept: RepeatedText): string | undefined {
    const { head } = this;
    const field = head.find(name);
    if (field < 0) return undefined;
    return head.find(name, field + 1) < 0 ? this.#valueOf(field, kept) : head.get(name);
  }

  #stripped(host: string, mode: HttpConnectionConfig["stripHostPort"]): string {
    if (mode === "none" || (mode === "matching" && !host.endsWith(`:${this.local.port}`))) return host;
    return withoutPort(host);
  }

  /**
   * Whether the client is internal. Its address must be unambiguous: the peer's own if no `x-forwarded-for` arrived, or
   * else the single address in a trusted `x-forwarded-for`.
   */
  #isInternal(config: HttpConnectionConfig, forwardedFor: string | undefined): boolean {
    if (config.useRemoteAddress ? forwardedFor !== undefined : forwardedFor === undefined || forwardedFor.includes(","))
      return false;
    const address = this.clientAddress(config);
    return config.internalAddresses.some((holds) => holds(address));
  }

  #readForwardedProto(config: HttpConnectionConfig): void {
    const own = this.connection.tls === undefined ? "http" : "https";
    const given = trustsForwardedProto(config) ? (this.head.get("x-forwarded-proto") ?? "") : "";
    this.forwardedProto = given === "" ? own : given;
    const lower = given.toLowerCase();
    this.scheme = !this.isHttp2 && (lower === "http" || lower === "https") ? lower : own;
  }

  #readIdentity(config: HttpConnectionConfig, newRequestId: NewRequestId): void {
    const { head } = this;
    this.#readForwardedProto(config);
    const given = forwardedForOf(head);
    const peer = this.remote.address;
    this.internalPeer = config.internalAddresses.length > 0 && this.#isInternal(config, given);
    this.forwardedFor = config.appendForwardedFor
      ? given === undefined || given === ""
        ? peer
        : `${given},${peer}`
      : (given ?? "");
    this.userAgent = this.#repeated("user-agent", this.#memory.userAgent) ?? "";
    const id = head.get("x-request-id");
    const keeps =
      id !== undefined &&
      id !== "" &&
      (this.internalPeer || !config.useRemoteAddress || config.preserveExternalRequestId);
    this.requestIdIsNew = !keeps && config.generateRequestId;
    if (this.requestIdIsNew) this.randomId = newRequestId();
    else this.#requestId = id ?? "";
    if (config.requestCapture.length > 0) this.captured = capturedOf(head, config.requestCapture);
  }
}

/**
 * The client's `x-forwarded-for`. As in Envoy, fields without a value are dropped. Otherwise a client could write an
 * empty field behind the one to which a trusted proxy adds its address, and so hide that address.
 */
function forwardedForOf(head: MessageHead): string | undefined {
  const field = head.find("x-forwarded-for");
  if (field < 0) return undefined;
  if (head.find("x-forwarded-for", field + 1) < 0) return head.value(field);
  return head
    .values("x-forwarded-for")
    .filter((value) => value !== "")
    .join(",");
}

/**
 * The values of some headers, for the log. A missing header has an empty value. If all are missing, the list is empty.
 */
function capturedOf(head: MessageHead, names: readonly string[]): readonly string[] {
  let found: string[] | undefined;
  for (let index = 0; index < names.length; index += 1) {
    const value = head.get(names[index] ?? "");
    if (value !== undefined) (found ??= names.map(() => ""))[index] = value;
  }
  return found ?? none;
}

/**
 * The limits of a head that filters have edited. Headers that filters add count towards the number of headers, but not
 * towards the size of the client's head.
 */
const ownHeadLimits = { maxHeadBytes: 1_048_576, maxFields: 100 };

import type { SocketAddress } from "../../net/index.ts";
import { MessageHead } from "../../wire/http1/index.ts";
import { normalizePath } from "../routing/path.ts";
import type { RequestView } from "../routing/request-view.ts";
import { withoutPort } from "../routing/route-table.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { isPrivateAddress, parseTarget } from "./request-target.ts";

/** What stands for the head of bytes that never became a request. */
const noHead = new MessageHead();

/** Why a request is not even routed. */
export interface RequestRefusal {
  readonly status: number;
  readonly body: string;
  readonly details: string;
}

/** What routing, the upstream and logs need to know of a request. One object serves a connection's requests in turn. */
export class ExchangeRequest implements RequestView {
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /** The peer is in a private network, so what it says of itself is kept. */
  readonly internalPeer: boolean;
  head: MessageHead = noHead;
  method = "";
  path = "";
  query = "";
  authority = "";
  scheme: "http" | "https" = "http";
  protocol: "HTTP/1.0" | "HTTP/1.1" = "HTTP/1.1";
  /** The target as the client sent it, or in normal form. */
  pathAndQuery = "";
  requestId = "";
  requestIdIsNew = false;
  userAgent = "";
  forwardedFor = "";
  captured: readonly string[] = [];
  /** The head's own target cannot be passed on as it is. */
  targetDiffers = false;

  constructor(local: SocketAddress, remote: SocketAddress) {
    this.local = local;
    this.remote = remote;
    this.internalPeer = isPrivateAddress(remote.address);
  }

  get isConnect(): boolean {
    return this.method === "CONNECT";
  }

  /** Forgets the request before; without a head it stands for bytes that were no request. */
  reset(head: MessageHead | undefined): void {
    this.head = head ?? noHead;
    this.method = "-";
    this.path = "";
    this.query = "";
    this.authority = "";
    this.protocol = "HTTP/1.1";
    this.pathAndQuery = "-";
    this.requestId = "";
    this.requestIdIsNew = false;
    this.userAgent = "";
    this.forwardedFor = "";
    this.captured = [];
    this.targetDiffers = false;
  }

  /** Reads the head that {@link reset} was given. */
  read(config: HttpConnectionConfig, scheme: "http" | "https", newRequestId: () => string): RequestRefusal | undefined {
    const { head } = this;
    this.method = head.method();
    this.protocol = head.minorVersion === 0 ? "HTTP/1.0" : "HTTP/1.1";
    this.scheme = scheme;
    const rawTarget = head.target();
    this.pathAndQuery = rawTarget;
    if (this.protocol === "HTTP/1.0" && !config.acceptHttp10) return { status: 426, body: "Upgrade Required", details: "low_version" };
    const target = parseTarget(this.method, rawTarget);
    const path = target === undefined ? undefined : normalizePath(target.path, config.path);
    if (target === undefined || path === undefined) return { status: 400, body: "", details: "path_normalization_failed" };
    this.path = path;
    this.query = target.query;
    this.targetDiffers = !this.isConnect && (path !== target.path || target.authority !== undefined);
    if (this.targetDiffers) this.pathAndQuery = target.hasQuery ? `${path}?${target.query}` : path;
    const host = target.authority ?? (head.hostField < 0 ? config.defaultHostForHttp10 : head.value(head.hostField));
    this.authority = this.#stripped(host, config.stripHostPort).toLowerCase();
    this.#readIdentity(config, newRequestId);
    return undefined;
  }

  /** The host to send when it is not the one that the client's head says. */
  changedHost(): string | undefined {
    const { head } = this;
    const original = head.hostField < 0 ? "" : head.value(head.hostField);
    return this.authority === original || this.authority === original.toLowerCase() ? undefined : this.authority;
  }

  #stripped(host: string, mode: HttpConnectionConfig["stripHostPort"]): string {
    if (mode === "none" || (mode === "matching" && !host.endsWith(`:${this.local.port}`))) return host;
    return withoutPort(host);
  }

  #readIdentity(config: HttpConnectionConfig, newRequestId: () => string): void {
    const { head } = this;
    const given = head.get("x-forwarded-for");
    const peer = this.remote.address;
    this.forwardedFor = config.appendForwardedFor ? (given === undefined ? peer : `${given},${peer}`) : (given ?? "");
    this.userAgent = head.get("user-agent") ?? "";
    const id = head.get("x-request-id");
    const keeps = id !== undefined && id !== "" && (this.internalPeer || !config.useRemoteAddress || config.preserveExternalRequestId);
    this.requestIdIsNew = !keeps && config.generateRequestId;
    this.requestId = this.requestIdIsNew ? newRequestId() : (id ?? "");
    if (config.requestCapture.length > 0) this.captured = config.requestCapture.map((name) => head.get(name) ?? "");
  }
}

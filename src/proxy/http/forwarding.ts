import { userError } from "../../base/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { requestHash } from "../routing/hash-policy.ts";
import { withoutPort } from "../routing/route-table.ts";
import type { ClusterPick, ForwardAction, Route } from "../routing/route.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { ForwardNames } from "../upstream/forward-names.ts";
import type { WireProtocol } from "../upstream/pool-user.ts";
import type { ForwardDestination } from "./attempts.ts";
import { ByteBuilder } from "./messages/byte-builder.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { composeRequest, type RequestComposition } from "./messages/compose-request.ts";
import { requestEdits } from "./exchange-edits.ts";
import type { ExchangeParts } from "./exchange-parts.ts";
import { forwardHost } from "./forward-host.ts";
import type { HeldBody } from "./bodies/held-body.ts";
import type { RequestBodyForm } from "./outgoing-request.ts";
import { noClusterReply, replyTable } from "./reply-table.ts";
import { Shadow } from "./mirrors/shadow.ts";
import { exchangeLimitMs, responseTimeoutMs, sendsPeerMetadata, wireProtocol } from "./upstream-choice.ts";

const mirrorHeadBytes = 2048;

export interface ForwardedExchange extends ExchangeParts {
  readonly answer: ClientAnswer;
  readonly held: HeldBody | undefined;
  /** Keeps the part of the request that has arrived, and stops reading. */
  hold(bytes: Buffer, from: number, to: number): HeldBody;
  /** Continues the request with the bytes that have arrived meanwhile. */
  letGo(goOn: (body: Buffer) => void): void;
  /** The idle time after which the exchange ends. 0 means no limit. */
  readonly idleLimitMs: number;
  /** Ends the exchange this many milliseconds after its beginning. 0 means no limit. */
  limitDuration(limitMs: number): void;
  /** How the body is framed for the upstream. `otherMirrors` says whether some mirrors do not use HTTP/1.1. */
  bodyForm(protocol: WireProtocol, otherMirrors: boolean, from: number, to: number): RequestBodyForm;
  /** Takes the first part of the body, once the request's head is composed. */
  startBody(bytes: Buffer, from: number, to: number, complete: boolean): void;
}

/** Sends one request to the cluster of its route, up to the first attempt at an endpoint. */
export class Forwarding {
  readonly #exchange: ForwardedExchange;
  readonly #route: Route;
  readonly #action: ForwardAction;
  #upgrade: string | undefined;
  /** The address to which the requested host was resolved, if the host decides where the request goes. */
  #destination: ForwardDestination | undefined;

  constructor(exchange: ForwardedExchange, route: Route, action: ForwardAction) {
    this.#exchange = exchange;
    this.#route = route;
    this.#action = action;
  }

  start(bytes: Buffer, from: number, to: number): void {
    const { facts, context, attempts } = this.#exchange;
    const action = this.#action;
    const choice = facts.pickCluster(action.target, context.random);
    const cluster = choice === undefined ? undefined : context.cluster(choice.cluster);
    if (choice === undefined || cluster === undefined) {
      this.#exchange.fail(noClusterReply(action.clusterNotFoundStatus));
      return;
    }
    attempts.cluster = cluster;
    const first = cluster.firstEndpoints();
    if (first !== undefined) {
      this.#startAfter(first, this.#exchange.hold(bytes, from, to));
      return;
    }
    const { names } = cluster;
    if (names === undefined) this.#send(choice, cluster, bytes, from, to);
    else this.#lookUp(names, (body, start, end) => this.#send(choice, cluster, body, start, end), bytes, from, to);
  }

  /**
   * Waits for the cluster's first endpoints, and then begins again, because another cluster with the name may have
   * arrived meanwhile.
   */
  #startAfter(first: Promise<void>, held: HeldBody): void {
    const exchange = this.#exchange;
    void first.then(() => {
      if (exchange.active && exchange.held === held) exchange.letGo((body) => this.start(body, 0, body.length));
    });
  }

  /** Resolves the host that the request names, because the host decides where the request goes. */
  #lookUp(
    names: ForwardNames,
    send: (body: Buffer, start: number, end: number) => void,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    const exchange = this.#exchange;
    const host = forwardHost(exchange.facts.authority, names.rules.defaultPort);
    const found =
      host === undefined
        ? Promise.reject(userError("bad-request", "the request names no host"))
        : names.addressOf(host.name, exchange.facts.connection.remote.address);
    const goTo = (address: string): void => {
      this.#destination = { address, port: host?.port ?? 0, hostname: host?.name ?? "" };
    };
    if (typeof found === "string") {
      goTo(found);
      send(bytes, from, to);
      return;
    }
    const held = exchange.hold(bytes, from, to);
    const still = (run: () => void): void => {
      if (exchange.active && exchange.held === held) run();
    };
    found.then(
      (address) =>
        still(() => {
          goTo(address);
          exchange.letGo((body) => send(body, 0, body.length));
        }),
      () => still(() => exchange.fail(replyTable.nameNotFound)),
    );
  }

  #send(choice: ClusterPick, cluster: Cluster, bytes: Buffer, from: number, to: number): void {
    const exchange = this.#exchange;
    const { facts, attempts, request, config, record, answer } = exchange;
    const action = this.#action;
    const protocol = this.#checkUpgrade() ? wireProtocol(cluster, facts, this.#upgrade !== undefined) : undefined;
    if (protocol === undefined) {
      exchange.fail(replyTable.upgradeRefused);
      return;
    }
    const hash = this.#hash(cluster);
    const timeoutMs = responseTimeoutMs(action, facts);
    attempts.target(cluster, action, protocol, timeoutMs, hash);
    if (this.#destination !== undefined) attempts.forwardTo(this.#destination);
    exchange.limitDuration(exchangeLimitMs(action, config, facts));
    if (choice.responseMutation !== undefined) answer.mutations = [choice.responseMutation, ...answer.mutations];
    const { requestMutations } = this.#route;
    const edits = requestEdits(
      exchange,
      choice.requestMutation === undefined ? requestMutations : [choice.requestMutation, ...requestMutations],
    );
    const endpoint = attempts.pick();
    if (endpoint === undefined) return;
    // Keep the request's head: header values of the response may refer to it, and it lies in the buffer of the current
    // read.
    if (answer.mutations.length > 0 || config.localReplies.length > 0) facts.detach();
    const routeHost = edits?.added.find(([name]) => name === "host")?.[1] ?? choice.hostRewrite ?? action.rewriteHost;
    const host = routeHost ?? (action.autoHostRewrite ? endpoint.config.hostname : undefined);
    const { complete } = request;
    const { mirrors } = action;
    const otherMirrors = mirrors.some(({ cluster: name }) => this.#mirrorProtocol(name) !== "http1");
    if (record.trace?.upstreamSpanId !== undefined) record.trace.forwardedMs = exchange.context.clock.nowMs();
    request.compose(
      this.#composition(cluster, host ?? facts.changedHost(), edits),
      exchange.bodyForm(protocol, otherMirrors, from, to),
      action.retry !== undefined && action.retry.retries > 0,
    );
    if (mirrors.length > 0) this.#mirror(routeHost ?? facts.authority, edits, timeoutMs);
    exchange.startBody(bytes, from, to, complete);
    if (!exchange.active) return;
    attempts.attempt(endpoint, false);
    if (exchange.active && request.complete) attempts.requestComplete();
  }

  /**
   * The request's hash, if its cluster chooses endpoints by hash. If the hash needed a new cookie, the response sets
   * the cookie.
   */
  #hash(cluster: Cluster): number | undefined {
    const { hashPolicies } = this.#action;
    if (!cluster.choosesByHash || hashPolicies.length === 0) return undefined;
    const { facts, config, record, answer } = this.#exchange;
    const hash = requestHash(
      hashPolicies,
      facts,
      facts.clientAddress(config),
      `${record.downstreamRemote} ${record.downstreamLocal}`,
    );
    const cookie = hash?.setCookie;
    if (cookie !== undefined) {
      const add = [
        { name: "set-cookie", value: () => cookie, action: "append-if-exists-or-add", keepEmptyValue: true },
      ] as const;
      answer.upstreamMutations = [{ add, remove: [] }];
    }
    return hash?.value;
  }

  /**
   * Checks a requested protocol upgrade. Returns false if the upgrade is refused. The upgrade to h2c is ignored, and
   * the request continues without it.
   */
  #checkUpgrade(): boolean {
    const { facts, config } = this.#exchange;
    const { head } = facts;
    if (head.upgradeField < 0 || !head.connectionUpgrade || facts.protocol !== "HTTP/1.1") return true;
    const protocol = head.value(head.upgradeField).toLowerCase();
    if (protocol.startsWith("h2c")) return true;
    if (!(this.#action.upgrades.get(protocol) ?? config.upgrades.has(protocol))) return false;
    this.#upgrade = head.value(head.upgradeField);
    return true;
  }

  #composition(cluster: Cluster, host: string | undefined, edits: HeaderEdits | undefined): RequestComposition {
    const { facts, config, record, context, attempts } = this.#exchange;
    const action = this.#action;
    const path = action.rewritePath?.(facts.path) ?? facts.path;
    const rewritten = facts.targetDiffers || (path !== facts.path && !facts.isConnect);
    return {
      client: facts,
      config,
      target: rewritten ? (facts.query === "" ? path : `${path}?${facts.query}`) : undefined,
      originalPath: path === facts.path || config.hidesEnvoyHeaders ? undefined : facts.pathAndQuery,
      host,
      forwardedHost: this.#forwardedHost(host),
      settled: facts.settled,
      trace: record.trace,
      peerMetadata: sendsPeerMetadata(config.peerMetadata, cluster)
        ? context.ownMetadata?.(config.peerMetadata.labelNames)
        : undefined,
      upgrade: this.#upgrade,
      edits,
      expectedMs: attempts.expectedMs,
      tellsTimeout: !config.hidesEnvoyHeaders,
      tellsGrpcTimeout: facts.isGrpc && action.stream === undefined && action.grpcTimeout !== undefined,
      attemptCount: action.includeAttemptCount,
    };
  }

  /**
   * The value of `x-forwarded-host`: the hosts that the client's header names, then the host before the route's
   * rewrite.
   */
  #forwardedHost(host: string | undefined): string | undefined {
    const { facts } = this.#exchange;
    const { appendForwardedHost, autoHostRewrite, rewriteHost } = this.#action;
    if (!appendForwardedHost || host === undefined || (host !== rewriteHost && !autoHostRewrite)) return undefined;
    const clientHost = facts.head.get("x-forwarded-host") ?? "";
    if (clientHost === "") return facts.authority;
    return clientHost.split(",").at(-1) === facts.authority ? clientHost : `${clientHost},${facts.authority}`;
  }

  #mirrorProtocol(name: string): ReturnType<typeof wireProtocol> {
    const cluster = this.#exchange.context.cluster(name);
    return cluster === undefined ? "http1" : wireProtocol(cluster, this.#exchange.facts, false);
  }

  /** Sends copies to the route's mirrors, unless a mirror's cluster has reached a limit. */
  #mirror(authority: string, edits: HeaderEdits | undefined, timeoutMs: number): void {
    const { facts, request, context } = this.#exchange;
    for (const mirror of this.#action.mirrors) {
      const protocol = this.#mirrorProtocol(mirror.cluster);
      const wanted = this.#upgrade === undefined && protocol !== undefined && context.random() < mirror.fraction;
      const endpoint = wanted ? context.cluster(mirror.cluster)?.pick(undefined, 1) : undefined;
      if (endpoint === undefined || protocol === undefined || !mayOpen(endpoint.cluster)) continue;
      const name = withoutPort(authority);
      const host = mirror.keepHost ? authority : `${name}-shadow${authority.slice(name.length)}`;
      const head = new ByteBuilder(mirrorHeadBytes);
      composeRequest(head, this.#composition(endpoint.cluster, host, edits));
      request.addShadow(
        new Shadow({
          endpoint,
          head: head.view(),
          toHead: facts.method === "HEAD",
          isGrpc: facts.isGrpc,
          chunksRequest: request.chunksRequest,
          scheme: facts.scheme,
          protocol,
          timeoutMs,
          idleMs: this.#exchange.idleLimitMs,
          clock: context.clock,
        }),
      );
    }
  }
}

/** Whether the cluster may get another request. If it has reached its limit, counts the refusal. */
function mayOpen({ breaker: { requests }, counters }: Cluster): boolean {
  if (!requests.exhausted) return true;
  requests.overflows += 1;
  counters.overflow += 1;
  return false;
}

import { create, fromBinary } from "@bufbuild/protobuf";
import { messageOf, type Logger, type Random } from "../../base/index.ts";
import type { XdsSubscription, XdsUpdate } from "../../dataplane/index.ts";
import {
  DnsResponder,
  HostLookup,
  podDnsForwarder,
  serveDnsTcp,
  serveDnsUdp,
  type AnswerQuery,
  type HostsFile,
  type ResolvedName,
  type ResolverFile,
} from "../../dataplane/dns/index.ts";
import { bindUdpInNamespace, mayMarkSockets } from "../../net/index.ts";
import { NameTableSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { NameIndex } from "./name-index.ts";
import { NewestConnections } from "./newest-connections.ts";

export interface DnsCaptureOptions {
  readonly namespace: string;
  /** The pod's domain in the cluster, such as `default.svc.cluster.local`. */
  readonly domain: string;
  readonly resolverFile: ResolverFile;
  /** Reads the pod's hosts file, for names that the proxy itself resolves. */
  readonly readHosts: () => Promise<HostsFile>;
  /**
   * The mark of packets that pass the redirect of the pod's queries. It is not used if the process may not set marks.
   */
  readonly mark: number;
  /** The port to which the pod's queries are redirected, usually 15053. */
  readonly port: number;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * The maximum number of connections from the pod. A resolver needs one for each answer that is too long for a UDP
 * packet.
 */
const maxConnections = 256;

/**
 * Answers the pod's DNS queries. The control plane's name table contains all names of the mesh's services. Queries for
 * other names go to the pod's name servers, and so do all queries before the first table arrives.
 */
export class DnsCapture {
  readonly #options: DnsCaptureOptions;
  readonly #responder: DnsResponder;
  readonly #lookup: HostLookup;
  readonly #connections = new NewestConnections(maxConnections);
  #names: NameIndex | undefined;

  constructor(options: DnsCaptureOptions) {
    this.#options = options;
    const { resolverFile, readHosts, mark, log } = options;
    const forwarder = podDnsForwarder({
      nameservers: resolverFile.nameservers,
      ...(mayMarkSockets(mark) ? { mark } : {}),
    });
    this.#responder = new DnsResponder(forwarder, log);
    this.#lookup = new HostLookup({ forwarder, file: resolverFile, readHosts });
  }

  subscription(): XdsSubscription {
    return { typeUrl: typeUrls.nameTable, mode: "wildcard", apply: (update) => this.#apply(update) };
  }

  /** Names what is still missing before the pod's queries can be answered. */
  pending(): string[] {
    return this.#names === undefined ? ["name table"] : [];
  }

  /** Resolves a name outside the mesh, for connections that the proxy itself opens. */
  async resolve(name: string, client?: string): Promise<ResolvedName> {
    return await this.#lookup.lookUp(name, client);
  }

  /** Serves on the loopback addresses of IPv4 and, if available, of IPv6. */
  async listen(): Promise<{ close(): void }> {
    const answer: AnswerQuery = async (query, transport) =>
      await this.#responder.answer(query, transport, (name) => this.#names?.find(name));
    const open = await this.#listenOn("127.0.0.1", answer);
    try {
      open.push(...(await this.#listenOn("::1", answer)));
    } catch (error) {
      this.#options.log.debug("no IPv6 here", { error: messageOf(error) });
    }
    return { close: () => open.forEach((socket) => socket.close()) };
  }

  async #listenOn(address: string, answer: AnswerQuery): Promise<{ close(): void }[]> {
    const { port, log } = this.#options;
    const udp = await serveDnsUdp(bindUdpInNamespace(undefined, { address, port }), address.includes(":"), answer, log);
    try {
      const tcp = await serveDnsTcp({ address, port }, answer, (stream) => this.#connections.admit(stream));
      return [udp, tcp];
    } catch (error) {
      udp.close();
      throw error;
    }
  }

  #apply(update: XdsUpdate): void {
    const { namespace, domain, resolverFile, random, log } = this.#options;
    const [resource] = update.resources;
    if (resource === undefined && update.removed.length === 0 && this.#names !== undefined) return;
    const table = resource === undefined ? create(NameTableSchema) : fromBinary(NameTableSchema, resource.body);
    this.#names = new NameIndex(table, { namespace, domain, search: resolverFile.search }, random);
    log.debug("names of the mesh", { names: Object.keys(table.table).length });
  }
}

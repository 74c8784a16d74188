import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { AUTHORITATIVE_ANSWER, decode, encode, RECURSION_AVAILABLE, RECURSION_DESIRED, type Answer, type Packet } from "dns-packet";
import { messageOf, transientError, type Logger } from "../../base/index.ts";
import { ipFamilyOf } from "../../net/index.ts";
import type { MeshState } from "../state/mesh-state.ts";
import type { Service, WorkloadInfo } from "../state/model.ts";

const timeToLiveSeconds = 30;
const forwardTimeoutMs = 2_000;
const maxForwarded = 1_000;
/** Without EDNS a client takes no more over UDP. */
const plainUdpBytes = 512;

export interface DnsResolverOptions {
  readonly state: MeshState;
  readonly network: string;
  /** `cluster.local`. */
  readonly domain: string;
  /** Where everything goes that the mesh does not know, best first. */
  readonly nameservers: readonly string[];
  readonly log: Logger;
}

export type DnsTransport = "udp" | "tcp";

/** Answers for the mesh's services from the WDS state; the rest goes to the pod's own kind of resolver. */
export class DnsResolver {
  readonly #options: DnsResolverOptions;
  #forwarded = 0;

  constructor(options: DnsResolverOptions) {
    this.#options = options;
  }

  /** The answer to a query as bytes; undefined when it is no query at all. */
  async answer(query: Buffer, pod: WorkloadInfo, transport: DnsTransport): Promise<Buffer | undefined> {
    let packet: Packet;
    try {
      packet = decode(query);
    } catch {
      return undefined;
    }
    if (packet.type !== "query") return undefined;
    const local = this.#local(packet, pod);
    if (local !== undefined) return fit(local, packet, transport);
    try {
      return await this.#forward(query, transport);
    } catch (error) {
      this.#options.log.warn("a DNS query could not be forwarded", { name: packet.questions?.[0]?.name ?? "", error: messageOf(error) });
      return encode({ type: "response", id: packet.id ?? 0, flags: (packet.flags ?? 0) | RECURSION_AVAILABLE | 2, questions: packet.questions ?? [] });
    }
  }

  #local(packet: Packet, pod: WorkloadInfo): Packet | undefined {
    const [question, ...more] = packet.questions ?? [];
    if (question === undefined || more.length > 0 || (question.type !== "A" && question.type !== "AAAA")) return undefined;
    const found = this.#find(question.name.toLowerCase().replace(/\.$/, ""), pod.namespace);
    if (found === undefined) return undefined;
    const family = question.type === "A" ? "ipv4" : "ipv6";
    const answers: Answer[] = [];
    let { name } = question;
    if (found.alias !== undefined) {
      answers.push({ type: "CNAME", name, ttl: timeToLiveSeconds, data: found.alias });
      name = found.alias;
    }
    for (const address of this.#addresses(found.service)) {
      if (ipFamilyOf(address) === family) answers.push({ type: question.type, name, ttl: timeToLiveSeconds, data: address });
    }
    const asked = (packet.flags ?? 0) & RECURSION_DESIRED;
    return { type: "response", id: packet.id ?? 0, flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | asked, questions: [question], answers };
  }

  /** By the name as it is, then without the search domains that a pod's resolver may have put behind it. */
  #find(name: string, namespace: string): { readonly service: Service; readonly alias?: string } | undefined {
    const { domain } = this.#options;
    const direct = this.#byName(name, namespace);
    if (direct !== undefined) return { service: direct };
    for (const suffix of [`.${namespace}.svc.${domain}`, `.svc.${domain}`, `.${domain}`]) {
      if (!name.endsWith(suffix)) continue;
      const alias = name.slice(0, -suffix.length);
      // A bare word is a service's short name, and not there, or the direct look-up had found it.
      const service = alias.includes(".") ? this.#byName(alias, namespace) : undefined;
      if (service !== undefined) return { service, alias };
    }
    return undefined;
  }

  #byName(name: string, namespace: string): Service | undefined {
    const { state } = this.#options;
    const exact = state.serviceByHostname(name, namespace);
    if (exact !== undefined) return exact;
    const labels = name.split(".");
    for (let skip = 1; skip < labels.length; skip += 1) {
      const service = state.serviceByHostname(`*.${labels.slice(skip).join(".")}`, namespace);
      if (service !== undefined) return service;
    }
    return undefined;
  }

  /** A service's addresses; of a headless one those of its healthy endpoints. */
  #addresses(service: Service): readonly string[] {
    const { state, network } = this.#options;
    const vips = service.vips.filter((vip) => vip.network === network).map((vip) => vip.address);
    if (vips.length > 0) return vips;
    return [...state.endpoints(service).values()].filter((one) => one.workload.status === "Healthy").flatMap((one) => one.workload.workloadIps);
  }

  async #forward(query: Buffer, transport: DnsTransport): Promise<Buffer> {
    if (this.#forwarded >= maxForwarded) throw transientError("dns-busy", `${maxForwarded} queries are waiting already`);
    this.#forwarded += 1;
    try {
      let last: unknown = transientError("dns-no-server", "no name server is configured", { hint: "look at /etc/resolv.conf" });
      for (const server of this.#options.nameservers) {
        try {
          return await (transport === "udp" ? askUdp(server, query) : askTcp(server, query));
        } catch (error) {
          last = error;
        }
      }
      throw last;
    } finally {
      this.#forwarded -= 1;
    }
  }
}

/** The name servers of a resolv.conf; empty when it cannot be read. */
export async function readNameservers(path: string): Promise<readonly string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? "");
}

/** Cut to what the client takes over UDP, with the flag that sends it to TCP. */
function fit(response: Packet, query: Packet, transport: DnsTransport): Buffer {
  const bytes = encode(response);
  if (transport === "tcp") return bytes;
  const extended = query.additionals?.find((record) => record.type === "OPT");
  const limit = extended !== undefined && "udpPayloadSize" in extended ? Math.max(plainUdpBytes, extended.udpPayloadSize) : plainUdpBytes;
  if (bytes.length <= limit) return bytes;
  return encode({ ...response, flags: (response.flags ?? 0) | 0x200, answers: [] });
}

function askUdp(server: string, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(ipFamilyOf(server) === "ipv6" ? "udp6" : "udp4");
    const timer = setTimeout(() => done(transientError("timeout", `${server} did not answer`)), forwardTimeoutMs);
    const done = (result: Buffer | Error) => {
      clearTimeout(timer);
      socket.close();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    socket.on("error", done);
    socket.on("message", (message) => {
      // Connected, so it is from there; the id tells that it is for this query.
      if (message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0)) done(message);
    });
    socket.connect(53, server, () => socket.send(query));
  });
}

function askTcp(server: string, query: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server, port: 53, timeout: forwardTimeoutMs });
    let received = Buffer.alloc(0);
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.on("timeout", () => fail(transientError("timeout", `${server} did not answer`)));
    socket.on("error", fail);
    socket.on("end", () => fail(transientError("connection-closed", `${server} closed before it answered`)));
    socket.on("connect", () => socket.write(Buffer.concat([lengthOf(query), query])));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      socket.destroy();
      resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
    });
  });
}

export function lengthOf(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return length;
}

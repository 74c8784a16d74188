import {
  addAddressMessage,
  addBridgeMessage,
  addNeighbourMessage,
  addRouteMessage,
  addRuleMessage,
  addVethMessage,
  deleteAddressMessage,
  deleteLinkMessage,
  deleteNeighbourMessage,
  deleteRouteMessage,
  deleteRuleMessage,
  listAddressesMessage,
  listLinksMessage,
  netlinkFlags,
  netlinkTypes,
  readAddress,
  readLink,
  setLinkMessage,
  type AddressInfo,
  type BridgeLink,
  type IpPrefix,
  type LinkChange,
  type LinkInfo,
  type RouteSpec,
  type RuleSpec,
  type VethLink,
} from "../wire/netlink/index.ts";
import { NetlinkSocket, replyError } from "./netlink-socket.ts";
import { systemError } from "./node-error.ts";

/**
 * The links, addresses, routes, neighbours and rules of one network namespace. All calls are synchronous. One takes 10
 * to 100 microseconds.
 */
export class RouteNetlink implements Disposable {
  readonly #socket: NetlinkSocket;
  #batch: { operation: string; message: Buffer }[] | undefined;

  constructor(namespaceFd?: number) {
    this.#socket = new NetlinkSocket("route", namespaceFd);
  }

  /**
   * Sends all requests of `run` as one datagram. If the kernel refuses some, the others still take effect, and the
   * first error is thrown.
   */
  batch(run: () => void): void {
    if (this.#batch !== undefined) return run();
    this.#batch = [];
    try {
      run();
      this.#send(this.#batch);
    } finally {
      this.#batch = undefined;
    }
  }

  links(): LinkInfo[] {
    return Array.from(this.#socket.dump("list links", listLinksMessage()), readLink);
  }

  link(name: string): LinkInfo | undefined {
    return this.links().find((link) => link.name === name);
  }

  addresses(): AddressInfo[] {
    return [...this.eachAddress()];
  }

  /** Yields the addresses one by one. A caller that stops early must close this object. */
  *eachAddress(): Generator<AddressInfo, undefined> {
    for (const payload of this.#socket.dump("list addresses", listAddressesMessage())) {
      const address = readAddress(payload);
      if (address !== undefined) yield address;
    }
  }

  setLink(index: number, change: LinkChange): void {
    this.#do(`change link ${index}`, setLinkMessage(index, change));
  }
  /** Sets the loopback interface up, which is always link 1. */
  setLoopbackUp(): void {
    this.setLink(1, { up: true });
  }
  deleteLink(name: string): void {
    this.#do(`delete link ${name}`, deleteLinkMessage(name));
  }
  addBridge(link: BridgeLink): void {
    this.#do(`add bridge ${link.name}`, addBridgeMessage(link));
  }
  addVeth(link: VethLink): void {
    this.#do(`add veth ${link.name}`, addVethMessage(link));
  }
  addAddress(linkIndex: number, prefix: IpPrefix): void {
    this.#do(`add address ${prefix.address}/${prefix.prefixLength}`, addAddressMessage(linkIndex, prefix));
  }
  deleteAddress(linkIndex: number, prefix: IpPrefix): void {
    this.#do(`delete address ${prefix.address}/${prefix.prefixLength}`, deleteAddressMessage(linkIndex, prefix));
  }
  addRoute(route: RouteSpec): void {
    this.#do(`add route ${route.destination.address}/${route.destination.prefixLength}`, addRouteMessage(route));
  }
  deleteRoute(route: RouteSpec): void {
    this.#do(`delete route ${route.destination.address}/${route.destination.prefixLength}`, deleteRouteMessage(route));
  }
  addNeighbour(linkIndex: number, address: string, macAddress: Uint8Array): void {
    this.#do(`add neighbour ${address}`, addNeighbourMessage(linkIndex, address, macAddress));
  }
  deleteNeighbour(linkIndex: number, address: string): void {
    this.#do(`delete neighbour ${address}`, deleteNeighbourMessage(linkIndex, address));
  }
  addRule(rule: RuleSpec): void {
    this.#do(`add rule ${rule.priority}`, addRuleMessage(rule));
  }
  deleteRule(rule: RuleSpec): void {
    this.#do(`delete rule ${rule.priority}`, deleteRuleMessage(rule));
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #do(operation: string, message: Buffer): void {
    if (this.#batch === undefined) this.#send([{ operation, message }]);
    else this.#batch.push({ operation, message });
  }

  #send(entries: readonly { readonly operation: string; readonly message: Buffer }[]): void {
    if (entries.length === 0) return;
    const waiting = new Map<number, string>();
    for (const { operation, message } of entries) {
      message.writeUInt16LE(message.readUInt16LE(6) | netlinkFlags.acknowledge, 6);
      waiting.set(this.#socket.number(message), operation);
    }
    this.#socket.send(entries.map((entry) => entry.message));
    let fault: Error | undefined;
    while (waiting.size > 0) {
      for (const reply of this.#socket.receive()) {
        const operation = waiting.get(reply.sequence);
        if (operation === undefined || reply.type !== netlinkTypes.error) continue;
        waiting.delete(reply.sequence);
        const name = replyError(reply);
        if (name !== undefined) fault ??= systemError(operation, name);
      }
    }
    if (fault !== undefined) throw fault;
  }
}

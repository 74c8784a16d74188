import {
  batchMessage,
  getTableMessage,
  listChainsMessage,
  listRulesMessage,
  listTablesMessage,
  netlinkFlags,
  netlinkTypes,
  NftTransaction,
  readAttributes,
  readString,
  type NftFamily,
} from "../wire/netlink/index.ts";
import { NetlinkSocket, replyError } from "./netlink-socket.ts";
import { systemError } from "./node-error.ts";

/**
 * The number of messages in a transaction of {@link NftNetlink.commitAll}. They need much less memory than the socket's
 * buffer has.
 */
const messagesPerTransaction = 400;

/** Access to nf_tables of one network namespace over netlink, without the program nft. */
export class NftNetlink implements Disposable {
  readonly #socket: NetlinkSocket;

  constructor(namespaceFd?: number) {
    this.#socket = new NetlinkSocket("netfilter", namespaceFd);
  }

  /**
   * Applies a transaction as a whole. If the kernel refuses it, throws an error with the first refused message and the
   * reason. The socket's send buffer limits its size: about 400 kB, or a thousand rules, if the buffer cannot be
   * enlarged. Use {@link commitAll} for more.
   */
  commit(transaction: NftTransaction): void {
    const { messages, labels } = transaction;
    if (messages.length === 0) return;
    const begin = batchMessage("begin");
    const end = batchMessage("end");
    this.#socket.number(begin);
    const labelOf = new Map<number, string>();
    let last = 0;
    for (const [index, message] of messages.entries()) {
      last = this.#socket.number(message);
      labelOf.set(last, labels[index] ?? "");
      // Request an acknowledgement of the last message only. The kernel reports a refusal of any message by itself.
      if (index === messages.length - 1) message.writeUInt16LE(message.readUInt16LE(6) | netlinkFlags.acknowledge, 6);
    }
    this.#socket.number(end);
    this.#socket.send([begin, ...messages, end]);
    const fault = this.#awaitLast(last, labelOf);
    if (fault !== undefined) throw fault;
  }

  /** Commits groups of changes one after another, in transactions of limited size. A group is never split. */
  commitAll(groups: Iterable<(transaction: NftTransaction) => void>): void {
    let transaction = new NftTransaction();
    for (const group of groups) {
      group(transaction);
      if (transaction.size < messagesPerTransaction) continue;
      this.commit(transaction);
      transaction = new NftTransaction();
    }
    this.commit(transaction);
  }

  tables(family: NftFamily): string[] {
    return Array.from(this.#socket.dump("list tables", listTablesMessage(family)), (payload) =>
      readString(readAttributes(payload.subarray(4)).get(1) ?? Buffer.alloc(0)),
    );
  }

  /** Whether a table exists. It takes the same time however many other tables there are. */
  hasTable(family: NftFamily, table: string): boolean {
    return this.#socket.exists(`get table ${table}`, getTableMessage(family, table));
  }

  chains(family: NftFamily, table: string): string[] {
    const names: string[] = [];
    for (const payload of this.#socket.dump("list chains", listChainsMessage(family))) {
      const attributes = readAttributes(payload.subarray(4));
      const text = (type: number): string => readString(attributes.get(type) ?? Buffer.alloc(0));
      if (text(1) === table) names.push(text(3));
    }
    return names;
  }

  /**
   * The rules of a table in their order, each with its chain, and its expressions in the kernel's encoding. Handles are
   * left out, so that equal rules have equal bytes. A caller that stops early must close this object.
   */
  *rules(
    family: NftFamily,
    table: string,
  ): Generator<{ readonly chain: string; readonly expressions: Buffer }, undefined> {
    for (const payload of this.#socket.dump("list rules", listRulesMessage(family, table))) {
      const attributes = readAttributes(payload.subarray(4));
      const text = (type: number): string => readString(attributes.get(type) ?? Buffer.alloc(0));
      if (text(1) === table) yield { chain: text(2), expressions: Buffer.from(attributes.get(4) ?? []) };
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #awaitLast(last: number, labelOf: ReadonlyMap<number, string>): Error | undefined {
    let fault: Error | undefined;
    let done = false;
    while (!done) {
      for (const reply of this.#socket.receive()) {
        if (reply.type !== netlinkTypes.error || reply.sequence > last) continue;
        const name = replyError(reply);
        if (name !== undefined) fault ??= systemError(`nf_tables: ${labelOf.get(reply.sequence) ?? "batch"}`, name);
        // If the kernel refuses the whole batch (no permission, no memory), its only reply has the sequence number of
        // the batch's first message.
        done ||= reply.sequence === last || !labelOf.has(reply.sequence);
      }
    }
    return fault;
  }
}

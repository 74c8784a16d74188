// Messages of nf_tables (linux/netfilter/nf_tables.h), which make up one atomic change. `net` has the socket.
import { userError } from "../../base/index.ts";
import { attribute, nested, netlinkFlags, netlinkMessage, u16be, u32, u32be } from "./attribute.ts";
import { bytesToIp, ipFamilyOf, ipToBytes, type IpFamily } from "./ip-address.ts";
import {
  dnatByRandomMap,
  protocolNumber,
  verdictData,
  type NftExpression,
  type NftProtocol,
  type NftRulePart,
  type NftVerdict,
} from "./nft-expressions.ts";

export type NftFamily = "inet" | "ip" | "ip6";
const nftFamilyNumbers: Readonly<Record<NftFamily, number>> = { inet: 1, ip: 2, ip6: 10 };

const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
const nftSubsystem = 10;
const operations = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  getChain: 4,
  deleteChain: 5,
  newRule: 6,
  getRule: 7,
  deleteRule: 8,
  newSet: 9,
  deleteSet: 11,
  newElement: 12,
  deleteElement: 14,
} as const;
const setFlags = { anonymous: 1, constant: 2, interval: 4, map: 8, timeout: 0x10, evaluated: 0x20 } as const;
const verdictDataType = 0xffffff00;
/** NFT_SET_ELEM_INTERVAL_END: the element is the first address after a range. */
const intervalEnd = 1;
const addressesOfIpv4 = 2 ** 32;
/** A message has space for about four thousand addresses. */
const elementsPerMessage = 1_000;

/** nft(8)'s numbers of data types. nft needs them to show a set. The kernel does not use them. */
const keyTypes = {
  ipv4: { number: 7, bytes: 4 },
  ipv6: { number: 8, bytes: 16 },
  protocol: { number: 12, bytes: 4 },
  port: { number: 13, bytes: 4 },
} as const;
export type NftKeyType = keyof typeof keyTypes;
/** The values of a key, in the order of its types: an address, the name of a protocol, a port. */
export type NftKey = readonly (string | number)[];

export interface NftBaseChain {
  readonly type: "filter" | "nat" | "route";
  readonly hook: keyof typeof hooks;
  /** Chains with lower numbers run first. dstnat is -100, filter 0, srcnat 100, mangle -150 and raw -300. */
  readonly priority: number;
  readonly policy?: "accept" | "drop";
}

export interface NftEndpoint {
  readonly address: string;
  readonly port: number;
}

function header(family: number): Buffer {
  return Buffer.from([family, 0, 0, 0]);
}

function nftMessage(operation: number, flags: number, family: NftFamily, ...parts: readonly Uint8Array[]): Buffer {
  return netlinkMessage((nftSubsystem << 8) | operation, flags, header(nftFamilyNumbers[family]), ...parts);
}

export function listTablesMessage(family: NftFamily): Buffer {
  return nftMessage(operations.getTable, netlinkFlags.dump, family);
}

export function listChainsMessage(family: NftFamily): Buffer {
  return nftMessage(operations.getChain, netlinkFlags.dump, family);
}

export function getTableMessage(family: NftFamily, table: string): Buffer {
  return nftMessage(operations.getTable, 0, family, attribute(nameAttribute, table));
}

export function listRulesMessage(family: NftFamily, table: string): Buffer {
  return nftMessage(operations.getRule, netlinkFlags.dump, family, attribute(nameAttribute, table));
}

/** NFTA_TABLE_NAME and NFTA_RULE_TABLE. */
const nameAttribute = 1;

/** The message that begins (16) or ends (17) a batch. Its resource id is the subsystem. */
export function batchMessage(kind: "begin" | "end"): Buffer {
  return netlinkMessage(kind === "begin" ? 16 : 17, 0, Buffer.from([0, 0, 0, nftSubsystem]));
}

function encodeKey(types: readonly NftKeyType[], key: NftKey): Buffer {
  if (types.length !== key.length)
    throw userError("address-invalid", `a key of ${types.join(" . ")} needs ${types.length} values, got ${key.length}`);
  return Buffer.concat(types.map((type, index) => encodeKeyPart(type, key[index] ?? "")));
}

function encodeKeyPart(type: NftKeyType, value: string | number): Buffer {
  const out = Buffer.alloc(keyTypes[type].bytes);
  if (type === "port") out.set(u16be(Number(value)));
  else if (type === "protocol") out[0] = protocolNumber(String(value) as NftProtocol);
  else {
    const bytes = ipToBytes(String(value));
    if (bytes.length !== out.length) throw userError("address-invalid", `"${value}" is not an ${type} address`);
    out.set(bytes);
  }
  return out;
}

/** Changes in order, which the kernel applies as a whole or not at all. {@link labels} name the messages in errors. */
export class NftTransaction {
  readonly messages: Buffer[] = [];
  readonly labels: string[] = [];
  #nextSetId = 1;

  get size(): number {
    return this.messages.length;
  }

  table(family: NftFamily, name: string): NftTableEditor {
    return new NftTableEditor(this, family, name);
  }

  push(label: string, message: Buffer): void {
    this.messages.push(message);
    this.labels.push(label);
  }

  /** A number for a new set. It identifies the set until the transaction is committed. */
  takeSetId(): number {
    const id = this.#nextSetId;
    this.#nextSetId += 1;
    return id;
  }
}

/** Appends changes of one table to a transaction. */
export class NftTableEditor {
  readonly #transaction: NftTransaction;
  readonly #family: NftFamily;
  readonly #name: string;

  constructor(transaction: NftTransaction, family: NftFamily, name: string) {
    this.#transaction = transaction;
    this.#family = family;
    this.#name = name;
  }

  /** Creates the table if it does not exist. */
  create(): this {
    return this.#push("add table", operations.newTable, netlinkFlags.create, attribute(1, this.#name));
  }

  /** Deletes the table. The kernel refuses this with ENOENT if there is none. */
  delete(): this {
    return this.#push("delete table", operations.deleteTable, 0, attribute(1, this.#name));
  }

  /** Replaces the table by an empty one, which the rest of the transaction fills. */
  replace(): this {
    return this.create().delete().create();
  }

  /** Adds a chain. With `base`, the kernel runs it at a hook. */
  addChain(name: string, base?: NftBaseChain): this {
    const parts = [attribute(1, this.#name), attribute(3, name)];
    if (base !== undefined) {
      parts.push(nested(4, [attribute(1, u32be(hooks[base.hook])), attribute(2, u32be(base.priority))]));
      parts.push(attribute(5, u32be(base.policy === "drop" ? 0 : 1)), attribute(7, base.type));
    }
    return this.#push(`add chain ${name}`, operations.newChain, netlinkFlags.create, ...parts);
  }

  /** Removes the chain's rules, together with their anonymous maps. */
  flushChain(name: string): this {
    return this.#push(`flush chain ${name}`, operations.deleteRule, 0, attribute(1, this.#name), attribute(2, name));
  }

  /** Deletes a chain, which must be empty, and to which no rule may jump. */
  deleteChain(name: string): this {
    return this.#push(`delete chain ${name}`, operations.deleteChain, 0, attribute(1, this.#name), attribute(3, name));
  }

  addRule(chain: string, ...parts: readonly NftRulePart[]): this {
    const expressions = parts.flat();
    return this.#push(
      `add rule ${chain}`,
      operations.newRule,
      netlinkFlags.create | netlinkFlags.append,
      attribute(1, this.#name),
      attribute(2, chain),
      nested(4, expressions),
    );
  }

  /** Adds a named set. With `timeoutMs`, rules may add entries, which expire after that time. */
  addSet(name: string, key: readonly NftKeyType[], options: { readonly timeoutMs?: number } = {}): this {
    return this.#addNamed(
      name,
      key,
      options.timeoutMs === undefined ? 0 : setFlags.timeout | setFlags.evaluated,
      timeoutPart(options.timeoutMs),
    );
  }

  /** Adds a named map from keys to verdicts, such as `address . protocol . port -> goto chain`. */
  addVerdictMap(name: string, key: readonly NftKeyType[]): this {
    return this.#addNamed(name, key, setFlags.map, [attribute(6, u32be(verdictDataType)), attribute(7, u32be(16))]);
  }

  /** Adds a named set of IPv4 prefixes such as `10.1.0.0/16`. They may overlap. */
  addRangeSet(name: string, prefixes: readonly string[]): this {
    const elements = disjointRanges(prefixes).flatMap(({ first, after }) => [
      keyPart(["ipv4"], [bytesToIp(u32be(first))]),
      ...(after >= addressesOfIpv4
        ? []
        : [Buffer.concat([keyPart(["ipv4"], [bytesToIp(u32be(after))]), attribute(3, u32be(intervalEnd))])]),
    ]);
    this.#addNamed(name, ["ipv4"], setFlags.interval, []);
    for (let from = 0; from < elements.length; from += elementsPerMessage)
      this.#elements(operations.newElement, name, elements.slice(from, from + elementsPerMessage));
    return this;
  }

  deleteSet(name: string): this {
    return this.#push(`delete set ${name}`, operations.deleteSet, 0, attribute(1, this.#name), attribute(2, name));
  }

  addElements(set: string, key: readonly NftKeyType[], keys: readonly NftKey[]): this {
    return this.#elements(
      operations.newElement,
      set,
      keys.map((values) => keyPart(key, values)),
    );
  }

  addVerdicts(
    map: string,
    key: readonly NftKeyType[],
    entries: readonly { readonly key: NftKey; readonly verdict: NftVerdict }[],
  ): this {
    return this.#elements(
      operations.newElement,
      map,
      entries.map((entry) => Buffer.concat([keyPart(key, entry.key), nested(2, [verdictData(entry.verdict)])])),
    );
  }

  /** Deletes elements of a set or map. The kernel refuses this with ENOENT if one does not exist. */
  deleteElements(set: string, key: readonly NftKeyType[], keys: readonly NftKey[]): this {
    return this.#elements(
      operations.deleteElement,
      set,
      keys.map((values) => keyPart(key, values)),
    );
  }

  /**
   * The expressions that translate to one of the endpoints, each with the same probability. All endpoints must be of
   * one family. Adds an anonymous map.
   */
  dnatToOneOf(endpoints: readonly NftEndpoint[]): NftExpression[] {
    const [first] = endpoints;
    if (first === undefined) throw userError("unexpected", "a translation needs at least one endpoint");
    const family: IpFamily = ipFamilyOf(first.address);
    const id = this.#transaction.takeSetId();
    const dataTypes: readonly NftKeyType[] = [family, "port"];
    this.#push(
      "add map",
      operations.newSet,
      netlinkFlags.create,
      attribute(1, this.#name),
      attribute(2, anonymousMap),
      attribute(3, u32be(setFlags.anonymous | setFlags.constant | setFlags.map)),
      attribute(4, u32be(4)),
      attribute(5, u32be(4)),
      attribute(6, u32be(concatenatedType(dataTypes))),
      attribute(7, u32be(concatenatedBytes(dataTypes))),
      attribute(10, u32be(id)),
    );
    const elements = endpoints.map((endpoint, index) =>
      Buffer.concat([
        nested(1, [attribute(1, u32(index))]),
        nested(2, [attribute(1, encodeKey(dataTypes, [endpoint.address, endpoint.port]))]),
      ]),
    );
    this.#elements(operations.newElement, anonymousMap, elements, id);
    return dnatByRandomMap(anonymousMap, id, endpoints.length, family);
  }

  #addNamed(name: string, key: readonly NftKeyType[], flags: number, parts: readonly Buffer[]): this {
    return this.#push(
      `add set ${name}`,
      operations.newSet,
      netlinkFlags.create,
      attribute(1, this.#name),
      attribute(2, name),
      attribute(3, u32be(flags)),
      attribute(4, u32be(concatenatedType(key))),
      attribute(5, u32be(concatenatedBytes(key))),
      attribute(10, u32be(this.#transaction.takeSetId())),
      ...parts,
    );
  }

  #elements(operation: number, set: string, elements: readonly Buffer[], id?: number): this {
    if (elements.length === 0) return this;
    return this.#push(
      `${operation === operations.newElement ? "add to" : "delete from"} ${set}`,
      operation,
      operation === operations.newElement ? netlinkFlags.create : 0,
      attribute(1, this.#name),
      attribute(2, set),
      ...(id === undefined ? [] : [attribute(4, u32be(id))]),
      nested(
        3,
        elements.map((element) => nested(1, [element])),
      ),
    );
  }

  #push(label: string, operation: number, flags: number, ...parts: readonly Buffer[]): this {
    this.#transaction.push(
      `${label} (${this.#family} ${this.#name})`,
      nftMessage(operation, flags, this.#family, ...parts),
    );
    return this;
  }
}

const anonymousMap = "__map%d";

function timeoutPart(timeoutMs: number | undefined): Buffer[] {
  if (timeoutMs === undefined) return [];
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(timeoutMs));
  return [attribute(11, bytes)];
}

function keyPart(types: readonly NftKeyType[], key: NftKey): Buffer {
  return nested(1, [attribute(1, encodeKey(types, key))]);
}

function concatenatedType(types: readonly NftKeyType[]): number {
  return types.reduce((number, type) => (number << 6) | keyTypes[type].number, 0);
}

/** The length of a key. Each type counts with its length in a concatenation, where it fills slots of 4 bytes. */
function concatenatedBytes(types: readonly NftKeyType[]): number {
  return types.reduce((bytes, type) => bytes + keyTypes[type].bytes, 0);
}

interface Ipv4Range {
  readonly first: number;
  /** The address after the last one, as a number. */
  readonly after: number;
}

/** The ranges of the prefixes, in order and merged, because the kernel refuses ranges that overlap. */
function disjointRanges(prefixes: readonly string[]): readonly Ipv4Range[] {
  const ranges: { first: number; after: number }[] = [];
  for (const { first, after } of prefixes.map(rangeOfPrefix).sort((left, right) => left.first - right.first)) {
    const last = ranges.at(-1);
    if (last !== undefined && first <= last.after) last.after = Math.max(last.after, after);
    else ranges.push({ first, after });
  }
  return ranges;
}

function rangeOfPrefix(prefix: string): Ipv4Range {
  const [address = "", length = "32"] = prefix.split("/");
  const bytes = ipToBytes(address);
  if (bytes.length !== 4) throw userError("address-invalid", `"${prefix}" is not an IPv4 prefix`);
  const size = 2 ** (32 - Number(length));
  const first = Math.floor(Buffer.from(bytes).readUInt32BE(0) / size) * size;
  return { first, after: first + size };
}

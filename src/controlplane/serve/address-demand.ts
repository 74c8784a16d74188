import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ResourceSchema } from "../../wire/discovery/index.ts";
import { bytesToIp } from "../../wire/netlink/index.ts";
import { AddressSchema } from "../../wire/workload/index.ts";
import { memos } from "../model/memos.ts";
import type { EncodedResource } from "../translate/index.ts";
import type { ResourceView } from "./resource-views/resource-view.ts";

interface Known {
  readonly resource: EncodedResource;
  /** Entries of the form `network/address`. A CIDR includes its length. */
  readonly aliases: readonly string[];
  readonly services: readonly string[];
  readonly node: string;
}

/** Finds addresses by other keys than their names. All streams that request single addresses share it. */
class AddressIndex {
  readonly #view: ResourceView;
  readonly #known = new Map<string, Known>();
  readonly #byKey = new Map<string, Set<string>>();

  constructor(view: ResourceView) {
    this.#view = view;
    this.update([...view.all()].map(({ name }) => name));
  }

  update(names: readonly string[]): void {
    for (const name of names) {
      const resource = this.#view.get(name);
      const before = this.#known.get(name);
      if (before?.resource === resource) continue;
      for (const key of before === undefined ? [] : keysOf(before)) this.#unlink(key, name);
      if (resource === undefined) this.#known.delete(name);
      else {
        const known = readAddress(resource);
        this.#known.set(name, known);
        for (const key of keysOf(known)) this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(name));
      }
    }
  }

  get(name: string): Known | undefined {
    return this.#known.get(name);
  }

  lookup(key: string): readonly string[] {
    return [...(this.#byKey.get(key) ?? [])];
  }

  #unlink(key: string, name: string): void {
    const names = this.#byKey.get(key);
    names?.delete(name);
    if (names?.size === 0) this.#byKey.delete(key);
  }
}

const indexes = new WeakMap<ResourceView, { readonly index: AddressIndex; users: number }>();

const aliased = memos.memo<EncodedResource, EncodedResource>("resources-with-aliases");

/**
 * The addresses that one ztunnel has asked for by uid, `namespace/hostname` or `network/address`. An answer with a
 * service also contains the service's workloads. The first answer also contains the workloads of the ztunnel's own
 * node.
 */
export class AddressDemand {
  readonly #view: ResourceView;
  readonly #index: AddressIndex;
  readonly #node: string;

  constructor(view: ResourceView, node: string) {
    this.#view = view;
    this.#node = node;
    const shared = indexes.get(view) ?? { index: new AddressIndex(view), users: 0 };
    shared.users += 1;
    indexes.set(view, shared);
    this.#index = shared.index;
  }

  close(): void {
    const shared = indexes.get(this.#view);
    if (shared === undefined) return;
    shared.users -= 1;
    // Nothing keeps the index up to date after its last user has left.
    if (shared.users === 0) indexes.delete(this.#view);
  }

  /** The names of the resources that answer a key. Empty as long as there are none. */
  answersTo(key: string): readonly string[] {
    const own =
      this.#view.get(key) === undefined
        ? this.#index.lookup(key).filter((name) => this.#index.get(name)?.aliases.includes(key) === true)
        : [key];
    return [...new Set(own.flatMap((name) => [name, ...this.#index.lookup(name)]))];
  }

  onNode(): readonly string[] {
    return this.#node === "" ? [] : this.#index.lookup(nodeKey(this.#node));
  }

  /** Takes the names of changed objects. It must be called before any method that looks up names. */
  changed(names: readonly string[]): void {
    this.#index.update(names);
  }

  isFor(name: string, requested: Pick<ReadonlySet<string>, "has">): boolean {
    const known = this.#index.get(name);
    return (
      known !== undefined &&
      (known.aliases.some((key) => requested.has(key)) ||
        known.services.some((key) => requested.has(key)) ||
        (this.#node !== "" && known.node === this.#node))
    );
  }

  withAliases(resource: EncodedResource): EncodedResource {
    const aliases = this.#index.get(resource.name)?.aliases ?? [];
    if (aliases.length === 0) return resource;
    const known = aliased.get(resource);
    if (known !== undefined) return known;
    const delta = toBinary(
      ResourceSchema,
      create(ResourceSchema, {
        name: resource.name,
        version: resource.version,
        aliases: [...aliases],
        resource: fromBinary(AnySchema, resource.any),
      }),
    );
    const result = { ...resource, delta };
    aliased.set(resource, result);
    return result;
  }
}

function nodeKey(node: string): string {
  return `node ${node}`;
}

function keysOf({ aliases, services, node }: Known): readonly string[] {
  return [...aliases, ...services, ...(node === "" ? [] : [nodeKey(node)])];
}

function readAddress(resource: EncodedResource): Known {
  const { type } = fromBinary(AddressSchema, fromBinary(AnySchema, resource.any).value);
  if (type.case === "workload") {
    const { addresses, network, services, node } = type.value;
    return {
      resource,
      aliases: addresses.map((bytes) => `${network}/${bytesToIp(bytes)}`),
      services: Object.keys(services),
      node,
    };
  }
  const addresses = type.case === "service" ? type.value.addresses : [];
  return {
    resource,
    aliases: addresses.map(
      ({ network, address, length }) => `${network}/${bytesToIp(address)}${length === undefined ? "" : `/${length}`}`,
    ),
    services: [],
    node: "",
  };
}

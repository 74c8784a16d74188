import { istioLabels, type MeshNetworks } from "../../api/istio/index.ts";
import type { Labels } from "./facts.ts";
import { addressBytes, cidrOf } from "./ip-address.ts";
import { memos } from "./memos.ts";

/**
 * Finds an endpoint's network by the endpoint's address and its workload's labels. Empty if the network has no name.
 */
export type EndpointNetworks = (address: string, labels: Labels) => string;

/**
 * A function that finds the network of an endpoint. As in upstream, the workload's label takes precedence, then the
 * label of its cluster's root namespace, then the mesh networks configuration.
 */
export function endpointNetworks(
  clusterId: string,
  rootNamespaceLabel: string,
  networks: MeshNetworks,
): EndpointNetworks {
  const { byRegistry, ranges } = tables.of(networks, tableOf);
  const ofCluster = rootNamespaceLabel === "" ? (byRegistry.get(clusterId) ?? "") : rootNamespaceLabel;
  return (address, labels) => {
    const own = labels[istioLabels.network] ?? "";
    if (own !== "") return own;
    return ofCluster === "" && ranges.length > 0 ? networkOfAddress(address, ranges) : ofCluster;
  };
}

interface NetworkRange {
  readonly network: string;
  readonly address: Uint8Array;
  readonly length: number;
}

interface NetworkTable {
  readonly byRegistry: ReadonlyMap<string, string>;
  /** The address ranges of networks, larger ones first. */
  readonly ranges: readonly NetworkRange[];
}

const tables = memos.memo<MeshNetworks, NetworkTable>("network-tables");

function tableOf(networks: MeshNetworks): NetworkTable {
  const byRegistry = new Map<string, string>();
  const ranges: NetworkRange[] = [];
  for (const [network, { registries, cidrs }] of Object.entries(networks)) {
    for (const registry of registries) if (!byRegistry.has(registry)) byRegistry.set(registry, network);
    for (const cidr of cidrs) {
      const range = cidrOf(cidr);
      if (range !== undefined) ranges.push({ network, ...range });
    }
  }
  return { byRegistry, ranges: ranges.sort((left, right) => left.length - right.length) };
}

function networkOfAddress(text: string, ranges: readonly NetworkRange[]): string {
  const address = addressBytes(text);
  return address === undefined ? "" : (ranges.find((range) => contains(range, address))?.network ?? "");
}

const bitsPerByte = 8;

function contains({ address, length }: NetworkRange, candidate: Uint8Array): boolean {
  if (address.length !== candidate.length) return false;
  for (let bit = 0; bit < length; bit += bitsPerByte) {
    const index = bit / bitsPerByte;
    const mask = (0xff << Math.max(0, bitsPerByte - (length - bit))) & 0xff;
    if (((address[index] ?? 0) & mask) !== ((candidate[index] ?? 0) & mask)) return false;
  }
  return true;
}

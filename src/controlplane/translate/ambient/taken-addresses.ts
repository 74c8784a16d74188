import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { NetworkMode, type Address, type Workload } from "../../../wire/workload/index.ts";
import { localNetwork, remoteNetwork } from "../../model/cluster-view.ts";
import { meshKey, type PodFacts, type ServiceFacts } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import type { OfCluster } from "../../model/remote-inputs.ts";
import { givenAddresses, singleAddress, type GivenAddresses } from "../../model/service/given-addresses.ts";

/**
 * The addresses of Kubernetes Services and of nodes with pods, and those that a control plane has allocated to the
 * hosts of ServiceEntries.
 */
export class TakenAddresses {
  readonly #inputs: MeshInputs;
  readonly #local: CollectionIndex<ServiceFacts>;
  readonly #remote: CollectionIndex<ServiceFacts & OfCluster>;
  readonly #given: GivenAddresses;
  readonly #nodes: CollectionIndex<PodFacts>;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
    this.#local = inputs.services.index("ambient-address", addressKeys);
    this.#remote = inputs.remote.services.index("ambient-address", addressKeys);
    this.#given = givenAddresses(inputs);
    this.#nodes = inputs.pods.index("node-address", ({ hostNetwork, addresses }) =>
      hostNetwork ? addresses.flatMap(singleAddress) : [],
    );
  }

  /**
   * Marks a workload that has an address of a service or a node as one that shares its address, as pods on a node's
   * network do. The author of a workload that is not a pod may write any address, and a ztunnel prefers a workload with
   * an address over a service with it. Ztunnels find a marked workload as an endpoint, but not by its address, so that
   * services and nodes keep their addresses.
   */
  yieldTo(address: Address, reader: CollectionReader): Address {
    if (address.type.case !== "workload") return address;
    const workload = address.type.value;
    if (this.#overlap(workload, reader)) workload.networkMode = NetworkMode.HOST_NETWORK;
    return address;
  }

  /** Whether a service or a node has one of the workload's addresses in the workload's network. */
  #overlap({ network, addresses, namespace }: Workload, reader: CollectionReader): boolean {
    const mesh = reader.get(this.#inputs.mesh, meshKey);
    if (mesh === undefined || addresses.length === 0) return false;
    const isLocal = network === localNetwork(mesh, this.#inputs, reader);
    return addresses.some((bytes) => {
      const key = bytes.join(".");
      if (isLocal && [this.#local, this.#nodes].some((index) => reader.lookup<unknown>(index, key).length > 0))
        return true;
      if (isLocal && reader.lookup(this.#given, key).some((entry) => entry.namespace !== namespace)) return true;
      const remote = reader.lookup(this.#remote, key);
      return remote.some(({ clusterId }) => network === remoteNetwork(clusterId, mesh, this.#inputs, reader));
    });
  }
}

function addressKeys({ clusterAddresses }: ServiceFacts): readonly string[] {
  return clusterAddresses.flatMap(singleAddress);
}

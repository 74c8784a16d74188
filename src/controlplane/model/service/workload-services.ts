import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import {
  compareText,
  factsKey,
  type PodFacts,
  type ServiceEntryFacts,
  type ServiceFacts,
  type ServicePortFacts,
  type WorkloadEntryFacts,
} from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { selecting, selectorKeys } from "../selection.ts";
import { portNamed, workloadEntryLabels, workloadEntryTarget } from "../workload-entry.ts";
import { targetPortOf } from "./service-ports.ts";

export interface ServedService {
  readonly service: ServiceFacts;
  /** Finds the workload's port behind a port of the Service. Undefined if the workload has no such port. */
  readonly targetOf: (port: ServicePortFacts) => number | undefined;
}

export interface ServedEntry {
  readonly entry: ServiceEntryFacts;
  readonly targetOf: (port: ServiceEntryFacts["spec"]["ports"][number]) => number;
}

type NamedPorts = WorkloadEntryFacts["spec"]["ports"];

/**
 * Finds the services of a workload's namespace that the workload serves. As in upstream, a WorkloadEntry with the
 * workload's address replaces the workload: Services select the entry's labels instead of the workload's own.
 * ServiceEntries may select both, or name the address.
 */
export class WorkloadServices {
  readonly #services: CollectionIndex<ServiceFacts>;
  readonly #entries: CollectionIndex<ServiceEntryFacts>;
  readonly #entriesOfAddress: CollectionIndex<ServiceEntryFacts>;
  readonly #workloadEntries: CollectionIndex<WorkloadEntryFacts>;

  constructor({ services, serviceEntries, workloadEntries }: MeshInputs) {
    this.#services = services.index("selector", (service) => selectorKeys(service.namespace, service.selector));
    this.#entries = serviceEntries.index("selector", (entry) => selectorKeys(entry.namespace, selectorOf(entry)));
    this.#entriesOfAddress = serviceEntries.index(
      "endpoint-address",
      ({ namespace, spec }) => new Set(spec.endpoints.map(({ address }) => `${namespace}/${address}`)),
    );
    this.#workloadEntries = workloadEntries.index("namespace-address", ({ namespace, spec }) => [
      `${namespace}/${spec.address}`,
    ]);
  }

  /**
   * The WorkloadEntries of the pod's namespace with one of its addresses. The one that replaces the pod for Services
   * comes first.
   */
  standInsOf(pod: PodFacts, reader: CollectionReader): readonly WorkloadEntryFacts[] {
    const found = pod.addresses.flatMap((address) => [
      ...reader.lookup(this.#workloadEntries, `${pod.namespace}/${address}`),
    ]);
    return found.length < 2
      ? found
      : found.sort(
          (left, right) =>
            Number(right.name === pod.name) - Number(left.name === pod.name) || compareText(left.name, right.name),
        );
  }

  servicesOf(pod: PodFacts, reader: CollectionReader): readonly ServedService[] {
    const [standIn] = this.standInsOf(pod, reader);
    const labels = standIn === undefined ? pod.labels : workloadEntryLabels(standIn);
    return selecting(this.#services, pod.namespace, labels, ({ selector }) => selector, reader)
      .filter(({ clusterId }) => clusterId === pod.clusterId)
      .filter((service) => standIn === undefined || takesWorkloadEntries(service))
      .map((service) => ({
        service,
        targetOf: (port) =>
          standIn === undefined ? targetPortOf(port, pod) : workloadEntryTarget(port, standIn.spec.ports),
      }));
  }

  entriesOf(pod: PodFacts, reader: CollectionReader): readonly ServedEntry[] {
    const { namespace } = pod;
    const selectedBy = (labels: PodFacts["labels"]): readonly ServiceEntryFacts[] =>
      selecting(this.#entries, namespace, labels, selectorOf, reader);
    const served = (entry: ServiceEntryFacts, ports: NamedPorts): ServedEntry => ({
      entry,
      targetOf: ({ name = "", number, targetPort }) => portNamed(ports, name) ?? targetPort ?? number,
    });
    const found = [
      ...this.standInsOf(pod, reader).flatMap((standIn) =>
        selectedBy(workloadEntryLabels(standIn)).map((entry) => served(entry, standIn.spec.ports)),
      ),
      ...selectedBy(pod.labels).map((entry) => served(entry, {})),
      ...pod.addresses.flatMap((address) =>
        reader
          .lookup(this.#entriesOfAddress, `${namespace}/${address}`)
          .flatMap((entry) =>
            entry.spec.endpoints
              .filter((endpoint) => endpoint.address === address)
              .map((endpoint) => served(entry, endpoint.ports)),
          ),
      ),
    ];
    return [...new Map(found.toReversed().map((item) => [factsKey(item.entry), item])).values()];
  }
}

/**
 * Whether WorkloadEntries may be endpoints of the Service. As in upstream, a headless Service has none, because its
 * clients connect to the addresses in DNS.
 */
function takesWorkloadEntries({ type, clusterAddresses }: ServiceFacts): boolean {
  return type !== "ExternalName" && clusterAddresses.length > 0;
}

function selectorOf({ spec }: ServiceEntryFacts): PodFacts["labels"] {
  return spec.workloadSelector?.labels ?? {};
}

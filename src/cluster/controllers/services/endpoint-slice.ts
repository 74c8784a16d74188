import { jsonEqual } from "../../../base/index.ts";
import { keyOf, matchesLabels, serviceNameLabel } from "../../../api/index.ts";
import {
  endpointsKind,
  endpointSliceKind,
  nodeKind,
  podKind,
  serviceKind,
  type Endpoints,
  type EndpointSlice,
  type Node,
  type Pod,
  type Service,
} from "../../../api/kubernetes/index.ts";
import { isKubeCode, ownerReference, type Reconciler } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import type { ObjectIndex, ObjectView } from "../object-view.ts";
import { planSlices, planSubsets, type SlicePlan } from "./endpoints-plan.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { templateHash } from "../pods/pod-template.ts";

const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const manager = "endpointslice-controller.k8s.io";
const zoneLabel = "topology.kubernetes.io/zone";
const headlessLabel = "service.kubernetes.io/headless";

/** Maintains the EndpointSlices and the older Endpoints object of each Service that selects pods. */
export function addEndpointSliceController(context: ControllerContext): void {
  const controller = new EndpointSliceController(context);
  const queue = context.queue("endpointslice", (key) => controller.reconcile(key), { concurrency: 8 });
  enqueueOn(context.view(serviceKind), queue);
  deleteEndpointsOfDeletedServices(context);
  enqueueOnDeletedSlice(context, queue);
  enqueueServicesOfPods(context, queue);
}

class EndpointSliceController {
  readonly #context: ControllerContext;
  readonly #services: ObjectView<Service>;
  readonly #slices: ObjectView<EndpointSlice>;
  readonly #endpoints: ObjectView<Endpoints>;
  readonly #nodes: ObjectView<Node>;
  /** The slices of this controller, by the key of their Service. */
  readonly #slicesByService: ObjectIndex<EndpointSlice>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#services = context.view(serviceKind);
    this.#slices = context.view(endpointSliceKind);
    this.#endpoints = context.view(endpointsKind);
    this.#nodes = context.view(nodeKind);
    this.#slicesByService = this.#slices.index((slice) => {
      const name = slice.metadata.labels?.[serviceNameLabel];
      return name === undefined || slice.metadata.labels?.[managedByLabel] !== manager
        ? []
        : [`${slice.metadata.namespace ?? ""}/${name}`];
    });
  }

  async reconcile(key: string): Promise<void> {
    const service = this.#services.at(key);
    const known = this.#slicesByService.of(key);
    if (service === undefined || isTerminating(service) || !selectsPods(service)) return;
    const pods = this.#context.podsByNamespace
      .of(service.metadata.namespace ?? "")
      .filter((pod) => matchesLabels(service.spec?.selector, pod.metadata.labels));
    const zoneOf = (node: string): string | undefined => this.#nodes.at(node)?.metadata.labels?.[zoneLabel];
    await this.#writeSlices(service, planSlices(service, pods, zoneOf), known);
    await this.#writeEndpoints(service, pods);
  }

  async #writeSlices(service: Service, plans: readonly SlicePlan[], known: readonly EndpointSlice[]): Promise<void> {
    const left = new Map(known.map((slice) => [slice.metadata.name ?? "", slice]));
    for (const [index, plan] of plans.entries()) {
      const wanted = sliceOf(service, plan, index);
      const name = wanted.metadata.name ?? "";
      const found = left.get(name);
      left.delete(name);
      await this.#writeSlice(wanted, found);
    }
    for (const slice of left.values()) {
      await this.#context.client.delete(endpointSliceKind, slice.metadata.name ?? "", slice.metadata.namespace);
      this.#slices.deleted(slice);
    }
  }

  async #writeSlice(wanted: EndpointSlice, found: EndpointSlice | undefined): Promise<void> {
    const { client } = this.#context;
    const { name = "", namespace, labels } = wanted.metadata;
    if (found === undefined || isTerminating(found)) {
      this.#slices.wrote(await client.create(endpointSliceKind, wanted));
      return;
    }
    const same =
      jsonEqual(found.endpoints ?? [], wanted.endpoints) &&
      jsonEqual(found.ports ?? [], wanted.ports) &&
      jsonEqual(found.metadata.labels, labels);
    if (same) return;
    const metadata = { labels: labelPatch(found.metadata.labels, labels) };
    const patch = { metadata, endpoints: wanted.endpoints, ports: wanted.ports };
    this.#slices.wrote(await client.patchMerge(endpointSliceKind, name, namespace, patch));
  }

  async #writeEndpoints(service: Service, pods: readonly Pod[]): Promise<void> {
    const { client } = this.#context;
    const { name = "", namespace = "" } = service.metadata;
    const subsets = planSubsets(service, pods);
    const labels = {
      ...service.metadata.labels,
      ...headlessLabels(service),
      "endpoints.kubernetes.io/managed-by": "endpoint-controller",
    };
    const found = this.#endpoints.get(namespace, name);
    if (found !== undefined && jsonEqual(found.subsets ?? [], subsets) && jsonEqual(found.metadata.labels, labels))
      return;
    const patch = (): Promise<Endpoints> =>
      client.patchMerge(endpointsKind, name, namespace, {
        metadata: { labels: labelPatch(found?.metadata.labels, labels) },
        subsets,
      });
    const create = (): Promise<Endpoints> =>
      client.create(endpointsKind, { metadata: { name, namespace, labels }, subsets });
    try {
      this.#endpoints.wrote(await (found === undefined ? create() : patch()));
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
      this.#endpoints.wrote(await patch());
    }
  }
}

/**
 * Deletes the Endpoints of deleted Services. Slices have an owner, so the garbage collector deletes them, but Endpoints
 * have none.
 */
function deleteEndpointsOfDeletedServices(context: ControllerContext): void {
  const services = context.view(serviceKind);
  const endpoints = context.view(endpointsKind);
  const queue = context.queue("endpoints-of-deleted-services", async (key) => {
    const found = endpoints.at(key);
    if (found === undefined || services.at(key) !== undefined) return;
    try {
      await context.client.delete(endpointsKind, found.metadata.name ?? "", found.metadata.namespace);
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  });
  services.onChange(({ type, key }) => {
    if (type === "delete") queue.add(key);
  });
}

function enqueueOnDeletedSlice(context: ControllerContext, queue: Reconciler): void {
  context.view(endpointSliceKind).onChange(({ type, object }) => {
    const name = object.metadata.labels?.[serviceNameLabel];
    if (type === "delete" && name !== undefined) queue.add(`${object.metadata.namespace ?? ""}/${name}`);
  });
}

/**
 * Queues Services after a change of a pod or a node: those that select the pod before or after the change, and those
 * that select a pod on a node whose zone has changed.
 */
function enqueueServicesOfPods(context: ControllerContext, queue: Reconciler): void {
  const servicesByNamespace = context.view(serviceKind).index((service) => [service.metadata.namespace ?? ""]);
  const enqueueServicesOf = (pod: Pod, previous: Pod | undefined): void => {
    for (const service of servicesByNamespace.of(pod.metadata.namespace ?? "")) {
      const selector = service.spec?.selector;
      if (
        matchesLabels(selector, pod.metadata.labels) ||
        (previous !== undefined && matchesLabels(selector, previous.metadata.labels))
      )
        queue.add(keyOf(service));
    }
  };
  context.view(podKind).onChange((change) => {
    enqueueServicesOf(change.object, change.type === "set" ? change.previous : undefined);
  });
  context.view(nodeKind).onChange((change) => {
    const { labels, name = "" } = change.object.metadata;
    const before = change.type === "set" ? change.previous?.metadata.labels?.[zoneLabel] : undefined;
    if (labels?.[zoneLabel] === before) return;
    for (const pod of context.podsByNode.of(name)) enqueueServicesOf(pod, undefined);
  });
}

/**
 * Whether the Service has a selector. As in Kubernetes, the EndpointSlices of a Service without a selector belong to
 * the user who wrote them, even if the Service once had a selector.
 */
function selectsPods({ spec }: Service): boolean {
  return Object.keys(spec?.selector ?? {}).length > 0 && spec?.type !== "ExternalName";
}

function headlessLabels({ spec }: Service): Record<string, string> {
  return spec?.clusterIP === "None" ? { [headlessLabel]: "" } : {};
}

/** The labels as a merge patch. The patch also removes labels that are no longer wanted. */
function labelPatch(
  before: Readonly<Record<string, string>> = {},
  wanted: Readonly<Record<string, string>> = {},
): Record<string, string | null> {
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(wanted, key));
  return { ...wanted, ...Object.fromEntries(gone.map((key) => [key, null])) };
}

function sliceOf(service: Service, plan: SlicePlan, index: number): EndpointSlice {
  const { name = "", namespace = "", uid = "", labels } = service.metadata;
  // The name is derived from the Service, so that a restarted controller finds its slice.
  const suffix = templateHash(`${uid}/${plan.addressType}`).slice(0, 5);
  return {
    metadata: {
      name: index === 0 ? `${name}-${suffix}` : `${name}-${suffix}-${index}`,
      namespace,
      labels: {
        ...labels,
        [serviceNameLabel]: name,
        [managedByLabel]: manager,
        ...headlessLabels(service),
      },
      ownerReferences: [ownerReference(serviceKind, service)],
    },
    addressType: plan.addressType,
    endpoints: [...plan.endpoints],
    ports: plan.ports,
  };
}

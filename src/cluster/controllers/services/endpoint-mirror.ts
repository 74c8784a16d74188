import { isIPv6 } from "node:net";
import { jsonEqual } from "../../../base/index.ts";
import { serviceNameLabel } from "../../../api/index.ts";
import {
  endpointsKind,
  endpointSliceKind,
  serviceKind,
  type Endpoint,
  type EndpointAddress,
  type Endpoints,
  type EndpointSlice,
  type Service,
} from "../../../api/kubernetes/index.ts";
import { ownerReference } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import type { ObjectIndex, ObjectView } from "../object-view.ts";
import { isTerminating } from "../pods/pod-facts.ts";

const managedByLabel = "endpointslice.kubernetes.io/managed-by";
const manager = "endpointslicemirroring-controller.k8s.io";
const skipLabel = "endpointslice.kubernetes.io/skip-mirror";
/** An Endpoints object with this annotation is a lock for leader election and contains no addresses. */
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader";
/** Annotations that are not copied to slices, because they concern only the Endpoints object. */
const ownAnnotations: ReadonlySet<string> = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  "endpoints.kubernetes.io/last-change-trigger-time",
]);

/** The maximum number of mirrored addresses of a subset, as in Kubernetes. */
const maxAddressesPerSubset = 1_000;

/**
 * Copies the Endpoints that people write for Services without a selector into EndpointSlices. All other parts of the
 * cluster read only slices.
 */
export function addEndpointMirror(context: ControllerContext): void {
  const mirror = new EndpointMirror(context);
  const queue = context.queue("endpointmirror", (key) => mirror.reconcile(key));
  enqueueOn(context.view(endpointsKind), queue);
  context.view(serviceKind).onChange(({ key }) => queue.add(key));
  context.view(endpointSliceKind).onChange(({ type, object }) => {
    const service = mirroredService(object);
    if (type === "delete" && service !== undefined) queue.add(service);
  });
}

class EndpointMirror {
  readonly #context: ControllerContext;
  readonly #services: ObjectView<Service>;
  readonly #endpoints: ObjectView<Endpoints>;
  readonly #slices: ObjectView<EndpointSlice>;
  /** The slices of this controller, by the key of their Service. */
  readonly #slicesByService: ObjectIndex<EndpointSlice>;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#services = context.view(serviceKind);
    this.#endpoints = context.view(endpointsKind);
    this.#slices = context.view(endpointSliceKind);
    this.#slicesByService = this.#slices.index((slice) => {
      const service = mirroredService(slice);
      return service === undefined ? [] : [service];
    });
  }

  async reconcile(key: string): Promise<void> {
    const { client } = this.#context;
    const endpoints = this.#endpoints.at(key);
    const wanted =
      endpoints !== undefined && isMirrored(endpoints, this.#services.at(key)) ? mirrorSlices(endpoints) : [];
    const left = new Map(this.#slicesByService.of(key).map((slice) => [slice.metadata.name ?? "", slice]));
    for (const slice of wanted) {
      const { name = "", labels, annotations } = slice.metadata;
      const found = left.get(name);
      left.delete(name);
      if (found === undefined || isTerminating(found)) {
        this.#slices.wrote(await client.create(endpointSliceKind, slice));
        continue;
      }
      const isSame =
        jsonEqual(found.endpoints ?? [], slice.endpoints) &&
        jsonEqual(found.ports ?? [], slice.ports) &&
        jsonEqual(found.metadata.labels, labels) &&
        jsonEqual(found.metadata.annotations ?? {}, annotations);
      // The version makes the API server refuse the write if somebody has changed the slice since the read.
      const { resourceVersion, uid } = found.metadata;
      if (!isSame)
        this.#slices.wrote(
          await client.update(endpointSliceKind, {
            ...slice,
            metadata: {
              ...slice.metadata,
              ...(uid === undefined ? {} : { uid }),
              ...(resourceVersion === undefined ? {} : { resourceVersion }),
            },
          }),
        );
    }
    for (const slice of left.values()) {
      await client.delete(endpointSliceKind, slice.metadata.name ?? "", slice.metadata.namespace);
      this.#slices.deleted(slice);
    }
  }
}

/** Returns the key of the Service whose Endpoints the slice mirrors, or undefined for any other slice. */
function mirroredService({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[serviceNameLabel];
  return name === undefined || metadata.labels?.[managedByLabel] !== manager
    ? undefined
    : `${metadata.namespace ?? ""}/${name}`;
}

function isMirrored({ metadata }: Endpoints, service: Service | undefined): boolean {
  return (
    service !== undefined &&
    Object.keys(service.spec?.selector ?? {}).length === 0 &&
    metadata.labels?.[skipLabel] !== "true" &&
    metadata.annotations?.[leaderAnnotation] === undefined
  );
}

/** The slices of an Endpoints object: one for each subset and address family. */
function mirrorSlices(endpoints: Endpoints): EndpointSlice[] {
  const { name = "", namespace = "", labels, annotations = {} } = endpoints.metadata;
  const kept = Object.entries(annotations).filter(([key]) => !ownAnnotations.has(key));
  return (endpoints.subsets ?? []).flatMap((subset, index) => {
    const all = [
      ...(subset.addresses ?? []).map((address) => ({ address, ready: true })),
      ...(subset.notReadyAddresses ?? []).map((address) => ({ address, ready: false })),
    ].slice(0, maxAddressesPerSubset);
    return (["IPv4", "IPv6"] as const).flatMap((addressType): EndpointSlice[] => {
      const found = all.filter(({ address: { ip } }) => isIPv6(ip) === (addressType === "IPv6"));
      if (found.length === 0) return [];
      return [
        {
          metadata: {
            // The name depends only on the Service and the slice's place, so that a restarted controller finds its
            // slice.
            name: `${name}-mirror-${index}-${addressType.toLowerCase()}`,
            namespace,
            labels: { ...labels, [serviceNameLabel]: name, [managedByLabel]: manager },
            annotations: Object.fromEntries(kept),
            ownerReferences: [ownerReference(endpointsKind, endpoints)],
          },
          addressType,
          endpoints: found.map(({ address, ready }) => endpointOf(address, ready)),
          ports: (subset.ports ?? []).map(({ name: port = "", protocol = "TCP", ...rest }) => ({
            name: port,
            protocol,
            ...rest,
          })),
        },
      ];
    });
  });
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}

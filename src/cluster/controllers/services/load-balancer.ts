import { keyOf } from "../../../api/index.ts";
import {
  ipAddressPoolKind,
  l2AdvertisementKind,
  serviceKind,
  type IPAddressPool,
  type Service,
} from "../../../api/kubernetes/index.ts";
import { enqueueOn, patchStatus, type ControllerContext } from "../controller.ts";
import {
  addressesOf,
  allocate,
  requestedAddresses,
  isAdvertised,
  useOf,
  wantsAddress,
  type AddressUse,
} from "./load-balancer-plan.ts";

const metalLbNamespace = "metallb-system";

/**
 * The lab's own range. It is used if the user has defined no pool, because clouds too assign addresses without
 * configuration.
 */
const labPool: IPAddressPool = {
  metadata: { name: "lab" },
  spec: { addresses: ["172.18.255.1-172.18.255.199"], autoAssign: true },
};

/**
 * Assigns addresses to Services of type LoadBalancer, from MetalLB's pools or, if there are none, from the lab's own
 * range. A Service keeps its address until it requests another one or is no longer of this type.
 */
export function addLoadBalancerController(context: ControllerContext): void {
  const services = context.view(serviceKind);
  // Other controllers must not wait for these kinds, because their CRDs are applied only at the first boot.
  const pools = context.lateView(ipAddressPoolKind);
  const advertisements = context.lateView(l2AdvertisementKind);
  const record = context.events("metallb-controller");
  const ours = <Value extends { metadata: { namespace?: string } }>(objects: readonly Value[]): Value[] =>
    objects.filter(({ metadata }) => metadata.namespace === metalLbNamespace);

  // Handle one Service at a time, so that two do not get the same address.
  const queue = context.queue(
    "loadbalancer",
    async (key) => {
      const service = services.at(key);
      if (service === undefined) return;
      const held = addressesOf(service);
      if (!wantsAddress(service)) {
        if (held.length > 0 && (service.spec?.loadBalancerClass ?? "") === "") await writeAddresses(service, []);
        return;
      }
      const requested = requestedAddresses(service);
      if (held.length > 0 && requested.every((address) => held.includes(address))) return;
      await assign(key, service);
    },
    { concurrency: 1, after: [pools.informer.synced, advertisements.informer.synced] },
  );

  const assign = async (key: string, service: Service): Promise<void> => {
    const present = ours(pools.all());
    const allocation = allocate(service, present.length === 0 ? [labPool] : present, usedAddresses(services.all()));
    if (allocation.addresses === undefined) {
      record(serviceKind, service, {
        type: "Warning",
        reason: "AllocationFailed",
        message: `Failed to allocate IP for "${key}": ${allocation.reason}`,
      });
      return;
    }
    await writeAddresses(service, allocation.addresses);
    record(serviceKind, service, {
      type: "Normal",
      reason: "IPAllocated",
      message: `Assigned IP ["${allocation.addresses.join('" "')}"]`,
    });
    const pool = pools.get(metalLbNamespace, allocation.pool);
    if (pool !== undefined && !isAdvertised(pool, ours(advertisements.all()))) {
      record(serviceKind, service, {
        type: "Warning",
        reason: "NotAdvertised",
        message: `no L2Advertisement announces the pool "${allocation.pool}"`,
      });
    }
  };

  const writeAddresses = async (service: Service, addresses: readonly string[]): Promise<void> => {
    const loadBalancer = { ingress: addresses.length === 0 ? null : addresses.map((ip) => ({ ip, ipMode: "VIP" })) };
    await patchStatus(context, serviceKind, service, { loadBalancer });
  };

  const retryWaiting = (): void => {
    // Add the Services in the order of their age, so that the oldest gets the lowest address.
    const waiting = services.all().filter((service) => wantsAddress(service) && addressesOf(service).length === 0);
    for (const service of waiting.sort(byAge)) queue.add(keyOf(service));
  };
  enqueueOn(services, queue);
  pools.onChange(retryWaiting);
  services.onChange((change) => {
    const freed =
      change.type === "delete"
        ? addressesOf(change.object)
        : change.previous === undefined
          ? []
          : addressesOf(change.previous);
    if (freed.length > 0 && (change.type === "delete" || addressesOf(change.object).length === 0)) retryWaiting();
  });
}

function usedAddresses(services: readonly Service[]): Map<string, AddressUse[]> {
  const used = new Map<string, AddressUse[]>();
  for (const service of services) {
    for (const address of addressesOf(service)) used.set(address, [...(used.get(address) ?? []), useOf(service)]);
  }
  return used;
}

function byAge(a: Service, b: Service): number {
  const order = (a.metadata.creationTimestamp ?? "").localeCompare(b.metadata.creationTimestamp ?? "");
  return order === 0 ? keyOf(a).localeCompare(keyOf(b)) : order;
}

import { serviceNameLabel } from "../../api/index.ts";
import {
  endpointSliceKind,
  namespaceKind,
  serviceKind,
  type EndpointSlice,
  type Service,
} from "../../api/kubernetes/index.ts";
import type { ControllerContext } from "../controllers/controller.ts";
import type { NameServer } from "../../net/dns/index.ts";
import { DnsServer } from "./dns-server.ts";
import type { ZoneSource } from "./zone.ts";

export interface ClusterDnsOptions {
  readonly address: string;
  readonly port: number;
  readonly upstream?: NameServer;
}

const domain = "cluster.local";

/** Serves DNS for the cluster's names, from the objects in the controllers' views. */
export function addClusterDns(context: ControllerContext, options: ClusterDnsOptions): void {
  const services = context.view(serviceKind);
  const slices = context.view(endpointSliceKind);
  const namespaces = context.view(namespaceKind);
  const servicesByClusterIP = services.index((service) => clusterIPsOf(service));
  const slicesByService = slices.index((slice) => {
    const name = slice.metadata.labels?.[serviceNameLabel];
    return name === undefined ? [] : [`${slice.metadata.namespace ?? ""}/${name}`];
  });
  const slicesByAddress = slices.index((slice) =>
    isHeadless(slice) ? [...new Set((slice.endpoints ?? []).flatMap(({ addresses }) => addresses))] : [],
  );
  const source: ZoneSource = {
    hasNamespace: (name) => namespaces.at(name) !== undefined,
    service: (namespace, name) => services.get(namespace, name),
    slicesOf: (namespace, name) => slicesByService.of(`${namespace}/${name}`),
    serviceByClusterIP: (address) => servicesByClusterIP.of(address)[0],
    slicesByAddress: (address) => slicesByAddress.of(address),
  };
  const { address, port, upstream } = options;
  const server = new DnsServer({
    address,
    port,
    domain,
    source,
    ready: context.allSynced(),
    ...(upstream === undefined ? {} : { upstream }),
    log: context.log.scoped("dns"),
    clock: context.clock,
    random: context.random,
  });
  context.runs((signal) => server.run(signal));
}

function isHeadless(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.["service.kubernetes.io/headless"] !== undefined;
}

function clusterIPsOf(service: Service): string[] {
  const all = service.spec?.clusterIPs ?? (service.spec?.clusterIP === undefined ? [] : [service.spec.clusterIP]);
  return all.filter((address) => address !== "" && address !== "None");
}

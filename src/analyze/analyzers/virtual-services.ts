import { gatewayKind } from "../../api/gateway/index.ts";
import {
  destinationRuleKind,
  hostsOverlap,
  istioGatewayKind,
  virtualServiceKind,
  type Destination,
  type IstioGateway,
  type VirtualService,
} from "../../api/istio/index.ts";
import { listed, type Analyzer, type Report } from "../analyzer.ts";
import { findHost, fullHost, knownHosts, knowsAllHosts, namesakes, visibility } from "../hosts.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";

type Service = Entry<VirtualService>;

interface PlacedDestination {
  readonly destination: Destination;
  readonly path: string;
  readonly isMirror: boolean;
}

const mesh = "mesh";

export function destinationsOf({ resource, object: { spec } }: Service): readonly PlacedDestination[] {
  const found: PlacedDestination[] = [];
  for (const field of ["http", "tls", "tcp"] as const) {
    for (const [index, { route }] of spec[field].entries()) {
      for (const [number, { destination }] of route.entries())
        found.push({ destination, path: `spec.${field}[${index}].route[${number}].destination`, isMirror: false });
    }
  }
  // The parser puts the older `mirror` into the list `mirrors`. Only the unparsed object tells which field a
  // destination is from.
  const written = (resource.object as { spec?: { http?: readonly { mirror?: unknown }[] } }).spec?.http ?? [];
  for (const [index, { mirrors }] of spec.http.entries()) {
    for (const [number, { destination }] of mirrors.entries()) {
      found.push({
        destination,
        path:
          written[index]?.mirror === undefined
            ? `spec.http[${index}].mirrors[${number}].destination`
            : `spec.http[${index}].mirror`,
        isMirror: true,
      });
    }
  }
  return found;
}

/** The gateways that a VirtualService names, without `mesh`. */
export function gatewayReferences({
  object: { metadata, spec },
}: Service): readonly { readonly namespace: string; readonly name: string; readonly path: string }[] {
  return spec.gateways.flatMap((written, index) => {
    if (written === mesh) return [];
    const [namespace = "", name = ""] = written.includes("/")
      ? written.split("/")
      : [metadata.namespace ?? "", written];
    return [{ namespace, name, path: `spec.gateways[${index}]` }];
  });
}

export function isForMesh({ object: { spec } }: Service): boolean {
  return spec.hosts.length > 0 && (spec.gateways.length === 0 || spec.gateways.includes(mesh));
}

export const destinationHostAnalyzer: Analyzer = {
  name: "virtualservice.DestinationHostAnalyzer",
  description: "hosts and ports that VirtualServices route to exist",
  analyze(inventory, report) {
    if (!knowsAllHosts(inventory)) return;
    for (const service of inventory.of(virtualServiceKind)) {
      for (const placed of destinationsOf(service)) checkDestination(service, placed, inventory, report);
      checkPassedBy(service, inventory, report);
    }
  },
};

function checkDestination(
  { resource, object }: Service,
  { destination: { host, port }, path, isMirror }: PlacedDestination,
  inventory: Inventory,
  report: Report,
): void {
  const namespace = object.metadata.namespace ?? "";
  const clients = clientNamespaces(object);
  const wanted = fullHost(host, namespace);
  const known = clients.map((client) => findHost(inventory, wanted, client)).find((found) => found !== undefined);
  const noun = isMirror ? "mirror host" : "host";
  if (known === undefined) {
    const others = namesakes(inventory, host).filter((other) => other !== wanted);
    const advice =
      others.length > 0
        ? `similar hosts: ${listed(others)}; write the full name`
        : knownHosts(inventory).some((other) => other.host === wanted)
          ? "export it there too, or correct the exportTo of one of the two"
          : "create the Service, or a ServiceEntry for a host outside the mesh";
    const viewers = clients.length === 1 ? `namespace ${clients[0] ?? ""} sees` : `namespaces ${listed(clients)} see`;
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      `${path}.host`,
      `${noun} "${host}" does not exist: no Service or ServiceEntry that ${viewers} has the name ${wanted}, so requests get 503; ${advice}`,
    );
    return;
  }
  if (known.ports.length === 0) return;
  if (port !== undefined && !known.ports.includes(port.number)) {
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      `${path}.port.number`,
      `${noun} "${host}" has no port ${port.number}, so requests get 503; its ports are ${listed(known.ports.map(String))}`,
    );
  } else if (port === undefined && known.ports.length > 1) {
    report(
      messageTypes.virtualServiceDestinationPortSelectorRequired,
      resource,
      `${path}.host`,
      `"${host}" has the ports ${listed(known.ports.map(String))}, and the destination names none; add port.number, or requests that arrive at another port fail`,
    );
  }
}

/**
 * The namespaces whose clients use the routes. If those of all namespaces do, the VirtualService's own stands for all.
 */
function clientNamespaces({ metadata: { namespace = "" }, spec: { exportTo } }: VirtualService): readonly string[] {
  return exportTo.length === 0
    ? [namespace]
    : [...new Set(exportTo.map((entry) => (entry === "." || entry === "*" ? namespace : entry)))];
}

/**
 * Reports a VirtualService of a gateway that sends requests to a host without a subset. Such requests bypass the routes
 * that another VirtualService has for the host.
 */
function checkPassedBy(service: Service, inventory: Inventory, report: Report): void {
  if (gatewayReferences(service).length === 0) return;
  const namespace = service.object.metadata.namespace ?? "";
  for (const [index, { route }] of service.object.spec.http.entries()) {
    for (const [number, { destination }] of route.entries()) {
      if (destination.subset !== undefined) continue;
      const host = fullHost(destination.host, namespace);
      const other = inventory
        .of(virtualServiceKind)
        .find(
          (candidate) =>
            candidate !== service &&
            isForMesh(candidate) &&
            gatewayReferences(candidate).length === 0 &&
            splits(candidate, host),
        );
      if (other === undefined) continue;
      report(
        messageTypes.ingressRouteRulesNotAffected,
        service.resource,
        `spec.http[${index}].route[${number}].destination.host`,
        `requests that a gateway sends to "${destination.host}" bypass the subsets of VirtualService ${other.object.metadata.namespace ?? ""}/${other.object.metadata.name ?? ""}, which is for clients in the mesh: they go to all pods; write subsets here too, or let both share a delegate`,
      );
    }
  }
}

function splits({ object: { metadata, spec } }: Service, host: string): boolean {
  const namespace = metadata.namespace ?? "";
  return spec.http.some(({ route }) =>
    route.some(
      ({ destination }) =>
        destination.subset !== undefined &&
        fullHost(destination.host, namespace) === host &&
        spec.hosts.some((own) => fullHost(own, namespace) === host),
    ),
  );
}

export const subsetAnalyzer: Analyzer = {
  name: "virtualservice.DestinationRuleAnalyzer",
  description: "subsets that VirtualServices route to are defined by a DestinationRule",
  analyze(inventory, report) {
    const rules = inventory.of(destinationRuleKind);
    // As in istioctl, an analysis of files reports missing subsets too: a route needs its subset, so both are usually
    // in the files.
    const mayCallSubsetsMissing = inventory.options.scope === "files" || inventory.knowsAll(destinationRuleKind);
    for (const service of inventory.of(virtualServiceKind)) {
      const { resource, object } = service;
      const namespace = object.metadata.namespace ?? "";
      for (const { destination, path, isMirror } of destinationsOf(service)) {
        if (destination.subset === undefined || !mayCallSubsetsMissing) continue;
        const host = fullHost(destination.host, namespace);
        const ofHost = rules.filter(({ object: rule }) =>
          hostsOverlap(fullHost(rule.spec.host, rule.metadata.namespace ?? ""), host),
        );
        const subsets = ofHost.flatMap(({ object: rule }) => rule.spec.subsets.map(({ name }) => name));
        if (subsets.includes(destination.subset)) continue;
        const known =
          ofHost.length === 0
            ? `${host} has no DestinationRule; create one with this subset`
            : `the DestinationRule${ofHost.length === 1 ? "" : "s"} of ${host} ${subsets.length === 0 ? "has none" : `has ${listed(subsets)}`}; add it there, or name one of those`;
        report(
          messageTypes.referencedResourceNotFound,
          resource,
          // Like istioctl, report the line of the host, and not that of the subset.
          `${path}.host`,
          `${isMirror ? "mirror " : ""}subset "${destination.subset}" of host "${destination.host}" is not defined, so requests get 503: ${known}`,
        );
      }
    }
  },
};

export const gatewayReferenceAnalyzer: Analyzer = {
  name: "virtualservice.GatewayAnalyzer",
  description: "gateways that VirtualServices name exist and listen for their hosts",
  analyze(inventory, report) {
    for (const resource of inventory.raw(virtualServiceKind)) reportGeneratedGateways(resource, report);
    for (const service of inventory.of(virtualServiceKind))
      for (const reference of gatewayReferences(service)) checkGateway(service, reference, inventory, report);
  },
};

/**
 * Marks the names of VirtualServices that control planes generate for Gateways. Present ones write `~`, which no user's
 * name can contain. Earlier ones wrote `-`.
 */
const generatedGateway = /[~-]istio-autogenerated-k8s-gateway[~-]/;

function reportGeneratedGateways(resource: Resource, report: Report): void {
  const { gateways } = (resource.object as { spec?: { gateways?: unknown } }).spec ?? {};
  for (const [index, written] of (Array.isArray(gateways) ? (gateways as readonly unknown[]) : []).entries()) {
    if (typeof written !== "string" || !generatedGateway.test(written)) continue;
    report(
      messageTypes.referencedInternalGateway,
      resource,
      `spec.gateways[${index}]`,
      `gateway "${written}" is generated by the control plane from a Gateway API Gateway, and may change; attach an HTTPRoute to that Gateway instead`,
    );
  }
}

function checkGateway(
  service: Service,
  { namespace, name, path }: { readonly namespace: string; readonly name: string; readonly path: string },
  inventory: Inventory,
  report: Report,
): void {
  if (generatedGateway.test(name)) return;
  const { resource, object } = service;
  const gateway = inventory.find(istioGatewayKind, namespace, name);
  const hosts =
    gateway === undefined
      ? hostsOfApiGateway(inventory, namespace, name)
      : hostsOfGateway(gateway, object.metadata.namespace ?? "");
  if (hosts === undefined) {
    if (
      inventory.exists(istioGatewayKind, namespace, name) ||
      !(inventory.options.scope === "cluster"
        ? inventory.knowsAll(istioGatewayKind)
        : inventory.raw(istioGatewayKind).length > 0)
    )
      return;
    const others = inventory.raw(istioGatewayKind).filter(({ object: other }) => other.metadata.name === name);
    const advice =
      others[0] === undefined
        ? "create it, or name one that exists"
        : `there is one in namespace ${others[0].object.metadata.namespace ?? ""}: write "${others[0].object.metadata.namespace ?? ""}/${name}"`;
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      path,
      `gateway "${namespace}/${name}" does not exist, so no gateway serves these routes; ${advice}`,
    );
    return;
  }
  if (
    object.spec.hosts.length === 0 ||
    hosts.some((known) => object.spec.hosts.some((host) => hostsOverlap(known, host)))
  )
    return;
  report(
    messageTypes.virtualServiceHostNotFoundInGateway,
    resource,
    path,
    `gateway ${namespace}/${name} listens for ${hosts.length === 0 ? "no host that this namespace may use" : listed(hosts)}, not for ${listed(object.spec.hosts)}, so requests for these get 404 there; change the hosts of one of the two`,
  );
}

/** The hosts at which a gateway accepts VirtualServices of the namespace. */
function hostsOfGateway({ object: { metadata, spec } }: Entry<IstioGateway>, namespace: string): readonly string[] {
  return spec.servers.flatMap(({ hosts }) =>
    hosts.flatMap((written) => {
      const [scope = "", host = ""] = written.includes("/") ? written.split("/") : ["*", written];
      return scope === "*" || scope === namespace || (scope === "." && namespace === metadata.namespace) ? [host] : [];
    }),
  );
}

function hostsOfApiGateway(inventory: Inventory, namespace: string, name: string): readonly string[] | undefined {
  return inventory.find(gatewayKind, namespace, name)?.object.spec.listeners.map(({ hostname }) => hostname ?? "*");
}

export const conflictingHostsAnalyzer: Analyzer = {
  name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
  description: "at most one VirtualService routes a host for clients in the mesh",
  analyze(inventory, report) {
    const ofMesh = inventory.of(virtualServiceKind).filter(isForMesh);
    for (const service of ofMesh) {
      const own = service.object.metadata.namespace ?? "";
      for (const [index, host] of service.object.spec.hosts.entries()) {
        const others = ofMesh.filter(
          (other) =>
            other !== service &&
            sharesClients(service, other) &&
            other.object.spec.hosts.some(
              (theirs) => fullHost(theirs, other.object.metadata.namespace ?? "") === fullHost(host, own),
            ),
        );
        if (others.length === 0) continue;
        const names = [service, ...others]
          .map(({ object: { metadata } }) => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`)
          .toSorted();
        report(
          messageTypes.conflictingMeshGatewayVirtualServiceHosts,
          service.resource,
          `spec.hosts[${index}]`,
          `VirtualServices ${listed(names)} all route ${fullHost(host, own)} in the mesh, and only the oldest has an effect; merge them into one, or make the others its delegates`,
        );
        break;
      }
    }
  },
};

function sharesClients(left: Service, right: Service): boolean {
  const sees = ({ object: { metadata, spec } }: Service): ((namespace: string) => boolean) =>
    visibility(spec.exportTo, metadata.namespace ?? "");
  const isEverywhere = ({ object: { spec } }: Service): boolean =>
    spec.exportTo.length === 0 || spec.exportTo.includes("*");
  const named = ({ object: { metadata, spec } }: Service): readonly string[] =>
    spec.exportTo.map((entry) => (entry === "." ? (metadata.namespace ?? "") : entry));
  if (isEverywhere(left)) return isEverywhere(right) || named(right).length > 0;
  return isEverywhere(right) || named(left).some(sees(right));
}

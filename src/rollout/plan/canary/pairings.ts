import { treeOf, type Tree } from "../../../base/index.ts";
import type { BackendTarget, DestinationTarget } from "../../../api/serin/index.ts";
import type { MirrorTarget, Pairing } from "./traffic.ts";

/** Pairs two Services as backends of an HTTPRoute or a GRPCRoute of the namespace. */
export function backendPairing(routeNamespace: string, stable: BackendTarget, canary: BackendTarget): Pairing {
  const is = (target: BackendTarget) => (backend: Tree) =>
    isService(backend) &&
    backend["name"] === target.name &&
    namespaceOf(backend, routeNamespace) === (target.namespace ?? routeNamespace) &&
    backend["port"] === target.port;
  const canaryOf = (backend: Tree): Tree =>
    at({ ...backend, name: canary.name, port: canary.port }, canary.namespace ?? routeNamespace, routeNamespace);
  return { isStable: is(stable), isCanary: is(canary), stableOf: same, canaryOf, mirrorOf: canaryOnly(canaryOf) };
}

/** Pairs each Service of one namespace with the Service of the same name in the other. */
export function namespacePairing(routeNamespace: string, stable: string, canary: string): Pairing {
  const is = (namespace: string) => (backend: Tree) =>
    isService(backend) && namespaceOf(backend, routeNamespace) === namespace;
  const canaryOf = (backend: Tree): Tree => at(backend, canary, routeNamespace);
  return { isStable: is(stable), isCanary: is(canary), stableOf: same, canaryOf, mirrorOf: canaryOnly(canaryOf) };
}

/** Pairs two destinations of a VirtualService of the namespace. Without a port, any port matches. */
export function destinationPairing(namespace: string, stable: DestinationTarget, canary: DestinationTarget): Pairing {
  const is = (target: DestinationTarget) => (backend: Tree) => {
    const { host, subset, port } = destinationOf(backend);
    return (
      resolveHost(host, namespace) === resolveHost(target.host, namespace) &&
      subset === target.subset &&
      (target.port === undefined || port === target.port)
    );
  };
  const canaryOf = (backend: Tree): Tree => {
    const { subset: _subset, port, ...rest } = treeOf(backend["destination"]);
    const to = canary.port === undefined ? port : { number: canary.port };
    return {
      ...backend,
      destination: {
        ...rest,
        host: canary.host,
        ...(canary.subset === undefined ? {} : { subset: canary.subset }),
        ...(to === undefined ? {} : { port: to }),
      },
    };
  };
  return { isStable: is(stable), isCanary: is(canary), stableOf: same, canaryOf, mirrorOf: canaryOnly(canaryOf) };
}

/** Pairs each host of one namespace in a VirtualService with the host of the same name in the other. */
export function hostNamespacePairing(routeNamespace: string, stable: string, canary: string): Pairing {
  const is = (namespace: string) => (backend: Tree) =>
    resolveHost(destinationOf(backend).host, routeNamespace).endsWith(`.${namespace}.${clusterSuffix}`);
  const canaryOf = (backend: Tree): Tree => {
    const destination = treeOf(backend["destination"]);
    const [service = ""] = resolveHost(destinationOf(backend).host, routeNamespace).split(".");
    return { ...backend, destination: { ...destination, host: `${service}.${canary}.${clusterSuffix}` } };
  };
  return { isStable: is(stable), isCanary: is(canary), stableOf: same, canaryOf, mirrorOf: canaryOnly(canaryOf) };
}

export const clusterSuffix = "svc.cluster.local";

/** Expands a short name to a Service of the namespace. Also accepts `name.namespace` and `name.namespace.svc`. */
export function resolveHost(host: string, namespace: string): string {
  const [service = "", ofNamespace = namespace, svc = "svc"] = host.split(".");
  const labels = host.split(".").length;
  if (labels === 1 || labels === 2 || (labels === 3 && svc === "svc"))
    return `${service}.${ofNamespace}.${clusterSuffix}`;
  return host;
}

export function destinationOf(backend: Tree): DestinationTarget {
  const {
    host = "",
    subset,
    port,
  } = treeOf(backend["destination"]) as { host?: string; subset?: string; port?: { number?: number } };
  return {
    host,
    ...(subset === undefined ? {} : { subset }),
    ...(port?.number === undefined ? {} : { port: port.number }),
  };
}

function isService({ kind = "Service", group = "" }: Tree): boolean {
  return kind === "Service" && (group === "" || group === "core");
}

function namespaceOf(backend: Tree, home: string): string {
  const { namespace } = backend;
  return typeof namespace === "string" ? namespace : home;
}

function at(backend: Tree, namespace: string, home: string): Tree {
  const { namespace: _namespace, ...rest } = backend;
  return namespace === home ? rest : { ...rest, namespace };
}

function same(backend: Tree): Tree {
  return backend;
}

function canaryOnly(canaryOf: (backend: Tree) => Tree): Pairing["mirrorOf"] {
  return (backend: Tree, to: MirrorTarget) => (to === "canary" ? canaryOf(backend) : undefined);
}

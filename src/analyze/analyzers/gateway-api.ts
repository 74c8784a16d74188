import {
  namespaceKind,
  podKind,
  secretKind,
  serviceKind,
  customResourceDefinitionKind,
} from "../../api/kubernetes/index.ts";
import {
  gatewayApiKinds,
  gatewayGroup,
  gatewayKind,
  grpcRouteKind,
  httpRouteKind,
  referenceGrantKind,
  tcpRouteKind,
  tlsRouteKind,
  type BackendObjectReference,
  type ParentReference,
} from "../../api/gateway/index.ts";
import { istioKinds, istioLabels, serviceEntryKind } from "../../api/istio/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { groupKindOf, type Resource } from "../resource.ts";
import { checkValidity } from "./gateways.ts";

interface Route extends KubernetesObject {
  readonly spec: {
    readonly parentRefs: readonly ParentReference[];
    readonly rules: readonly { readonly backendRefs: readonly BackendObjectReference[] }[];
  };
}

function routesOf(inventory: Inventory): readonly Entry<Route>[] {
  return [httpRouteKind, grpcRouteKind, tcpRouteKind, tlsRouteKind].flatMap(
    (kind) => inventory.of<KubernetesObject>(kind) as readonly Entry<Route>[],
  );
}

export const routeReferenceAnalyzer: Analyzer = {
  name: "gatewayapi.ReferenceAnalyzer",
  description: "the Services and Gateways of routes exist, and routes may refer to them",
  analyze(inventory, report) {
    for (const route of routesOf(inventory)) {
      for (const [index, parent] of route.object.spec.parentRefs.entries())
        checkParent(route, parent, `spec.parentRefs[${index}]`, inventory, report);
      for (const [ruleIndex, { backendRefs }] of route.object.spec.rules.entries()) {
        for (const [index, backend] of backendRefs.entries())
          checkBackend(route, backend, `spec.rules[${ruleIndex}].backendRefs[${index}]`, inventory, report);
      }
    }
    for (const { resource, object } of inventory.of(gatewayKind)) {
      for (const [listenerIndex, { tls }] of object.spec.listeners.entries()) {
        for (const [index, { group, kind, name, namespace }] of (tls?.certificateRefs ?? []).entries()) {
          const path = `spec.listeners[${listenerIndex}].tls.certificateRefs[${index}]`;
          checkGrant(resource, { group, kind, name, namespace }, path, inventory, report);
          const secret =
            kind === secretKind.kind
              ? inventory.find(secretKind, namespace ?? object.metadata.namespace ?? "", name)?.object
              : undefined;
          if (secret !== undefined) checkValidity(resource, secret, path, inventory, report);
        }
      }
    }
  },
};

function checkParent(
  { resource, object }: Entry<Route>,
  parent: ParentReference,
  path: string,
  inventory: Inventory,
  report: Report,
): void {
  const namespace = parent.namespace ?? object.metadata.namespace ?? "";
  const kind =
    parent.kind === "Gateway" && parent.group === gatewayGroup
      ? gatewayKind
      : parent.kind === "Service"
        ? serviceKind
        : undefined;
  if (kind === undefined || !inventory.knowsAll(kind)) return;
  if (!inventory.exists(kind, namespace, parent.name)) {
    const others = inventory
      .raw(kind)
      .flatMap(({ object: other }) => (other.metadata.name === parent.name ? [other.metadata.namespace ?? ""] : []));
    const advice =
      others.length === 0 ? "create it, or name one that exists" : `there is one in ${listed(others)}: set namespace`;
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      `${path}.name`,
      `${parent.kind} "${namespace}/${parent.name}" does not exist, so this route has no effect on it; ${advice}`,
    );
    return;
  }
  const listeners = inventory.find(gatewayKind, namespace, parent.name)?.object.spec.listeners.map(({ name }) => name);
  if (
    kind !== gatewayKind ||
    parent.sectionName === undefined ||
    listeners === undefined ||
    listeners.includes(parent.sectionName)
  )
    return;
  report(
    messageTypes.referencedResourceNotFound,
    resource,
    `${path}.sectionName`,
    `Gateway ${namespace}/${parent.name} has no listener "${parent.sectionName}"; it has ${listed(listeners)}; correct the name`,
  );
}

function checkBackend(
  { resource, object }: Entry<Route>,
  backend: BackendObjectReference,
  path: string,
  inventory: Inventory,
  report: Report,
): void {
  if (backend.group !== "" || backend.kind !== "Service") return;
  const namespace = backend.namespace ?? object.metadata.namespace ?? "";
  checkGrant(resource, backend, path, inventory, report);
  if (!inventory.knowsAll(serviceKind)) return;
  const service = inventory.find(serviceKind, namespace, backend.name);
  if (service === undefined) {
    const others = inventory
      .of(serviceKind)
      .flatMap(({ object: { metadata } }) => (metadata.name === backend.name ? [metadata.namespace ?? ""] : []));
    report(
      messageTypes.referencedResourceNotFound,
      resource,
      `${path}.name`,
      `Service "${namespace}/${backend.name}" does not exist, so requests get 500; ${others.length === 0 ? "create it, or correct the name" : `there is one in ${listed(others)}: set namespace`}`,
    );
    return;
  }
  const ports = (service.object.spec?.ports ?? []).map(({ port }) => port);
  if (backend.port === undefined || ports.length === 0 || ports.includes(backend.port)) return;
  report(
    messageTypes.referencedResourceNotFound,
    resource,
    `${path}.port`,
    `Service ${namespace}/${backend.name} has no port ${backend.port}, only ${listed(ports.map(String))}, so requests get 500; correct the port`,
  );
}

function checkGrant(
  resource: Resource,
  to: BackendObjectReference,
  path: string,
  inventory: Inventory,
  report: Report,
): void {
  const { object } = resource;
  const own = object.metadata.namespace ?? "";
  const { namespace = own, group, kind, name } = to;
  if (namespace === own || (inventory.options.scope === "cluster" && !inventory.knowsAll(referenceGrantKind))) return;
  const isGranted = inventory
    .of(referenceGrantKind)
    .some(
      ({ object: { metadata, spec } }) =>
        metadata.namespace === namespace &&
        spec.from.some((from) => from.group === gatewayGroup && from.kind === object.kind && from.namespace === own) &&
        spec.to.some(
          (target) =>
            target.group === group &&
            target.kind === kind &&
            (target.name === undefined || target.name === "" || target.name === name),
        ),
    );
  if (isGranted) return;
  report(
    messageTypes.referenceNotGranted,
    resource,
    `${path}.namespace`,
    `${kind} ${namespace}/${name} is in another namespace, and no ReferenceGrant there allows ${object.kind ?? ""}s of ${own} to use it, so ${kind === "Secret" ? "the listener does not work" : "requests get 500"}; create a ReferenceGrant in ${namespace} with from: [{group: ${gatewayGroup}, kind: ${object.kind ?? ""}, namespace: ${own}}], to: [{group: "${group}", kind: ${kind}}]`,
  );
}

export const waypointReferenceAnalyzer: Analyzer = {
  name: "ambient.WaypointAnalyzer",
  description: "waypoints that labels name exist",
  analyze(inventory, report) {
    if (
      inventory.options.scope === "cluster" ? !inventory.knowsAll(gatewayKind) : inventory.raw(gatewayKind).length === 0
    )
      return;
    for (const kind of [namespaceKind, serviceKind, serviceEntryKind, podKind]) {
      for (const resource of inventory.raw(kind)) {
        const { labels = {}, name = "", namespace = "" } = resource.object.metadata;
        const waypoint = labels[istioLabels.useWaypoint];
        if (waypoint === undefined || waypoint === "" || waypoint.toLowerCase() === "none") continue;
        const where = labels[istioLabels.useWaypointNamespace] ?? (kind === namespaceKind ? name : namespace);
        if (inventory.exists(gatewayKind, where, waypoint)) continue;
        report(
          messageTypes.referencedResourceNotFound,
          resource,
          `metadata.labels.${istioLabels.useWaypoint}`,
          `waypoint "${where}/${waypoint}" does not exist, so traffic bypasses it, and its policies and routes have no effect; create it: serin waypoint apply --name ${waypoint} -n ${where}, or remove the label`,
        );
      }
    }
  },
};

const oldVersion = `${gatewayGroup}/v1alpha2`;
const oldWaypointClass = "istio-mesh";

/** Reports objects in files that cannot be applied, because the cluster does not serve their kind or version. */
export const servedAnalyzer: Analyzer = {
  name: "schema.ServedAnalyzer",
  description: "the cluster serves the kinds and versions of the objects in files",
  analyze(inventory, report) {
    const { scope, notServed } = inventory.options;
    if (scope === "files") return;
    for (const { group, kind } of [...istioKinds, ...gatewayApiKinds]) {
      for (const resource of inventory.raw({ group, kind })) {
        if (resource.source === undefined) continue;
        if (notServed?.has(groupKindOf(resource.object)) === true) reportUndefined(resource, group, report);
        else checkVersion(resource, group, inventory, report);
      }
    }
  },
};

function reportUndefined(resource: Resource, group: string, report: Report): void {
  const how =
    group === gatewayGroup
      ? "kubectl apply -f with the standard-install.yaml of a Gateway API release"
      : "serin install, which includes them (or: serin manifest generate --set profile=minimal --component Base | kubectl apply -f -)";
  report(
    messageTypes.kindNotServed,
    resource,
    "kind",
    `the cluster has no definition of kind ${resource.object.kind ?? ""} (${group}), so this object cannot be applied; install the definitions first: ${how}`,
  );
}

function checkVersion(resource: Resource, group: string, inventory: Inventory, report: Report): void {
  if (!inventory.knowsAll(customResourceDefinitionKind)) return;
  const { apiVersion = "", kind = "" } = resource.object;
  const definition = inventory
    .of(customResourceDefinitionKind)
    .find(({ object: { spec } }) => spec?.group === group && spec.names.kind === kind);
  const served = definition?.object.spec?.versions.flatMap((version) => (version.served ? [version.name] : []));
  const version = apiVersion.slice(group.length + 1);
  if (served === undefined || served.includes(version)) return;
  if (apiVersion === oldVersion && className(resource) === oldWaypointClass) {
    const { name = "", namespace = "" } = resource.object.metadata;
    report(
      messageTypes.meshWaypointNotServed,
      resource,
      "apiVersion",
      `the cluster serves Gateways in ${listed(served)}, not in ${version}, so this waypoint in the form of 2022 cannot be applied. Write apiVersion: ${gatewayGroup}/${served.includes("v1") ? "v1" : (served[0] ?? "v1")}, gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}], and enroll its clients: kubectl label namespace ${namespace} ${istioLabels.useWaypoint}=${name} (serin waypoint apply --name ${name} -n ${namespace} --enroll-namespace does both)`,
    );
    return;
  }
  report(
    messageTypes.kindNotServed,
    resource,
    "apiVersion",
    `the cluster serves ${kind} of ${group} in ${listed(served)}, not in ${version}, so this object cannot be applied; write apiVersion: ${group}/${served[0] ?? ""}`,
  );
}

function className({ object }: Resource): string | undefined {
  return (object["spec"] as { gatewayClassName?: string } | undefined)?.gatewayClassName;
}

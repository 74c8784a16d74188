import { joinHostPort, ownField, stringOf } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { ageOf } from "../human-duration.ts";
import { arrayOf, objectOf, type JsonObject } from "../json.ts";
import { at, containerCells, count, labelsText, none, objectsAt, textOr, unset } from "./cell-text.ts";
import { columns, type TableForm } from "./column.ts";

const loadBalancerWidth = 16;

/** The addresses in a load balancer's status, shortened to the width of the column without `-o wide`. */
export function loadBalancerText(status: unknown): string {
  const addresses = objectsAt(status, "loadBalancer", "ingress").map(
    (address) => stringOf(address.ip) || stringOf(address.hostname),
  );
  const text = [...new Set(addresses.filter((address) => address !== ""))].sort().join(",");
  return text.length > loadBalancerWidth ? `${text.slice(0, loadBalancerWidth - 3)}...` : text;
}

function externalIp(service: UntypedObject): string {
  const spec = objectOf(service.spec);
  const external = arrayOf(spec.externalIPs).map(stringOf);
  switch (spec.type) {
    case "ClusterIP":
    case "NodePort":
      return external.length > 0 ? external.join(",") : none;
    case "LoadBalancer": {
      const balanced = loadBalancerText(service.status);
      const all = [...(balanced === "" ? [] : [balanced]), ...external];
      return all.length > 0 ? all.join(",") : "<pending>";
    }
    case "ExternalName":
      return stringOf(spec.externalName);
    default:
      return "<unknown>";
  }
}

function portText(port: JsonObject): string {
  const node = count(port.nodePort) > 0 ? `:${count(port.nodePort)}` : "";
  return `${count(port.port)}${node}/${stringOf(port.protocol)}`;
}

function nodeStatus(node: UntypedObject): string {
  const ready = objectsAt(node.status, "conditions").find((condition) => condition.type === "Ready");
  const status = ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady";
  return at(node.spec, "unschedulable") === true ? `${status},SchedulingDisabled` : status;
}

function nodeRoles(node: UntypedObject): string {
  const prefix = "node-role.kubernetes.io/";
  const roles = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(prefix)) return key.length > prefix.length ? [key.slice(prefix.length)] : [];
    return key === "kubernetes.io/role" && value !== "" ? [value] : [];
  });
  return roles.length === 0 ? none : [...new Set(roles)].sort().join(",");
}

function nodeAddress(node: UntypedObject, type: string): string {
  return textOr(objectsAt(node.status, "addresses").find((address) => address.type === type)?.address, none);
}

function nodeCells(node: UntypedObject, nowMs: number): unknown[] {
  const info = objectOf(at(node.status, "nodeInfo"));
  const architecture = stringOf(info.architecture);
  const kernel = textOr(info.kernelVersion, "<unknown>") + (architecture === "" ? "" : ` (${architecture})`);
  return [
    node.metadata.name,
    nodeStatus(node),
    nodeRoles(node),
    ageOf(node.metadata.creationTimestamp, nowMs),
    stringOf(info.kubeletVersion),
    nodeAddress(node, "InternalIP"),
    nodeAddress(node, "ExternalIP"),
    textOr(info.osImage, "<unknown>"),
    kernel,
    textOr(info.containerRuntimeVersion, "<unknown>"),
  ];
}

function endpointsText(endpoints: UntypedObject): string {
  const limit = 3;
  const subsets = arrayOf(endpoints.subsets).map(objectOf);
  const all = subsets.flatMap((subset) => {
    const addresses = objectsAt(subset, "addresses").map((address) => stringOf(address.ip));
    const ports = objectsAt(subset, "ports");
    return ports.length === 0
      ? addresses
      : ports.flatMap((port) => addresses.map((ip) => joinHostPort(ip, count(port.port))));
  });
  if (subsets.length === 0) return none;
  const text = all.slice(0, limit).join(",");
  return all.length > limit ? `${text} + ${all.length - limit} more...` : text;
}

/** The cells of an event. Its fields have different names in the two groups. */
function eventCells(event: UntypedObject, nowMs: number): unknown[] {
  const micro = ageOf(event.eventTime, nowMs);
  const first = ageOf(event.firstTimestamp ?? event.deprecatedFirstTimestamp, nowMs);
  const firstSeen = first === "<unknown>" ? micro : first;
  const last = ageOf(event.lastTimestamp ?? event.deprecatedLastTimestamp, nowMs);
  const series = objectOf(event.series);
  const observed =
    event.series === undefined ? (last === "<unknown>" ? firstSeen : last) : ageOf(series.lastObservedTime, nowMs);
  const occurrences = count(series.count) || count(event.count ?? event.deprecatedCount) || 1;
  const target = objectOf(event.involvedObject ?? event.regarding);
  const name = stringOf(target.name);
  const source = objectOf(event.source ?? event.deprecatedSource);
  const component = stringOf(source.component) || stringOf(event.reportingComponent ?? event.reportingController);
  const instance = stringOf(source.host) || stringOf(event.reportingInstance);
  return [
    observed,
    stringOf(event.type),
    stringOf(event.reason),
    `${stringOf(target.kind).toLowerCase()}${name === "" ? "" : `/${name}`}`,
    stringOf(target.fieldPath),
    instance === "" ? component : `${component}, ${instance}`,
    stringOf(event.message ?? event.note).trim(),
    firstSeen,
    occurrences,
    event.metadata.name,
  ];
}

const accessModes: Readonly<Record<string, string>> = {
  ReadWriteOnce: "RWO",
  ReadOnlyMany: "ROX",
  ReadWriteMany: "RWX",
  ReadWriteOncePod: "RWOP",
};

function modes(value: unknown): string {
  return arrayOf(value)
    .map((mode) => accessModes[stringOf(mode)] ?? "")
    .filter((mode) => mode !== "")
    .join(",");
}

function phase(object: UntypedObject): string {
  return object.metadata.deletionTimestamp === undefined ? stringOf(at(object.status, "phase")) : "Terminating";
}

function claimCells(claim: UntypedObject, nowMs: number): unknown[] {
  const spec = objectOf(claim.spec);
  const bound = stringOf(spec.volumeName) !== "";
  return [
    claim.metadata.name,
    phase(claim),
    stringOf(spec.volumeName),
    bound ? textOr(at(claim.status, "capacity", "storage"), "0") : "",
    bound ? modes(at(claim.status, "accessModes")) : "",
    stringOf(spec.storageClassName),
    textOr(spec.volumeAttributesClassName, unset),
    ageOf(claim.metadata.creationTimestamp, nowMs),
    textOr(spec.volumeMode, unset),
  ];
}

function volumeCells(volume: UntypedObject, nowMs: number): unknown[] {
  const spec = objectOf(volume.spec);
  const claim =
    spec.claimRef === undefined
      ? ""
      : `${stringOf(at(spec, "claimRef", "namespace"))}/${stringOf(at(spec, "claimRef", "name"))}`;
  return [
    volume.metadata.name,
    textOr(at(spec, "capacity", "storage"), "0"),
    modes(spec.accessModes),
    stringOf(spec.persistentVolumeReclaimPolicy),
    phase(volume),
    claim,
    stringOf(spec.storageClassName),
    textOr(spec.volumeAttributesClassName, unset),
    stringOf(at(volume.status, "reason")),
    ageOf(volume.metadata.creationTimestamp, nowMs),
    textOr(spec.volumeMode, unset),
  ];
}

function quotaCells(quota: UntypedObject, nowMs: number): unknown[] {
  const [hard, used] = [objectOf(at(quota.status, "hard")), objectOf(at(quota.status, "used"))];
  const names = Object.keys(hard).sort();
  const text = (wanted: readonly string[]): string =>
    wanted.map((name) => `${name}: ${textOr(ownField(used, name), "0")}/${textOr(hard[name], "0")}`).join(", ");
  const isLimit = (name: string): boolean => name.startsWith("limits.");
  return [
    quota.metadata.name,
    text(names.filter((name) => !isLimit(name))),
    text(names.filter(isLimit)),
    ageOf(quota.metadata.creationTimestamp, nowMs),
  ];
}

const size = (value: unknown): number => Object.keys(objectOf(value)).length;
const age = (object: UntypedObject, nowMs: number): string => ageOf(object.metadata.creationTimestamp, nowMs);
const events: TableForm = {
  columns: columns("Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*"),
  cells: eventCells,
};

export const coreTables: Readonly<Record<string, TableForm>> = {
  "/configmaps": {
    columns: columns("Name|Data|Age"),
    cells: (object, nowMs) => [object.metadata.name, size(object.data) + size(object.binaryData), age(object, nowMs)],
  },
  "/endpoints": {
    columns: columns("Name|Endpoints|Age"),
    cells: (object, nowMs) => [object.metadata.name, endpointsText(object), age(object, nowMs)],
  },
  "/events": events,
  "events.k8s.io/events": events,
  "/namespaces": {
    columns: columns("Name|Status|Age"),
    cells: (object, nowMs) => [object.metadata.name, stringOf(at(object.status, "phase")), age(object, nowMs)],
  },
  "/nodes": {
    columns: columns(
      "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*",
    ),
    cells: nodeCells,
  },
  "/persistentvolumeclaims": {
    columns: columns("Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode*"),
    cells: claimCells,
  },
  "/persistentvolumes": {
    columns: columns(
      "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode*",
    ),
    cells: volumeCells,
  },
  "/podtemplates": {
    columns: columns("Name|Containers|Images|Pod Labels"),
    cells: (template) => [
      template.metadata.name,
      ...containerCells(at(template.template, "spec")),
      labelsText(at(template.template, "metadata", "labels")),
    ],
  },
  "/replicationcontrollers": {
    columns: columns("Name|Desired:integer|Current:integer|Ready:integer|Age|Containers*|Images*|Selector*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      count(at(object.spec, "replicas")),
      count(at(object.status, "replicas")),
      count(at(object.status, "readyReplicas")),
      age(object, nowMs),
      ...containerCells(at(object.spec, "template", "spec")),
      labelsText(at(object.spec, "selector")),
    ],
  },
  "/resourcequotas": { columns: columns("Name|Request|Limit|Age"), cells: quotaCells },
  "/secrets": {
    columns: columns("Name|Type|Data|Age"),
    cells: (object, nowMs) => [object.metadata.name, stringOf(object.type), size(object.data), age(object, nowMs)],
  },
  "/serviceaccounts": {
    columns: columns("Name|Age"),
    cells: (object, nowMs) => [object.metadata.name, age(object, nowMs)],
  },
  "/services": {
    columns: columns("Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      stringOf(at(object.spec, "type")),
      textOr(arrayOf(at(object.spec, "clusterIPs"))[0], none),
      externalIp(object),
      objectsAt(object.spec, "ports").map(portText).join(",") || none,
      age(object, nowMs),
      labelsText(at(object.spec, "selector")),
    ],
  },
};

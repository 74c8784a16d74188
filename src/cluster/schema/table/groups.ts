import type { UntypedObject } from "../../../api/index.ts";
import { ageOf, humanDuration } from "../human-duration.ts";
import { arrayOf, objectOf, stringOf } from "../json.ts";
import { at, count, firstThree, none, objectsAt, selectorText, textOr, unset } from "./cell-text.ts";
import { loadBalancerText } from "./core.ts";
import { columns, type TableForm } from "./column.ts";

const age = (object: UntypedObject, nowMs: number): string => ageOf(object.metadata.creationTimestamp, nowMs);
const bindingColumns = columns("Name|Role|Age|Users*|Groups*|ServiceAccounts*");

function bindingCells(binding: UntypedObject, nowMs: number): unknown[] {
  const subjects = arrayOf(binding.subjects).map(objectOf);
  const names = (kind: string): string =>
    subjects
      .filter((subject) => subject.kind === kind)
      .map((subject) => (kind === "ServiceAccount" ? `${stringOf(subject.namespace)}/` : "") + stringOf(subject.name))
      .join(", ");
  const role = `${stringOf(at(binding.roleRef, "kind"))}/${stringOf(at(binding.roleRef, "name"))}`;
  return [binding.metadata.name, role, age(binding, nowMs), names("User"), names("Group"), names("ServiceAccount")];
}

function ingressHosts(ingress: UntypedObject): string {
  const limit = 3;
  const rules = objectsAt(ingress.spec, "rules");
  const hosts = rules.map((rule) => stringOf(rule.host)).filter((host) => host !== "");
  if (hosts.length === 0) return "*";
  const text = hosts.slice(0, limit).join(",");
  return hosts.length > limit ? `${text} + ${rules.length - limit} more...` : text;
}

function annotated(object: UntypedObject, annotation: string): string {
  return `${object.metadata.name ?? ""}${object.metadata.annotations?.[annotation] === "true" ? " (default)" : ""}`;
}

function parametersText(ingressClass: UntypedObject): string {
  const parameters = at(ingressClass.spec, "parameters");
  if (parameters === undefined) return none;
  const group = stringOf(at(parameters, "apiGroup"));
  return `${stringOf(at(parameters, "kind"))}${group === "" ? "" : `.${group}`}/${stringOf(at(parameters, "name"))}`;
}

function parameterReference(binding: UntypedObject): string {
  const reference = at(binding.spec, "paramRef");
  if (reference === undefined) return unset;
  const name = stringOf(at(reference, "name"));
  return name === "" ? selectorText(at(reference, "selector")) : `${textOr(at(reference, "namespace"), "*")}/${name}`;
}

function parameterKind(policy: UntypedObject): string {
  const kind = at(policy.spec, "paramKind");
  return kind === undefined ? unset : `${stringOf(at(kind, "apiVersion"))}/${stringOf(at(kind, "kind"))}`;
}

const slicePort = (port: unknown): string => textOr(at(port, "port"), textOr(at(port, "name"), "*"));
const webhooks: TableForm = {
  columns: columns("Name|Webhooks:integer|Age"),
  cells: (each, nowMs) => [each.metadata.name, arrayOf(each.webhooks).length, age(each, nowMs)],
};
const bindings: TableForm = { columns: bindingColumns, cells: bindingCells };
const policyBindings: TableForm = {
  columns: columns("Name|PolicyName|ParamRef|Age"),
  cells: (each, nowMs) => [
    each.metadata.name,
    stringOf(at(each.spec, "policyName")),
    parameterReference(each),
    age(each, nowMs),
  ],
};

/** `Approved,Issued`. */
function certificateCondition(request: UntypedObject): string {
  const types = objectsAt(request.status, "conditions").map((condition) => stringOf(condition.type));
  const decision = ["Denied", "Approved"].find((type) => types.includes(type)) ?? "Pending";
  return [
    decision,
    ...(types.includes("Failed") ? ["Failed"] : []),
    ...(stringOf(at(request.status, "certificate")) === "" ? [] : ["Issued"]),
  ].join(",");
}

function requestedDuration(request: UntypedObject): string {
  const seconds = at(request.spec, "expirationSeconds");
  return typeof seconds === "number" ? humanDuration(seconds * 1_000) : none;
}

export const groupTables: Readonly<Record<string, TableForm>> = {
  "certificates.k8s.io/certificatesigningrequests": {
    columns: columns("Name|Age|SignerName|Requestor|RequestedDuration|Condition"),
    cells: (each, nowMs) => [
      each.metadata.name,
      age(each, nowMs),
      textOr(at(each.spec, "signerName"), none),
      stringOf(at(each.spec, "username")),
      requestedDuration(each),
      certificateCondition(each),
    ],
  },
  "networking.k8s.io/ingressclasses": {
    columns: columns("Name|Controller|Parameters|Age"),
    cells: (each, nowMs) => [
      annotated(each, "ingressclass.kubernetes.io/is-default-class"),
      stringOf(at(each.spec, "controller")),
      parametersText(each),
      age(each, nowMs),
    ],
  },
  "networking.k8s.io/ingresses": {
    columns: columns("Name|Class|Hosts|Address|Ports|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      textOr(at(each.spec, "ingressClassName"), none),
      ingressHosts(each),
      loadBalancerText(each.status),
      objectsAt(each.spec, "tls").length > 0 ? "80, 443" : "80",
      age(each, nowMs),
    ],
  },
  "networking.k8s.io/ipaddresses": {
    columns: columns("Name|ParentRef"),
    cells: (address) => {
      const parent = at(address.spec, "parentRef");
      const parts = ["group", "resource", "namespace", "name"]
        .map((part) => stringOf(at(parent, part)))
        .filter((part) => part !== "");
      return [address.metadata.name, parts.join("/")];
    },
  },
  "networking.k8s.io/networkpolicies": {
    columns: columns("Name|Pod-Selector|Age"),
    cells: (each, nowMs) => [each.metadata.name, selectorText(at(each.spec, "podSelector")), age(each, nowMs)],
  },
  "networking.k8s.io/servicecidrs": {
    columns: columns("Name|CIDRs|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      arrayOf(at(each.spec, "cidrs")).map(stringOf).join(","),
      age(each, nowMs),
    ],
  },
  "rbac.authorization.k8s.io/clusterrolebindings": bindings,
  "rbac.authorization.k8s.io/rolebindings": bindings,
  "storage.k8s.io/csidrivers": {
    columns: columns(
      "Name|AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|TokenRequests|RequiresRepublish:boolean|Modes|Age",
    ),
    cells: (each, nowMs) => [
      each.metadata.name,
      at(each.spec, "attachRequired") !== false,
      at(each.spec, "podInfoOnMount") === true,
      at(each.spec, "storageCapacity") === true,
      at(each.spec, "tokenRequests") === undefined
        ? unset
        : objectsAt(each.spec, "tokenRequests")
            .map((request) => stringOf(request.audience))
            .join(","),
      at(each.spec, "requiresRepublish") === true,
      arrayOf(at(each.spec, "volumeLifecycleModes")).map(stringOf).join(",") || none,
      age(each, nowMs),
    ],
  },
  "storage.k8s.io/csinodes": {
    columns: columns("Name|Drivers:integer|Age"),
    cells: (each, nowMs) => [each.metadata.name, objectsAt(each.spec, "drivers").length, age(each, nowMs)],
  },
  "storage.k8s.io/storageclasses": {
    columns: columns("Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age"),
    cells: (each, nowMs) => [
      annotated(each, "storageclass.kubernetes.io/is-default-class"),
      stringOf(each.provisioner),
      textOr(each.reclaimPolicy, "Delete"),
      textOr(each.volumeBindingMode, "Immediate"),
      each.allowVolumeExpansion === true,
      age(each, nowMs),
    ],
  },
  "storage.k8s.io/volumeattachments": {
    columns: columns("Name|Attacher|PV|Node|Attached:boolean|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      stringOf(at(each.spec, "attacher")),
      stringOf(at(each.spec, "source", "persistentVolumeName")),
      stringOf(at(each.spec, "nodeName")),
      at(each.status, "attached") === true,
      age(each, nowMs),
    ],
  },
  "storage.k8s.io/volumeattributesclasses": {
    columns: columns("Name|DriverName|Age"),
    cells: (each, nowMs) => [each.metadata.name, stringOf(each.driverName), age(each, nowMs)],
  },
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": webhooks,
  "admissionregistration.k8s.io/validatingwebhookconfigurations": webhooks,
  "admissionregistration.k8s.io/mutatingadmissionpolicies": {
    columns: columns("Name|Mutations:integer|ParamKind|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      objectsAt(each.spec, "mutations").length,
      parameterKind(each),
      age(each, nowMs),
    ],
  },
  "admissionregistration.k8s.io/validatingadmissionpolicies": {
    columns: columns("Name|Validations:integer|ParamKind|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      objectsAt(each.spec, "validations").length,
      parameterKind(each),
      age(each, nowMs),
    ],
  },
  "admissionregistration.k8s.io/mutatingadmissionpolicybindings": policyBindings,
  "admissionregistration.k8s.io/validatingadmissionpolicybindings": policyBindings,
  "scheduling.k8s.io/priorityclasses": {
    columns: columns("Name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy"),
    cells: (each, nowMs) => [
      each.metadata.name,
      count(each.value),
      each.globalDefault === true,
      age(each, nowMs),
      stringOf(each.preemptionPolicy),
    ],
  },
  "coordination.k8s.io/leases": {
    columns: columns("Name|Holder|Age"),
    cells: (each, nowMs) => [each.metadata.name, stringOf(at(each.spec, "holderIdentity")), age(each, nowMs)],
  },
  "node.k8s.io/runtimeclasses": {
    columns: columns("Name|Handler|Age"),
    cells: (each, nowMs) => [each.metadata.name, stringOf(each.handler), age(each, nowMs)],
  },
  "discovery.k8s.io/endpointslices": {
    columns: columns("Name|AddressType|Ports|Endpoints|Age"),
    cells: (each, nowMs) => [
      each.metadata.name,
      stringOf(each.addressType),
      firstThree(arrayOf(each.ports).map(slicePort)),
      firstThree(arrayOf(each.endpoints).flatMap((endpoint) => arrayOf(at(endpoint, "addresses")).map(stringOf))),
      age(each, nowMs),
    ],
  },
};

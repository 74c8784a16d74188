import { stringOf } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { ageOf, humanDuration } from "../human-duration.ts";
import { arrayOf, objectOf } from "../json.ts";
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

/** The object's name, with the mark `(default)` if the annotation is `true`. */
function nameOrDefault(object: UntypedObject, annotation: string): string {
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
  cells: (object, nowMs) => [object.metadata.name, arrayOf(object.webhooks).length, age(object, nowMs)],
};
const bindings: TableForm = { columns: bindingColumns, cells: bindingCells };
const policyBindings: TableForm = {
  columns: columns("Name|PolicyName|ParamRef|Age"),
  cells: (object, nowMs) => [
    object.metadata.name,
    stringOf(at(object.spec, "policyName")),
    parameterReference(object),
    age(object, nowMs),
  ],
};

/** The text of the column Condition of a CertificateSigningRequest, such as `Approved,Issued`. */
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
    cells: (object, nowMs) => [
      object.metadata.name,
      age(object, nowMs),
      textOr(at(object.spec, "signerName"), none),
      stringOf(at(object.spec, "username")),
      requestedDuration(object),
      certificateCondition(object),
    ],
  },
  "networking.k8s.io/ingressclasses": {
    columns: columns("Name|Controller|Parameters|Age"),
    cells: (object, nowMs) => [
      nameOrDefault(object, "ingressclass.kubernetes.io/is-default-class"),
      stringOf(at(object.spec, "controller")),
      parametersText(object),
      age(object, nowMs),
    ],
  },
  "networking.k8s.io/ingresses": {
    columns: columns("Name|Class|Hosts|Address|Ports|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      textOr(at(object.spec, "ingressClassName"), none),
      ingressHosts(object),
      loadBalancerText(object.status),
      objectsAt(object.spec, "tls").length > 0 ? "80, 443" : "80",
      age(object, nowMs),
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
    cells: (object, nowMs) => [object.metadata.name, selectorText(at(object.spec, "podSelector")), age(object, nowMs)],
  },
  "networking.k8s.io/servicecidrs": {
    columns: columns("Name|CIDRs|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      arrayOf(at(object.spec, "cidrs")).map(stringOf).join(","),
      age(object, nowMs),
    ],
  },
  "rbac.authorization.k8s.io/clusterrolebindings": bindings,
  "rbac.authorization.k8s.io/rolebindings": bindings,
  "storage.k8s.io/csidrivers": {
    columns: columns(
      "Name|AttachRequired:boolean|PodInfoOnMount:boolean|StorageCapacity:boolean|TokenRequests|RequiresRepublish:boolean|Modes|Age",
    ),
    cells: (object, nowMs) => [
      object.metadata.name,
      at(object.spec, "attachRequired") !== false,
      at(object.spec, "podInfoOnMount") === true,
      at(object.spec, "storageCapacity") === true,
      at(object.spec, "tokenRequests") === undefined
        ? unset
        : objectsAt(object.spec, "tokenRequests")
            .map((request) => stringOf(request.audience))
            .join(","),
      at(object.spec, "requiresRepublish") === true,
      arrayOf(at(object.spec, "volumeLifecycleModes")).map(stringOf).join(",") || none,
      age(object, nowMs),
    ],
  },
  "storage.k8s.io/csinodes": {
    columns: columns("Name|Drivers:integer|Age"),
    cells: (object, nowMs) => [object.metadata.name, objectsAt(object.spec, "drivers").length, age(object, nowMs)],
  },
  "storage.k8s.io/storageclasses": {
    columns: columns("Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age"),
    cells: (object, nowMs) => [
      nameOrDefault(object, "storageclass.kubernetes.io/is-default-class"),
      stringOf(object.provisioner),
      textOr(object.reclaimPolicy, "Delete"),
      textOr(object.volumeBindingMode, "Immediate"),
      object.allowVolumeExpansion === true,
      age(object, nowMs),
    ],
  },
  "storage.k8s.io/volumeattachments": {
    columns: columns("Name|Attacher|PV|Node|Attached:boolean|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      stringOf(at(object.spec, "attacher")),
      stringOf(at(object.spec, "source", "persistentVolumeName")),
      stringOf(at(object.spec, "nodeName")),
      at(object.status, "attached") === true,
      age(object, nowMs),
    ],
  },
  "storage.k8s.io/volumeattributesclasses": {
    columns: columns("Name|DriverName|Age"),
    cells: (object, nowMs) => [object.metadata.name, stringOf(object.driverName), age(object, nowMs)],
  },
  "admissionregistration.k8s.io/mutatingwebhookconfigurations": webhooks,
  "admissionregistration.k8s.io/validatingwebhookconfigurations": webhooks,
  "admissionregistration.k8s.io/mutatingadmissionpolicies": {
    columns: columns("Name|Mutations:integer|ParamKind|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      objectsAt(object.spec, "mutations").length,
      parameterKind(object),
      age(object, nowMs),
    ],
  },
  "admissionregistration.k8s.io/validatingadmissionpolicies": {
    columns: columns("Name|Validations:integer|ParamKind|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      objectsAt(object.spec, "validations").length,
      parameterKind(object),
      age(object, nowMs),
    ],
  },
  "admissionregistration.k8s.io/mutatingadmissionpolicybindings": policyBindings,
  "admissionregistration.k8s.io/validatingadmissionpolicybindings": policyBindings,
  "scheduling.k8s.io/priorityclasses": {
    columns: columns("Name|Value:integer|Global-Default:boolean|Age|PreemptionPolicy"),
    cells: (object, nowMs) => [
      object.metadata.name,
      count(object.value),
      object.globalDefault === true,
      age(object, nowMs),
      stringOf(object.preemptionPolicy),
    ],
  },
  "coordination.k8s.io/leases": {
    columns: columns("Name|Holder|Age"),
    cells: (object, nowMs) => [object.metadata.name, stringOf(at(object.spec, "holderIdentity")), age(object, nowMs)],
  },
  "node.k8s.io/runtimeclasses": {
    columns: columns("Name|Handler|Age"),
    cells: (object, nowMs) => [object.metadata.name, stringOf(object.handler), age(object, nowMs)],
  },
  "discovery.k8s.io/endpointslices": {
    columns: columns("Name|AddressType|Ports|Endpoints|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      stringOf(object.addressType),
      firstThree(arrayOf(object.ports).map(slicePort)),
      firstThree(arrayOf(object.endpoints).flatMap((endpoint) => arrayOf(at(endpoint, "addresses")).map(stringOf))),
      age(object, nowMs),
    ],
  },
};

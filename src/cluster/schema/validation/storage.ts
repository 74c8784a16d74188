import { jsonEqual, stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import { validateLabelSelector } from "../metadata.ts";
import { checkSubdomain } from "../names.ts";
import { compareQuantities, parseQuantity, type Quantity } from "../quantity.ts";
import type { Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validateNodeSelector } from "./pod-placement.ts";

const accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const onePod = "ReadWriteOncePod";
const volumeModes = ["Block", "Filesystem"];
const zero: Quantity = { nanos: 0n, format: "decimal" };

function validateAccessModes(modes: readonly unknown[], at: string, check: Check): void {
  for (const mode of modes) check.oneOf(at, mode, accessModes);
  if (modes.includes(onePod) && modes.length > 1)
    check.forbidden(at, "may not use ReadWriteOncePod with other access modes");
}

function validateClassName(name: unknown, at: string, check: Check): void {
  if (stringOf(name) !== "") check.follows(at, name, checkSubdomain);
}

function sizeOf(spec: JsonObject): Quantity | undefined {
  return parseQuantity(stringOf(objectOf(objectOf(spec.resources).requests).storage));
}

/** Validates the spec of a claim. Pods and StatefulSets contain such specs in templates. */
export function validateClaimSpec(spec: JsonObject, path: string, check: Check): void {
  const modes = arrayOf(spec.accessModes);
  if (modes.length === 0) check.required(`${path}.accessModes`, "at least 1 access mode is required");
  validateAccessModes(modes, `${path}.accessModes`, check);
  check.add(...validateLabelSelector(spec.selector, `${path}.selector`));
  const { storage } = objectOf(objectOf(spec.resources).requests);
  if (storage === undefined) check.required(`${path}.resources[storage]`);
  else if (compareQuantities(sizeOf(spec) ?? zero, zero) <= 0)
    check.invalid(`${path}.resources[storage]`, storage, "must be greater than zero");
  validateClassName(spec.storageClassName, `${path}.storageClassName`, check);
  check.oneOf(`${path}.volumeMode`, spec.volumeMode, volumeModes);
}

function claim(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  validateClaimSpec(spec, "spec", check);
  if (old === undefined) return;
  const before = objectOf(old.spec);
  const isBound = objectOf(old.status).phase === "Bound";
  const isChangeable = (name: string): boolean =>
    // A claim without a class or a volume may get one by an update.
    (["storageClassName", "volumeName"].includes(name) && stringOf(before[name]) === "") ||
    (isBound && ["resources", "volumeAttributesClassName"].includes(name));
  const fields = [...new Set([...Object.keys(spec), ...Object.keys(before)])];
  if (fields.some((name) => !isChangeable(name) && !jsonEqual(spec[name], before[name])))
    check.forbidden(
      "spec",
      "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
    );
  const [now, then] = [sizeOf(spec) ?? zero, sizeOf(before) ?? zero];
  const capacity = parseQuantity(stringOf(objectOf(objectOf(old.status).capacity).storage)) ?? zero;
  if (compareQuantities(now, then) < 0 && compareQuantities(now, capacity) <= 0)
    check.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity");
}

const volumeSources = [
  "awsElasticBlockStore",
  "azureDisk",
  "azureFile",
  "cephfs",
  "cinder",
  "csi",
  "fc",
  "flexVolume",
  "flocker",
  "gcePersistentDisk",
  "glusterfs",
  "hostPath",
  "iscsi",
  "local",
  "nfs",
  "photonPersistentDisk",
  "portworxVolume",
  "quobyte",
  "rbd",
  "scaleIO",
  "storageos",
  "vsphereVolume",
];

function volume(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const modes = arrayOf(spec.accessModes);
  if (modes.length === 0) check.required("spec.accessModes");
  validateAccessModes(modes, "spec.accessModes", check);
  validateCapacity(spec.capacity, check);
  const used = volumeSources.filter((source) => isObject(spec[source]));
  if (used.length === 0) check.required("spec", "must specify a volume type");
  // Accept one source and refuse the others. The accepted one is the first in Kubernetes' own list, not the first in
  // the object.
  for (const source of used.slice(1)) check.forbidden(`spec.${source}`, "may not specify more than 1 volume type");
  validatePath(spec, check);
  check.oneOf("spec.persistentVolumeReclaimPolicy", spec.persistentVolumeReclaimPolicy, [
    "Delete",
    "Recycle",
    "Retain",
  ]);
  validateClassName(spec.storageClassName, "spec.storageClassName", check);
  check.oneOf("spec.volumeMode", spec.volumeMode, volumeModes);
  const affinity = objectOf(spec.nodeAffinity);
  if (isObject(affinity.required)) validateNodeSelector(affinity.required, "spec.nodeAffinity.required", check);
  else if (isObject(spec.local)) check.required("spec.nodeAffinity", "Local volume requires node affinity");
  if (old === undefined) return;
  const before = objectOf(old.spec);
  if (volumeSources.some((source) => !jsonEqual(spec[source], before[source])))
    check.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation");
  check.immutable("volumeMode", spec.volumeMode, before.volumeMode);
}

function validateCapacity(raw: unknown, check: Check): void {
  const capacity = objectOf(raw);
  if (Object.keys(capacity).length === 0) check.required("spec.capacity");
  if (capacity.storage === undefined || Object.keys(capacity).length > 1)
    check.oneOf("spec.capacity", isObject(raw) ? raw : null, ["storage"]);
  for (const [name, value] of Object.entries(capacity))
    if (compareQuantities(parseQuantity(stringOf(value)) ?? zero, zero) <= 0)
      check.invalid(`spec.capacity[${name}]`, value, "must be greater than zero");
}

function validatePath(spec: JsonObject, check: Check): void {
  for (const source of ["hostPath", "local"]) {
    if (!isObject(spec[source])) continue;
    const path = stringOf(spec[source].path);
    if (path === "") check.required(`spec.${source}.path`);
    if (path.split("/").includes("..")) check.invalid(`spec.${source}.path`, path, "must not contain '..'");
  }
  if (objectOf(spec.hostPath).path === "/" && spec.persistentVolumeReclaimPolicy === "Recycle")
    check.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'");
}

function storageClass(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  if (stringOf(object.provisioner) === "") check.required("provisioner");
  check.oneOf("reclaimPolicy", object.reclaimPolicy, ["Delete", "Retain"]);
  check.oneOf("volumeBindingMode", object.volumeBindingMode, ["Immediate", "WaitForFirstConsumer"]);
  if (old === undefined) return;
  for (const field of ["parameters", "provisioner", "reclaimPolicy"]) check.immutable(field, object[field], old[field]);
  check.immutable("volumeBindingMode", object.volumeBindingMode, old.volumeBindingMode);
}

export const storageValidators: KindValidators = {
  "/persistentvolumeclaims": claim,
  "/persistentvolumes": volume,
  "storage.k8s.io/storageclasses": storageClass,
};

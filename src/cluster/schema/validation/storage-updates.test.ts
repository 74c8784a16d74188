import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf, object } from "./testing/refuses.ts";

const claim = (storage: string, spec: object = {}, status: object = { phase: "Bound", capacity: { storage: "2Gi" } }) =>
  object("PersistentVolumeClaim", {
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } }, ...spec },
    status,
  });
const immutable =
  "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

test("only a bound claim grows, and none becomes smaller than its volume", () => {
  const pending = { phase: "Pending" };
  assert.deepEqual(faultsOf(claim("3Gi"), claim("2Gi")), []);
  assert.deepEqual(faultsOf(claim("3Gi", {}, pending), claim("2Gi", {}, pending)), [immutable]);
  assert.deepEqual(faultsOf(claim("1Gi"), claim("2Gi")), [
    "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity",
  ]);
  assert.deepEqual(faultsOf(claim("3Gi"), claim("4Gi")), [], "an expansion that failed can be taken back");
});

test("a claim gets a class and a volume once, and changes nothing else", () => {
  for (const field of ["storageClassName", "volumeName"]) {
    assert.deepEqual(faultsOf(claim("1Gi", { [field]: "a" }), claim("1Gi")), []);
    assert.deepEqual(faultsOf(claim("1Gi", { [field]: "b" }), claim("1Gi", { [field]: "a" })), [immutable]);
  }
  assert.deepEqual(faultsOf(claim("1Gi", { accessModes: ["ReadWriteMany"] }), claim("1Gi")), [immutable]);
});

test("a volume keeps its source and its mode, and a storage class what its volumes depend on", () => {
  const volume = (path: string, more: object = {}) =>
    object("PersistentVolume", {
      spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, hostPath: { path }, ...more },
    });
  assert.deepEqual(faultsOf(volume("/a", { capacity: { storage: "2Gi" } }), volume("/a")), []);
  assert.deepEqual(faultsOf(volume("/b"), volume("/a")), [
    "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation",
  ]);
  assert.deepEqual(faultsOf(volume("/a", { volumeMode: "Block" }), volume("/a")), [
    'volumeMode: Invalid value: "Block": field is immutable',
  ]);
  const storageClass = (more: object = {}) => object("StorageClass", { provisioner: "p", ...more });
  assert.deepEqual(faultsOf(storageClass({ allowVolumeExpansion: true }), storageClass()), []);
  assert.deepEqual(faultsOf(storageClass({ reclaimPolicy: "Retain" }), storageClass()), [
    'reclaimPolicy: Invalid value: "Retain": field is immutable',
  ]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from "../../../api/kubernetes/index.ts";
import { localVolumes, volumeAnnotations } from "../../record/local-volumes.ts";
import { phaseOf, planClaim, type ClaimStep } from "./volume-plan.ts";

type ClaimSpec = NonNullable<PersistentVolumeClaim["spec"]>;
const node: Node = { metadata: { name: "a", labels: { "kubernetes.io/hostname": "host-a" } } };
const classes: Record<string, StorageClass> = {
  standard: {
    metadata: { name: "standard" },
    provisioner: localVolumes.provisioner,
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
  },
  hasty: { metadata: { name: "hasty" }, provisioner: localVolumes.provisioner, volumeBindingMode: "Immediate" },
  cloud: { metadata: { name: "cloud" }, provisioner: "disk.example.com", volumeBindingMode: "Immediate" },
};
const claim = (spec: Partial<ClaimSpec> = {}, annotations: Record<string, string> = {}): PersistentVolumeClaim => ({
  metadata: { name: "data", namespace: "shop", uid: "u1", annotations },
  spec: {
    accessModes: ["ReadWriteOnce"],
    resources: { requests: { storage: "2Gi" } },
    storageClassName: "standard",
    ...spec,
  },
});
const volume = (name: string, spec: Partial<PersistentVolume["spec"]> = {}): PersistentVolume => ({
  metadata: { name },
  spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "5Gi" }, storageClassName: "standard", ...spec },
});
const plan = (wanted: PersistentVolumeClaim, volumes: PersistentVolume[] = []): ClaimStep =>
  planClaim(wanted, {
    volumes,
    storageClass: (name) => classes[name],
    node: (name) => (name === "a" ? node : undefined),
  });
const selected = { [volumeAnnotations.selectedNode]: "a" };
const noteOf = (step: ClaimStep): string =>
  step.kind === "wait" || step.kind === "lost" ? `${step.note?.reason}: ${step.note?.message}` : step.kind;

test("a claim of the lab's class waits for its pod's node, and gets a directory of that node, with the class' reclaim policy", () => {
  assert.equal(noteOf(plan(claim())), "WaitForFirstConsumer: waiting for first consumer to be created before binding");
  const step = plan(claim({}, selected));
  assert.ok(step.kind === "provision");
  assert.equal(step.volume.metadata.name, "pvc-u1");
  const { spec } = step.volume;
  assert.deepEqual(spec?.hostPath, { path: "/var/lib/serin/volumes/pvc-u1", type: "DirectoryOrCreate" });
  assert.deepEqual(spec?.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values, ["host-a"]);
  assert.deepEqual(
    [spec?.capacity, spec?.persistentVolumeReclaimPolicy, spec?.claimRef?.uid],
    [{ storage: "2Gi" }, "Delete", "u1"],
  );
});

test("a claim takes the smallest free volume that serves it, and the one that is reserved for it before all others", () => {
  const big = volume("big", { capacity: { storage: "9Gi" } });
  const taken = volume("taken", { capacity: { storage: "3Gi" }, claimRef: { namespace: "shop", name: "other" } });
  const small = volume("small", { capacity: { storage: "1Gi" } });
  const others = [
    small,
    big,
    taken,
    volume("fit"),
    volume("shared", { accessModes: ["ReadOnlyMany"], capacity: { storage: "2Gi" } }),
  ];
  const bound = (step: ClaimStep): string | undefined => (step.kind === "bind" ? step.volume.metadata.name : step.kind);
  assert.equal(bound(plan(claim({}, selected), others)), "fit");
  const reserved = volume("reserved", { claimRef: { namespace: "shop", name: "data" } });
  assert.equal(bound(plan(claim(), [...others, reserved])), "reserved");
  const earlier = volume("earlier", { claimRef: { namespace: "shop", name: "data", uid: "u0" } });
  assert.equal(bound(plan(claim(), [earlier])), "wait");
  assert.equal(bound(plan(claim({ volumeName: "big" }), others)), "big");
});

test("a claim that cannot be bound has an event with the reason", () => {
  const local = (spec: Partial<ClaimSpec>): string => noteOf(plan(claim(spec, selected)));
  assert.match(
    local({ storageClassName: "" }),
    /^FailedBinding: no persistent volumes available .* no storage class is set$/,
  );
  assert.match(
    local({ storageClassName: "none" }),
    /^ProvisioningFailed: storageclass.storage.k8s.io "none" not found$/,
  );
  assert.match(local({ accessModes: ["ReadWriteMany"] }), /do not support ReadWriteMany; use ReadWriteOnce/);
  assert.match(local({ volumeMode: "Block" }), /spec.volumeMode: .* use Filesystem/);
  assert.match(local({ selector: { matchLabels: { a: "b" } } }), /spec.selector: /);
  assert.match(local({ dataSource: { kind: "VolumeSnapshot", name: "s" } }), /spec.dataSource: /);
  assert.match(local({ resources: { requests: { storage: "2Ti" } } }), /2Ti is more than the 1Ti that the lab allows/);
  assert.match(noteOf(plan(claim({ storageClassName: "hasty" }))), /volumeBindingMode: WaitForFirstConsumer/);
  assert.match(local({ storageClassName: "cloud" }), /^ExternalProvisioning: .*'disk.example.com'/);
  assert.match(local({ volumeName: "gone" }), /^FailedBinding: volume "gone" not found$/);
  const made = Array.from({ length: localVolumes.maxVolumes }, (_, index) => ({
    ...volume(`v${index}`, { claimRef: { namespace: "x", name: "y", uid: "z" } }),
    metadata: { name: `v${index}`, annotations: { [volumeAnnotations.provisionedBy]: localVolumes.provisioner } },
  }));
  assert.match(noteOf(plan(claim({}, selected), made)), /the lab has 256 volumes already/);
  assert.equal(plan(claim({}, selected), made.slice(1)).kind, "provision");
});

test("a claim whose volume is deleted, or belongs to another claim, is lost", () => {
  const before = claim({ volumeName: "v" }, { [volumeAnnotations.bindCompleted]: "yes" });
  assert.match(noteOf(plan(before)), /^ClaimLost: /);
  const other = volume("v", { claimRef: { namespace: "shop", name: "data", uid: "u2" } });
  assert.match(noteOf(plan(before, [other])), /^ClaimMisbound: /);
});

test("a volume is available until a claim takes it, and released when that claim is deleted", () => {
  assert.equal(phaseOf(volume("v"), undefined), "Available");
  const taken = volume("v", { claimRef: { namespace: "shop", name: "data", uid: "u1" } });
  assert.equal(phaseOf(taken, claim({ volumeName: "v" })), "Bound");
  assert.equal(phaseOf(taken, claim()), undefined);
  assert.equal(phaseOf(taken, undefined), "Released");
  assert.equal(phaseOf(taken, { ...claim(), metadata: { name: "data", namespace: "shop", uid: "u2" } }), "Released");
  assert.equal(phaseOf(taken, claim({ volumeName: "elsewhere" })), "Released");
});

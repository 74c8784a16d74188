import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, Pod, StatefulSet } from "../../../api/kubernetes/index.ts";
import { claimOwners, claimsFor, volumesFor } from "./stateful-set-claims.ts";

type Policy = NonNullable<StatefulSet["spec"]>["persistentVolumeClaimRetentionPolicy"];
const template: PersistentVolumeClaim = {
  metadata: { name: "data", annotations: { note: "x" } },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
};
const set = (policy?: Policy): StatefulSet => ({
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  metadata: { name: "db", namespace: "shop", uid: "set" },
  spec: {
    selector: { matchLabels: { app: "db" } },
    template: {},
    volumeClaimTemplates: [template],
    ...(policy === undefined ? {} : { persistentVolumeClaimRetentionPolicy: policy }),
  },
});
const pod: Pod = { metadata: { name: "db-2", namespace: "shop", uid: "pod" }, spec: { containers: [] } };

test("each pod has a claim of its own for each template, which replaces a volume with the same name", () => {
  const [claim] = claimsFor(set(), 2);
  assert.deepEqual(claim?.metadata, {
    name: "data-db-2",
    namespace: "shop",
    labels: { app: "db" },
    annotations: { note: "x" },
  });
  assert.deepEqual(claim.spec, template.spec);
  assert.deepEqual(
    volumesFor(set(), 2, [
      { name: "data", emptyDir: {} },
      { name: "tmp", emptyDir: {} },
    ]),
    [
      { name: "data", persistentVolumeClaim: { claimName: "data-db-2" } },
      { name: "tmp", emptyDir: {} },
    ],
  );
});

test("claims outlive the set and its pods, unless the retention policy says otherwise", () => {
  const claim = claimsFor(set(), 2)[0] as PersistentVolumeClaim;
  const owners = (policy: Policy, isCondemned: boolean): string[] =>
    claimOwners(set(policy), claim, pod, isCondemned).map(({ kind, uid }) => `${kind} ${uid}`);
  assert.deepEqual(owners(undefined, true), []);
  assert.deepEqual(owners({ whenDeleted: "Delete" }, true), ["StatefulSet set"]);
  assert.deepEqual(owners({ whenScaled: "Delete" }, false), []);
  assert.deepEqual(owners({ whenScaled: "Delete", whenDeleted: "Delete" }, true), ["Pod pod"]);
  const owned: PersistentVolumeClaim = {
    ...claim,
    metadata: { ...claim.metadata, ownerReferences: claimOwners(set({ whenScaled: "Delete" }), claim, pod, true) },
  };
  assert.deepEqual(claimOwners(set({ whenScaled: "Delete" }), owned, pod, false), []);
});

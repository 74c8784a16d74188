import { test } from "node:test";
import { object, refuses } from "./testing/refuses.ts";

test("a claim asks for a size and at least one access mode", () => {
  refuses([
    [
      object("PersistentVolumeClaim", { spec: {} }),
      [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
      ],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: { accessModes: ["X", "ReadWriteOncePod", "ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
      }),
      [
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
        'spec.accessModes: Unsupported value: "X": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
      ],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "0" } } },
      }),
      ['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "-1" } } },
      }),
      ['spec.resources[storage]: Invalid value: "-1": must be greater than zero'],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: { accessModes: ["ReadWriteOnce"], storageClassName: "A_", resources: { requests: { storage: "1Gi" } } },
      }),
      ['spec.storageClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain'],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: { accessModes: ["ReadWriteOnce"], volumeMode: "X", resources: { requests: { storage: "1Gi" } } },
      }),
      ['spec.volumeMode: Unsupported value: "X": supported values: "Block", "Filesystem"'],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          selector: { matchLabels: { "a b": "" } },
          resources: { requests: { storage: "1Gi" } },
        },
      }),
      ['spec.selector.matchLabels: Invalid value: "a b": name part'],
    ],
    [
      object("PersistentVolumeClaim", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "2Gi" }, limits: { storage: "1Gi" } },
        },
      }),
      [],
    ],
  ]);
});

test("a volume has one source, a size and access modes", () => {
  refuses([
    [
      object("PersistentVolume", { spec: {} }),
      [
        "spec.accessModes: Required value",
        "spec.capacity: Required value",
        'spec.capacity: Unsupported value: null: supported values: "storage"',
        "spec: Required value: must specify a volume type",
      ],
    ],
    [
      object("PersistentVolume", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          capacity: { storage: "1Gi" },
          hostPath: { path: "/a" },
          nfs: { server: "a", path: "/b" },
        },
      }),
      ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
    ],
    [
      object("PersistentVolume", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          capacity: { storage: "1Gi" },
          hostPath: { path: "/" },
          persistentVolumeReclaimPolicy: "Recycle",
        },
      }),
      ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
    ],
    [
      object("PersistentVolume", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          capacity: { storage: "1Gi" },
          hostPath: { path: "/a" },
          persistentVolumeReclaimPolicy: "X",
          volumeMode: "Y",
          storageClassName: "A_",
          mountOptions: ["a"],
        },
      }),
      [
        'spec.persistentVolumeReclaimPolicy: Unsupported value: "X": supported values: "Delete", "Recycle", "Retain"',
        'spec.storageClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain',
        'spec.volumeMode: Unsupported value: "Y": supported values: "Block", "Filesystem"',
      ],
    ],
  ]);
});

test("a volume on a node's disk names the node", () => {
  refuses([
    [
      object("PersistentVolume", {
        spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, local: { path: "/a" } },
      }),
      ["spec.nodeAffinity: Required value: Local volume requires node affinity"],
    ],
    [
      object("PersistentVolume", {
        spec: {
          accessModes: ["ReadWriteOnce"],
          capacity: { storage: "1Gi" },
          hostPath: { path: "/a" },
          nodeAffinity: { required: { nodeSelectorTerms: [] } },
        },
      }),
      ["spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term"],
    ],
  ]);
});

test("a storage class names its provisioner", () => {
  refuses([
    [
      object("StorageClass", { provisioner: "", reclaimPolicy: "Recycle", volumeBindingMode: "X" }),
      [
        "provisioner: Required value",
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "X": supported values: "Immediate", "WaitForFirstConsumer"',
      ],
    ],
  ]);
});

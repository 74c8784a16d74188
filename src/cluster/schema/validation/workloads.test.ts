import { test } from "node:test";
import { object, refuses } from "./testing/refuses.ts";

test("a Deployment selects the pods of its own template", () => {
  refuses([
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      [],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { z: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
    ],
    [
      object("Deployment", {
        spec: {
          selector: {},
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    ],
    [
      object("ReplicaSet", {
        spec: {
          replicas: -1,
          minReadySeconds: -1,
          selector: { matchLabels: { a: "c" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      [
        "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
      ],
    ],
    [
      object("ReplicationController", {
        spec: {
          replicas: -1,
          selector: { a: "b" },
          template: {
            metadata: { labels: { a: "c" } },
            spec: { restartPolicy: "Never", containers: [{ name: "c", image: "i" }] },
          },
        },
      }),
      [
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        'spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`',
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
      ],
    ],
  ]);
});

test("numbers of a workload are not negative, and its deadline is longer than it waits for readiness", () => {
  refuses([
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          replicas: -1,
          minReadySeconds: -1,
          revisionHistoryLimit: -1,
          progressDeadlineSeconds: -1,
        },
      }),
      [
        "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than minReadySeconds",
        "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          progressDeadlineSeconds: 5,
          minReadySeconds: 5,
        },
      }),
      ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          replicas: -1,
          minReadySeconds: -1,
          revisionHistoryLimit: -1,
        },
      }),
      [
        "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
      ],
    ],
  ]);
});

test("a rolling update can take at least one step", () => {
  refuses([
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          strategy: { type: "X" },
        },
      }),
      [
        'spec.strategy: Unsupported value: {"Type":"X","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"',
      ],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          strategy: { type: "Recreate", rollingUpdate: { maxSurge: 1 } },
        },
      }),
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } },
        },
      }),
      ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          strategy: { rollingUpdate: { maxSurge: "x%", maxUnavailable: "101%" } },
        },
      }),
      [
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: \"x%\": a valid percent string must be a numeric string followed by an ending '%'",
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
      ],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          strategy: { rollingUpdate: { maxSurge: -1, maxUnavailable: "10" } },
        },
      }),
      [
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0",
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"10\": a valid percent string must be a numeric string followed by an ending '%'",
      ],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      [],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } },
        },
      }),
      ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          updateStrategy: { rollingUpdate: { maxUnavailable: 0 } },
        },
      }),
      ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          updateStrategy: { type: "X" },
        },
      }),
      [
        'spec.updateStrategy: Unsupported value: {"Type":"X","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"',
      ],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: 1, hostPort: 80 }] }] },
          },
          updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        },
      }),
      [],
    ],
  ]);
});

test("the pods of a workload always restart and have no deadline", () => {
  refuses([
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { containers: [{ name: "c", image: "i" }], restartPolicy: "Never" },
          },
        },
      }),
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { containers: [{ name: "c", image: "i" }], activeDeadlineSeconds: 5 },
          },
        },
      }),
      ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"],
    ],
    [
      object("DaemonSet", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { containers: [{ name: "c", image: "i" }], restartPolicy: "OnFailure" },
          },
        },
      }),
      ['spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"'],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { containers: [{ name: "c", image: "i" }], ephemeralContainers: [{ name: "d", image: "i" }] },
          },
        },
      }),
      ["spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" }, annotations: { "a b": "c" } },
            spec: { containers: [{ name: "c", image: "i" }] },
          },
        },
      }),
      ['spec.template.annotations: Invalid value: "a b": name part'],
    ],
    [
      object("Deployment", {
        spec: {
          selector: { matchLabels: { a: "b" } },
          template: {
            metadata: { labels: { a: "b" } },
            spec: { hostNetwork: true, containers: [{ name: "c", image: "i", ports: [{ containerPort: 80 }] }] },
          },
        },
      }),
      [],
    ],
    [object("PodTemplate", { template: { spec: {} } }), ["template.spec.containers: Required value"]],
  ]);
});

test("a StatefulSet has known policies, numbers from zero and valid claims", () => {
  refuses([
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      [],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          podManagementPolicy: "X",
          updateStrategy: { type: "X" },
        },
      }),
      [
        "spec.podManagementPolicy: Invalid value: \"X\": must be 'OrderedReady' or 'Parallel'",
        'spec.updateStrategy: Invalid value: {"Type":"X","RollingUpdate":null}: must be \'RollingUpdate\' or \'OnDelete\'',
      ],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: -1, maxUnavailable: 0 } },
        },
      }),
      ["spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          updateStrategy: { type: "OnDelete", rollingUpdate: { partition: 1 } },
        },
      }),
      [
        'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for updateStrategy \'RollingUpdate\'',
      ],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          persistentVolumeClaimRetentionPolicy: { whenDeleted: "X" },
        },
      }),
      [
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "X": supported values: "Retain", "Delete"',
      ],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          ordinals: { start: -1 },
        },
      }),
      ["spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "s",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
          volumeClaimTemplates: [{ metadata: { name: "data" }, spec: { accessModes: ["X"], resources: {} } }],
        },
      }),
      [
        'spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value: "X": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteO',
        "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
      ],
    ],
    [
      object("StatefulSet", {
        spec: {
          serviceName: "A_",
          selector: { matchLabels: { a: "b" } },
          template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } },
        },
      }),
      ['spec.serviceName: Invalid value: "A_": a lowercase RFC 1123 label'],
    ],
  ]);
});

import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("ids of users and groups are from 0 to 2147483647", () => {
  refuses([
    [
      pod({}, { securityContext: { runAsUser: -1, runAsGroup: -1 } }),
      [
        "spec.containers[0].securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      ],
    ],
    [
      pod({}, { securityContext: { runAsUser: 2147483648 } }),
      [
        "spec.containers[0].securityContext.runAsUser: Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
      ],
    ],
    [
      pod({ securityContext: { runAsUser: -1, runAsGroup: -1, fsGroup: -1, supplementalGroups: [-1, 5] } }),
      [
        "spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
        "spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      ],
    ],
  ]);
});

test("a profile of the machine needs a path, and other profiles have none", () => {
  refuses([
    [
      pod({}, { securityContext: { seccompProfile: { type: "X" } } }),
      [
        'spec.containers[0].securityContext.seccompProfile.type: Unsupported value: "X": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
      ],
    ],
    [
      pod({}, { securityContext: { seccompProfile: { type: "Localhost" } } }),
      [
        "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
      ],
    ],
    [
      pod({}, { securityContext: { seccompProfile: { type: "Localhost", localhostProfile: "/a" } } }),
      [
        'spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: "/a": must be a relative path',
      ],
    ],
    [
      pod({ securityContext: { seccompProfile: { type: "" } } }),
      ["spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set"],
    ],
    [
      pod({}, { securityContext: { appArmorProfile: { type: "X" } } }),
      [
        'spec.containers[0].securityContext.appArmorProfile.type: Unsupported value: "X": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
      ],
    ],
    [
      pod({}, { securityContext: { appArmorProfile: { type: "Localhost", localhostProfile: " a" } } }),
      [
        'spec.containers[0].securityContext.appArmorProfile.localhostProfile: Invalid value: " a": must not be padded with whitespace',
      ],
    ],
  ]);
});

test("an unmasked /proc needs a user namespace", () => {
  refuses([
    [
      pod({}, { securityContext: { procMount: "X" } }),
      ['spec.containers[0].securityContext.procMount: Unsupported value: "X": supported values: "Default", "Unmasked"'],
    ],
    [
      pod({}, { securityContext: { procMount: "Unmasked" } }),
      [
        'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
      ],
    ],
  ]);
});

test("only the capability with its prefix contradicts allowPrivilegeEscalation, as in Kubernetes", () => {
  refuses([
    [pod({}, { securityContext: { capabilities: { add: ["SYS_ADMIN"] }, allowPrivilegeEscalation: false } }), []],
  ]);
});

test("a sysctl has a name once, and not one of the node's own namespaces", () => {
  refuses([
    [
      pod({
        securityContext: {
          sysctls: [
            { name: "", value: "" },
            { name: "A b", value: "" },
            { name: "net.ipv4.tcp_syncookies", value: "1" },
            { name: "net.ipv4.tcp_syncookies", value: "1" },
            { name: "kernel/shm", value: "1" },
          ],
        },
      }),
      [
        "spec.securityContext.sysctls[0].name: Required value",
        'spec.securityContext.sysctls[1].name: Invalid value: "A b": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a',
        'spec.securityContext.sysctls[3].name: Duplicate value: "net.ipv4.tcp_syncookies"',
      ],
    ],
    [
      pod({
        securityContext: {
          sysctls: [
            { name: "net.ipv4.ip_forward", value: "1" },
            { name: "kernel.shmmax", value: "1" },
          ],
        },
        hostNetwork: true,
        hostIPC: true,
      }),
      [
        "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.ip_forward\": may not be specified when 'hostNetwork' is true",
        "spec.securityContext.sysctls[1].name: Invalid value: \"kernel.shmmax\": may not be specified when 'hostIPC' is true",
      ],
    ],
  ]);
});

test("policies of a pod's groups are known ones", () => {
  refuses([
    [
      pod({ securityContext: { fsGroupChangePolicy: "X" } }),
      [
        'spec.securityContext.fsGroupChangePolicy: Unsupported value: "X": supported values: "Always", "OnRootMismatch"',
      ],
    ],
    [
      pod({ securityContext: { supplementalGroupsPolicy: "X" } }),
      ['spec.securityContext.supplementalGroupsPolicy: Unsupported value: "X": supported values: "Merge", "Strict"'],
    ],
    [
      pod({ securityContext: { seLinuxChangePolicy: "X" } }),
      ['spec.securityContext.seLinuxChangePolicy: Unsupported value: "X": supported values: "Recursive"'],
    ],
  ]);
});

test("a pod in a user namespace shares no other namespace with the node, and one with the node's processes shares none of its own", () => {
  refuses([
    [
      pod({ shareProcessNamespace: true, hostPID: true }),
      [
        "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
      ],
    ],
    [
      pod({ hostUsers: false, hostNetwork: true, hostPID: true, hostIPC: true }),
      [
        "spec.HostIPC: Forbidden: when `hostUsers` is false",
        "spec.HostPID: Forbidden: when `hostUsers` is false",
        "spec.hostNetwork: Forbidden: when `hostUsers` is false",
      ],
    ],
    [pod({ hostUsers: false }), []],
  ]);
});

import { test } from "node:test";
import { pod, refuses } from "./testing/refuses.ts";

test("a volume has a name that no other has, and one source", () => {
  refuses([
    [pod({ volumes: [{ emptyDir: {} }] }), ["spec.volumes[0].name: Required value"]],
    [
      pod({ volumes: [{ name: "A_b", emptyDir: {} }] }),
      ['spec.volumes[0].name: Invalid value: "A_b": a lowercase RFC 1123 label'],
    ],
    [
      pod({
        volumes: [
          { name: "a", emptyDir: {} },
          { name: "a", emptyDir: {} },
        ],
      }),
      ['spec.volumes[1].name: Duplicate value: "a"'],
    ],
    [
      pod({ volumes: [{ name: "a", emptyDir: {}, hostPath: { path: "/x" } }] }),
      ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ],
  ]);
});

test("each source of a volume needs its own fields", () => {
  refuses([
    [
      pod({
        volumes: [
          { name: "a", emptyDir: { sizeLimit: "-1Gi" } },
          { name: "b", emptyDir: { medium: "Memory", sizeLimit: "1Gi" } },
          { name: "c", emptyDir: { medium: "Disk" } },
        ],
      }),
      ["spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"],
    ],
    [
      pod({
        volumes: [
          { name: "a", hostPath: { path: "" } },
          { name: "b", hostPath: { path: "/a/../b" } },
          { name: "c", hostPath: { path: "/a", type: "Dir" } },
          { name: "d", hostPath: { path: "/a", type: "DirectoryOrCreate" } },
        ],
      }),
      [
        "spec.volumes[0].hostPath.path: Required value",
        "spec.volumes[1].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        'spec.volumes[2].hostPath.type: Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", ',
      ],
    ],
    [
      pod({ volumes: [{ name: "a", persistentVolumeClaim: { claimName: "" } }] }),
      ["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
    ],
    [
      pod({
        volumes: [
          { name: "a", image: { reference: "", pullPolicy: "X" } },
          { name: "b", image: { reference: "i" } },
        ],
      }),
      [
        'spec.volumes[0].image.pullPolicy: Unsupported value: "X": supported values: "Always", "IfNotPresent", "Never"',
        "spec.volumes[0].image.reference: Required value",
      ],
    ],
    [
      pod({ volumes: [{ name: "a", nfs: { server: "", path: "" } }] }),
      [
        'spec.volumes[0].nfs.path: Invalid value: "": must be an absolute path',
        "spec.volumes[0].nfs.path: Required value",
        "spec.volumes[0].nfs.server: Required value",
      ],
    ],
    [pod({ volumes: [{ name: "a", csi: { driver: "" } }] }), ["spec.volumes[0].csi.driver: Required value"]],
    [
      pod({
        volumes: [
          { name: "a", ephemeral: {} },
          { name: "b", ephemeral: { volumeClaimTemplate: { spec: { accessModes: ["X"], resources: {} } } } },
        ],
      }),
      [
        "spec.volumes[0].ephemeral.volumeClaimTemplate: Required value",
        'spec.volumes[1].ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "X": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteO',
        "spec.volumes[1].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
      ],
    ],
  ]);
});

test("files of ConfigMaps and Secrets stay in their volume, and have modes up to 0777", () => {
  refuses([
    [
      pod({
        volumes: [
          { name: "a", secret: { secretName: "" } },
          { name: "b", secret: { secretName: "a", defaultMode: 512 } },
          {
            name: "c",
            secret: {
              secretName: "a",
              items: [
                { key: "", path: "" },
                { key: "k", path: "../x" },
                { key: "k", path: "/x" },
                { key: "k", path: "..x" },
                { key: "k", path: "x", mode: 512 },
              ],
            },
          },
        ],
      }),
      [
        "spec.volumes[0].secret.secretName: Required value",
        "spec.volumes[1].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        "spec.volumes[2].secret.items[0].key: Required value",
        "spec.volumes[2].secret.items[0].path: Required value",
        "spec.volumes[2].secret.items[1].path: Invalid value: \"../x\": must not contain '..'",
        'spec.volumes[2].secret.items[2].path: Invalid value: "/x": must be a relative path',
        "spec.volumes[2].secret.items[3].path: Invalid value: \"..x\": must not start with '..'",
        "spec.volumes[2].secret.items[4].mode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
      ],
    ],
    [
      pod({
        volumes: [
          { name: "a", configMap: { name: "" } },
          { name: "b", configMap: { name: "a", defaultMode: -1 } },
          { name: "c", configMap: { name: "a", items: [{ key: "", path: "" }] } },
        ],
      }),
      [
        "spec.volumes[0].configMap.name: Required value",
        "spec.volumes[1].configMap.defaultMode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive",
        "spec.volumes[2].configMap.items[0].key: Required value",
        "spec.volumes[2].configMap.items[0].path: Required value",
      ],
    ],
  ]);
});

test("a file shows metadata of its pod or an amount of one of its containers", () => {
  refuses([
    [
      pod({
        volumes: [
          {
            name: "a",
            downwardAPI: {
              defaultMode: 512,
              items: [
                { path: "" },
                { path: "../x", fieldRef: { fieldPath: "metadata.name" } },
                { path: "y", fieldRef: { fieldPath: "spec.nodeName" } },
                { path: "z", fieldRef: { fieldPath: "metadata.labels" } },
                { path: "w", resourceFieldRef: { resource: "limits.cpu" } },
                {
                  path: "q",
                  resourceFieldRef: { containerName: "c", resource: "limits.cpu" },
                  fieldRef: { fieldPath: "metadata.name" },
                },
              ],
            },
          },
        ],
      }),
      [
        "spec.volumes[0].downwardAPI.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        'spec.volumes[0].downwardAPI.fieldRef.fieldPath: Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "meta',
        "spec.volumes[0].downwardAPI.path: Invalid value: \"../x\": must not contain '..'",
        "spec.volumes[0].downwardAPI.path: Required value",
        "spec.volumes[0].downwardAPI.resourceFieldRef.containerName: Required value",
        'spec.volumes[0].downwardAPI: Invalid value: "resource": fieldRef and resourceFieldRef can not be specified simultaneously',
        "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
      ],
    ],
    [
      pod({
        volumes: [
          {
            name: "a",
            downwardAPI: { items: [{ path: "w", resourceFieldRef: { containerName: "c", resource: "limits.cpu" } }] },
          },
        ],
      }),
      [],
    ],
  ]);
});

test("projected sources are one each, and their files do not overlap", () => {
  refuses([
    [
      pod({
        volumes: [
          {
            name: "a",
            projected: {
              sources: [
                {},
                { secret: { name: "a" }, configMap: { name: "b" } },
                { secret: { name: "" } },
                { configMap: { name: "" } },
                { serviceAccountToken: { path: "", expirationSeconds: 5 } },
                { serviceAccountToken: { path: "/a", expirationSeconds: 8589934592 } },
                { serviceAccountToken: { path: "t", audience: "x" } },
                { downwardAPI: { items: [{ path: "t", fieldRef: { fieldPath: "metadata.name" } }] } },
              ],
            },
          },
        ],
      }),
      [
        'spec.volumes[0].projected.path: Invalid value: "/a": must be a relative path',
        "spec.volumes[0].projected.path: Required value",
        "spec.volumes[0].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source",
        "spec.volumes[0].projected.sources[2].secret.name: Required value",
        "spec.volumes[0].projected.sources[3].configMap.name: Required value",
        "spec.volumes[0].projected.sources[4].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
        "spec.volumes[0].projected.sources[5].serviceAccountToken.expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than 2^32 sec",
      ],
    ],
    [
      pod({
        volumes: [
          {
            name: "a",
            projected: {
              sources: [
                { secret: { name: "a", items: [{ key: "k", path: "p" }] } },
                { configMap: { name: "b", items: [{ key: "k", path: "p" }] } },
              ],
            },
          },
        ],
      }),
      ['spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths'],
    ],
  ]);
});

test("a mount names a volume of its pod and a path that no other mount has", () => {
  refuses([
    [
      pod({ volumes: [{ name: "v", emptyDir: {} }] }, { volumeMounts: [{ name: "w", mountPath: "/a" }] }),
      ['spec.containers[0].volumeMounts[0].name: Not found: "w"'],
    ],
    [
      pod({ volumes: [{ name: "v", emptyDir: {} }] }, { volumeMounts: [{ name: "v", mountPath: "" }] }),
      ["spec.containers[0].volumeMounts[0].mountPath: Required value"],
    ],
    [
      pod({ volumes: [{ name: "v", emptyDir: {} }] }, { volumeMounts: [{ name: "", mountPath: "/a" }] }),
      [
        'spec.containers[0].volumeMounts[0].name: Not found: ""',
        "spec.containers[0].volumeMounts[0].name: Required value",
      ],
    ],
    [
      pod(
        { volumes: [{ name: "v", emptyDir: {} }] },
        {
          volumeMounts: [
            { name: "v", mountPath: "/a" },
            { name: "v", mountPath: "/a" },
          ],
        },
      ),
      ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique'],
    ],
    [pod({ volumes: [{ name: "v", emptyDir: {} }] }, { volumeMounts: [{ name: "v", mountPath: "a" }] }), []],
    [pod({ volumes: [{ name: "v", emptyDir: {} }] }, { volumeMounts: [{ name: "v", mountPath: "/a:b" }] }), []],
  ]);
});

test("a path below a volume stays in the volume", () => {
  refuses([
    [
      pod(
        { volumes: [{ name: "v", emptyDir: {} }] },
        {
          volumeMounts: [
            { name: "v", mountPath: "/a", subPath: "../x" },
            { name: "v", mountPath: "/b", subPath: "/x" },
            { name: "v", mountPath: "/c", subPath: "a", subPathExpr: "b" },
            { name: "v", mountPath: "/d", subPathExpr: "../$(A)" },
            { name: "v", mountPath: "/e", subPathExpr: "/x" },
          ],
        },
      ),
      [
        "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
        'spec.containers[0].volumeMounts.subPath: Invalid value: "/x": must be a relative path',
        "spec.containers[0].volumeMounts.subPathExpr: Invalid value: \"../$(A)\": must not contain '..'",
        'spec.containers[0].volumeMounts.subPathExpr: Invalid value: "/x": must be a relative path',
        'spec.containers[0].volumeMounts[2].subPathExpr: Invalid value: "b": subPathExpr and subPath are mutually exclusive',
      ],
    ],
  ]);
});

test("only privileged containers pass their mounts on to the node, and a recursively read-only mount is read-only", () => {
  refuses([
    [
      pod(
        { volumes: [{ name: "v", emptyDir: {} }] },
        {
          volumeMounts: [
            { name: "v", mountPath: "/a", mountPropagation: "Bidirectional" },
            { name: "v", mountPath: "/b", mountPropagation: "X" },
            { name: "v", mountPath: "/c", mountPropagation: "HostToContainer" },
          ],
        },
      ),
      [
        "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
        'spec.containers[0].volumeMounts.mountPropagation: Unsupported value: "X": supported values: "Bidirectional", "HostToContainer", "None"',
      ],
    ],
    [
      pod(
        { volumes: [{ name: "v", emptyDir: {} }] },
        {
          volumeMounts: [
            { name: "v", mountPath: "/a", recursiveReadOnly: "Enabled" },
            { name: "v", mountPath: "/b", recursiveReadOnly: "X" },
            {
              name: "v",
              mountPath: "/c",
              readOnly: true,
              recursiveReadOnly: "IfPossible",
              mountPropagation: "HostToContainer",
            },
            { name: "v", mountPath: "/d", recursiveReadOnly: "Disabled" },
          ],
        },
      ),
      [
        "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
        "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        'spec.containers[0].volumeMounts.recursiveReadOnly: Unsupported value: "X": supported values: "Disabled", "Enabled", "IfPossible"',
      ],
    ],
  ]);
});

test("a block device is a claim's volume, and no mount too", () => {
  refuses([
    [
      pod(
        { volumes: [{ name: "v", emptyDir: {} }] },
        {
          volumeDevices: [
            { name: "v", devicePath: "/dev/x" },
            { name: "w", devicePath: "/dev/y" },
            { name: "", devicePath: "" },
            { name: "v", devicePath: "../a" },
          ],
        },
      ),
      [
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        'spec.containers[0].volumeDevices[1].name: Not found: "w"',
        "spec.containers[0].volumeDevices[2].devicePath: Required value",
        'spec.containers[0].volumeDevices[2].name: Not found: ""',
        "spec.containers[0].volumeDevices[2].name: Required value",
        "spec.containers[0].volumeDevices[3].devicePath: Invalid value: \"../a\": can not contain backsteps ('..')",
        'spec.containers[0].volumeDevices[3].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        'spec.containers[0].volumeDevices[3].name: Invalid value: "v": must be unique',
      ],
    ],
    [
      pod(
        { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "a" } }] },
        { volumeDevices: [{ name: "v", devicePath: "/dev/x" }], volumeMounts: [{ name: "v", mountPath: "/dev/x" }] },
      ),
      [
        'spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/dev/x": must not already exist as a path in volumeMounts',
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": must not already exist in volumeMounts',
        'spec.containers[0].volumeMounts[0].mountPath: Invalid value: "/dev/x": must not already exist as a path in volumeDevices',
        'spec.containers[0].volumeMounts[0].name: Invalid value: "v": must not already exist in volumeDevices',
      ],
    ],
  ]);
});

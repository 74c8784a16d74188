import { seccompProfile } from "./baseline-checks.ts";
import {
  containersOf,
  containerText,
  isSet,
  namesWhere,
  plural,
  quoted,
  setterText,
  sorted,
  type Check,
  type CheckedContainer,
  type CheckedPod,
  type Violation,
} from "./pod.ts";

const allowedVolumes = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
] as const;
/** The volume sources that the level refuses by name in its message, in Kubernetes' order. */
const restrictedVolumes = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "gitRepo",
  "nfs",
  "iscsi",
  "glusterfs",
  "rbd",
  "flexVolume",
  "cinder",
  "cephfs",
  "flocker",
  "fc",
  "azureFile",
  "vsphereVolume",
  "quobyte",
  "azureDisk",
  "photonPersistentDisk",
  "portworxVolume",
  "scaleIO",
  "storageos",
] as const;

export function privilegeEscalation({ spec }: CheckedPod): Violation | undefined {
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false);
  return names.length === 0
    ? undefined
    : {
        reason: "allowPrivilegeEscalation != false",
        detail: `${containerText(names)} must set securityContext.allowPrivilegeEscalation=false`,
      };
}

export function droppedCapabilities({ spec }: CheckedPod): Violation | undefined {
  const undropped = namesWhere(
    spec,
    ({ securityContext }) => securityContext?.capabilities?.drop?.includes("ALL") !== true,
  );
  const badOf = ({ securityContext }: CheckedContainer): readonly string[] =>
    (securityContext?.capabilities?.add ?? []).filter((name) => name !== "NET_BIND_SERVICE");
  const adding = namesWhere(spec, (container) => badOf(container).length > 0);
  const added = sorted(containersOf(spec).flatMap(badOf));
  const details = [
    ...(undropped.length === 0
      ? []
      : [`${containerText(undropped)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(adding.length === 0
      ? []
      : [`${containerText(adding)} must not include ${quoted(added)} in securityContext.capabilities.add`]),
  ];
  return details.length === 0 ? undefined : { reason: "unrestricted capabilities", detail: details.join("; ") };
}

export function volumeTypes({ spec }: CheckedPod): Violation | undefined {
  // Accept a volume without a source, which is an emptyDir.
  const bad = (spec.volumes ?? []).filter(
    ({ name: _name, ...sources }) =>
      Object.values(sources).some(isSet) && !allowedVolumes.some((source) => isSet(sources[source])),
  );
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((volume) => restrictedVolumes.find((source) => isSet(volume[source])) ?? "unknown"));
  const names = bad.map(({ name }) => name);
  return {
    reason: "restricted volume types",
    detail: `${plural(names.length, "volume")} ${quoted(names)} ${plural(names.length, "uses", "use")} ${plural(types.length, "restricted volume type")} ${quoted(types)}`,
  };
}

export function nonRoot({ spec }: CheckedPod): Violation | undefined {
  const ofPod = spec.securityContext?.runAsNonRoot;
  const setters = setterText(
    ofPod === false,
    namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === false),
  );
  const reason = "runAsNonRoot != true";
  if (setters !== "") return { reason, detail: `${setters} must not set securityContext.runAsNonRoot=false` };
  const names =
    ofPod === true ? [] : namesWhere(spec, ({ securityContext }) => securityContext?.runAsNonRoot === undefined);
  return names.length === 0
    ? undefined
    : { reason, detail: `pod or ${containerText(names)} must set securityContext.runAsNonRoot=true` };
}

export function nonZeroUser({ spec }: CheckedPod): Violation | undefined {
  const setters = setterText(
    spec.securityContext?.runAsUser === 0,
    namesWhere(spec, ({ securityContext }) => securityContext?.runAsUser === 0),
  );
  return setters === "" ? undefined : { reason: "runAsUser=0", detail: `${setters} must not set runAsUser=0` };
}

/** Requires a seccomp profile for each container, either its own or its pod's. */
export function requiredSeccompProfile(pod: CheckedPod): Violation | undefined {
  const bad = seccompProfile(pod);
  if (bad !== undefined) return bad;
  const { spec } = pod;
  if (spec.securityContext?.seccompProfile !== undefined) return undefined;
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.seccompProfile === undefined);
  return names.length === 0
    ? undefined
    : {
        reason: "seccompProfile",
        detail: `pod or ${containerText(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
      };
}

/** Skips a check for a Windows pod, which may not have the checked fields. */
export function unlessWindows(check: Check): Check {
  return (pod) => (pod.spec.os?.name === "windows" ? undefined : check(pod));
}

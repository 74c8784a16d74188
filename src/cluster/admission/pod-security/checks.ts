import {
  appArmorProfile,
  capabilities,
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  hostProbes,
  privileged,
  procMount,
  seccompAnnotations,
  seccompProfile,
  seLinuxOptions,
  sysctls,
  unlessInUserNamespace,
  windowsHostProcess,
} from "./baseline-checks.ts";
import type { Check, CheckedPod, Violation } from "./pod.ts";
import type { LevelVersion } from "./policy.ts";
import {
  droppedCapabilities,
  nonRoot,
  nonZeroUser,
  privilegeEscalation,
  requiredSeccompProfile,
  unlessWindows,
  volumeTypes,
} from "./restricted-checks.ts";

interface VersionedCheck {
  readonly id: string;
  /**
   * The versions of the check, in ascending order. `minor` is the first minor version of Kubernetes 1 with this version
   * of the check.
   */
  readonly versions: readonly (readonly [minor: number, check: Check])[];
  /** The baseline check that this restricted check replaces. */
  readonly replaces?: string;
}

const sysctlsOf1_0 = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
];
const sysctlsOf1_27 = [...sysctlsOf1_0, "net.ipv4.ip_local_reserved_ports"];
const sysctlsOf1_29 = [
  ...sysctlsOf1_27,
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const sysctlsOf1_32 = [...sysctlsOf1_29, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"];
const seLinuxTypesOf1_0 = ["", "container_t", "container_init_t", "container_kvm_t"];
const seLinuxTypesOf1_31 = [...seLinuxTypesOf1_0, "container_engine_t"];

/** The checks of the level baseline, sorted by name as in Kubernetes' messages. */
const baseline: readonly VersionedCheck[] = [
  { id: "appArmorProfile", versions: [[0, appArmorProfile]] },
  { id: "capabilities_baseline", versions: [[0, capabilities]] },
  { id: "hostNamespaces", versions: [[0, hostNamespaces]] },
  { id: "hostPathVolumes", versions: [[0, hostPathVolumes]] },
  { id: "hostPorts", versions: [[0, hostPorts]] },
  { id: "hostProbesAndHostLifecycle", versions: [[34, hostProbes]] },
  { id: "privileged", versions: [[0, privileged]] },
  {
    id: "procMount",
    versions: [
      [0, procMount],
      [35, unlessInUserNamespace(procMount)],
    ],
  },
  {
    id: "seLinuxOptions",
    versions: [
      [0, seLinuxOptions(seLinuxTypesOf1_0)],
      [31, seLinuxOptions(seLinuxTypesOf1_31)],
    ],
  },
  {
    id: "seccompProfile_baseline",
    versions: [
      [0, seccompAnnotations],
      [19, seccompProfile],
    ],
  },
  {
    id: "sysctls",
    versions: [
      [0, sysctls(sysctlsOf1_0)],
      [27, sysctls(sysctlsOf1_27)],
      [29, sysctls(sysctlsOf1_29)],
      [32, sysctls(sysctlsOf1_32)],
    ],
  },
  { id: "windowsHostProcess", versions: [[0, windowsHostProcess]] },
];

const restricted: readonly VersionedCheck[] = [
  {
    id: "allowPrivilegeEscalation",
    versions: [
      [8, privilegeEscalation],
      [25, unlessWindows(privilegeEscalation)],
    ],
  },
  {
    id: "capabilities_restricted",
    replaces: "capabilities_baseline",
    versions: [
      [22, droppedCapabilities],
      [25, unlessWindows(droppedCapabilities)],
    ],
  },
  { id: "procMount_restricted", replaces: "procMount", versions: [[35, procMount]] },
  { id: "restrictedVolumes", replaces: "hostPathVolumes", versions: [[0, volumeTypes]] },
  {
    id: "runAsNonRoot",
    versions: [
      [0, nonRoot],
      [35, unlessInUserNamespace(nonRoot)],
    ],
  },
  {
    id: "runAsUser",
    versions: [
      [23, nonZeroUser],
      [35, unlessInUserNamespace(nonZeroUser)],
    ],
  },
  {
    id: "seccompProfile_restricted",
    replaces: "seccompProfile_baseline",
    versions: [
      [19, requiredSeccompProfile],
      [25, unlessWindows(requiredSeccompProfile)],
    ],
  },
];

/**
 * The rules of a level that a pod violates, in the order of Kubernetes' messages. A version later than the known ones
 * is treated as the latest.
 */
export function violationsOf(pod: CheckedPod, { level, version }: LevelVersion): readonly Violation[] {
  if (level === "privileged") return [];
  const minor = version === "latest" ? Infinity : version;
  const strict = level === "baseline" ? [] : restricted.filter((check) => checkAt(check, minor) !== undefined);
  const replaced = new Set(strict.map(({ replaces }) => replaces));
  return [...baseline.filter(({ id }) => !replaced.has(id)), ...strict].flatMap(
    (check) => checkAt(check, minor)?.(pod) ?? [],
  );
}

function checkAt({ versions }: VersionedCheck, minor: number): Check | undefined {
  return versions.findLast(([from]) => from <= minor)?.[1];
}

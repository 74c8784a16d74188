import type { Container, PodSpec, SecurityContext } from "../kubernetes/index.ts";

/** The levels of the Pod Security Standards, strictest first. */
export type PodSecurityLevel = "restricted" | "baseline" | "privileged";

/**
 * The fields of a pod that a level forbids, such as `containers[istio-proxy].securityContext.privileged: must not be
 * true`.
 */
export function podSecurityViolations(
  level: PodSecurityLevel,
  spec: PodSpec,
  annotations: Readonly<Record<string, string>> = {},
): string[] {
  if (level === "privileged") return [];
  const pod = asPod(spec);
  const containers = allContainers(spec);
  return [
    ...baselinePod(pod, annotations),
    ...containers.flatMap(({ path, container }) => baselineContainer(path, container)),
    ...(level === "restricted"
      ? [
          ...restrictedVolumes(spec),
          ...containers.flatMap(({ path, container }) => restrictedContainer(path, asContainer(container), pod)),
        ]
      : []),
  ];
}

/** Fields that only the rules of pod security use. */
interface SecurityFields extends SecurityContext {
  readonly procMount?: string;
  readonly appArmorProfile?: { readonly type?: string };
  readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string };
  readonly windowsOptions?: { readonly hostProcess?: boolean };
  readonly sysctls?: readonly { readonly name: string }[];
}

interface PodFields {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext: SecurityFields;
  readonly volumes: readonly Readonly<Record<string, unknown>>[];
}

function asPod(spec: PodSpec): PodFields {
  const { securityContext, volumes } = spec;
  return {
    ...(spec as { hostNetwork?: boolean; hostPID?: boolean; hostIPC?: boolean }),
    securityContext: securityContext ?? {},
    volumes: (volumes ?? []) as unknown as PodFields["volumes"],
  };
}

function asContainer({ securityContext }: Container): SecurityFields {
  return securityContext ?? {};
}

function allContainers(spec: PodSpec): { readonly path: string; readonly container: Container }[] {
  return (["initContainers", "containers", "ephemeralContainers"] as const).flatMap((field) =>
    (spec[field] ?? []).map((container) => ({ path: `${field}[${container.name}]`, container })),
  );
}

const safeSysctls = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ping_group_range",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.tcp_wmem",
]);
const appArmorAnnotation = "container.apparmor.security.beta.kubernetes.io/";

function baselinePod(pod: PodFields, annotations: Readonly<Record<string, string>>): string[] {
  return [
    ...(["hostNetwork", "hostPID", "hostIPC"] as const)
      .filter((field) => pod[field] === true)
      .map((field) => `${field}: must not be true`),
    ...pod.volumes
      .filter((volume) => volume["hostPath"] !== undefined)
      .map((volume) => `volumes[${String(volume["name"])}].hostPath: must not be set`),
    ...(pod.securityContext.sysctls ?? [])
      .filter(({ name }) => !safeSysctls.has(name))
      .map(({ name }) => `securityContext.sysctls: ${name} is not an allowed sysctl`),
    ...Object.entries(annotations)
      .filter(
        ([name, value]) =>
          name.startsWith(appArmorAnnotation) && value !== "runtime/default" && !value.startsWith("localhost/"),
      )
      .map(([name, value]) => `metadata.annotations[${name}]: must not be ${value}`),
    ...baselineContext("securityContext", pod.securityContext),
  ];
}

const baselineCapabilities = new Set([
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
]);

function baselineContainer(path: string, container: Container): string[] {
  const context = asContainer(container);
  const at = `${path}.securityContext`;
  const hostPorts = (container.ports ?? []).filter(({ hostPort }) => hostPort !== undefined && hostPort !== 0);
  return [
    ...(context.privileged === true ? [`${at}.privileged: must not be true`] : []),
    ...(context.capabilities?.add ?? [])
      .filter((name) => !baselineCapabilities.has(name))
      .map((name) => `${at}.capabilities.add: must not have ${name}`),
    ...(context.procMount === undefined || context.procMount === "Default" ? [] : [`${at}.procMount: must be Default`]),
    ...hostPorts.map(({ hostPort }) => `${path}.ports: must not use host port ${hostPort ?? ""}`),
    ...hostsOfProbes(container).map(({ field, host }) => `${path}.${field}.host: must not be ${host}`),
    ...baselineContext(at, context),
  ];
}

/** Probes with a host let a pod's author make the kubelet connect to any address. */
function hostsOfProbes(container: Container): { readonly field: string; readonly host: string }[] {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container;
  const handlers = {
    livenessProbe,
    readinessProbe,
    startupProbe,
    "lifecycle.postStart": lifecycle?.postStart,
    "lifecycle.preStop": lifecycle?.preStop,
  };
  return Object.entries(handlers).flatMap(([field, handler]) =>
    ([handler?.httpGet, handler?.tcpSocket] as readonly ({ readonly host?: string } | undefined)[])
      .flatMap((probe) => (probe?.host === undefined ? [] : [probe.host]))
      .filter((host) => !["", "127.0.0.1", "::1", "localhost"].includes(host))
      .map((host) => ({ field, host })),
  );
}

const seLinuxTypes = new Set([
  undefined,
  "",
  "container_t",
  "container_init_t",
  "container_kvm_t",
  "container_engine_t",
]);

function baselineContext(at: string, context: SecurityFields): string[] {
  const { seLinuxOptions: seLinux } = context;
  return [
    ...(context.seccompProfile?.type === "Unconfined" ? [`${at}.seccompProfile.type: must not be Unconfined`] : []),
    ...(context.appArmorProfile?.type === "Unconfined" ? [`${at}.appArmorProfile.type: must not be Unconfined`] : []),
    ...(context.windowsOptions?.hostProcess === true ? [`${at}.windowsOptions.hostProcess: must not be true`] : []),
    ...(seLinuxTypes.has(seLinux?.type) ? [] : [`${at}.seLinuxOptions.type: must not be ${seLinux?.type ?? ""}`]),
    ...(["user", "role"] as const)
      .filter((field) => (seLinux?.[field] ?? "") !== "")
      .map((field) => `${at}.seLinuxOptions.${field}: must not be set`),
  ];
}

const restrictedVolumeTypes = new Set([
  "name",
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
]);

function restrictedVolumes(spec: PodSpec): string[] {
  return (spec.volumes ?? []).flatMap((volume) =>
    Object.keys(volume)
      .filter((type) => !restrictedVolumeTypes.has(type))
      .map((type) => `volumes[${volume.name}].${type}: is not an allowed volume type`),
  );
}

function restrictedContainer(path: string, context: SecurityFields, { securityContext: pod }: PodFields): string[] {
  const at = `${path}.securityContext`;
  const { add = [], drop = [] } = context.capabilities ?? {};
  const seccomp = context.seccompProfile?.type ?? pod.seccompProfile?.type;
  return [
    ...(context.allowPrivilegeEscalation === false ? [] : [`${at}.allowPrivilegeEscalation: must be false`]),
    ...(drop.includes("ALL") ? [] : [`${at}.capabilities.drop: must have ALL`]),
    ...add.filter((name) => name !== "NET_BIND_SERVICE").map((name) => `${at}.capabilities.add: must not have ${name}`),
    ...((context.runAsNonRoot ?? pod.runAsNonRoot) === true ? [] : [`${at}.runAsNonRoot: must be true`]),
    ...((context.runAsUser ?? pod.runAsUser) === 0 ? [`${at}.runAsUser: must not be 0`] : []),
    ...(seccomp === "RuntimeDefault" || seccomp === "Localhost"
      ? []
      : [`${at}.seccompProfile.type: must be RuntimeDefault or Localhost`]),
  ];
}

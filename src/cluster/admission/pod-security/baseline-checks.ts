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
  type CheckedSpec,
  type Violation,
} from "./pod.ts";

const defaultCapabilities = new Set([
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

/** Whether a seccomp profile is forbidden. An explicit profile must be the runtime's default or a local one. */
function isForbidden(profile: { readonly type?: string } | undefined): boolean {
  return profile !== undefined && profile.type !== "RuntimeDefault" && profile.type !== "Localhost";
}

export function appArmorProfile({ annotations, spec }: CheckedPod): Violation | undefined {
  const profileOf = ({ securityContext }: CheckedContainer | CheckedSpec) => securityContext?.appArmorProfile;
  const isBad = (part: CheckedContainer | CheckedSpec): boolean => isForbidden(profileOf(part));
  const names = namesWhere(spec, isBad);
  const badAnnotations = Object.entries(annotations).flatMap(([key, value]) =>
    key.startsWith("container.apparmor.security.beta.kubernetes.io/") &&
    value !== "" &&
    value !== "runtime/default" &&
    !value.startsWith("localhost/")
      ? `${key}=${JSON.stringify(value)}`
      : [],
  );
  const values = [
    ...sorted([spec, ...containersOf(spec)].flatMap((part) => (isBad(part) ? (profileOf(part)?.type ?? "") : []))),
    ...sorted(badAnnotations),
  ];
  const setters = [
    setterText(isBad(spec), names),
    badAnnotations.length === 0 ? "" : plural(badAnnotations.length, "annotation"),
  ].filter((text) => text !== "");
  return setters.length === 0
    ? undefined
    : {
        reason: plural(values.length, "forbidden AppArmor profile"),
        detail: `${setters.join(" and ")} must not set AppArmor profile type to ${quoted(values)}`,
      };
}

export function capabilities({ spec }: CheckedPod): Violation | undefined {
  const badOf = ({ securityContext }: CheckedContainer): readonly string[] =>
    (securityContext?.capabilities?.add ?? []).filter((name) => !defaultCapabilities.has(name));
  const names = namesWhere(spec, (container) => badOf(container).length > 0);
  if (names.length === 0) return undefined;
  const added = sorted(containersOf(spec).flatMap(badOf));
  return {
    reason: "non-default capabilities",
    detail: `${containerText(names)} must not include ${quoted(added)} in securityContext.capabilities.add`,
  };
}

export function hostNamespaces({ spec }: CheckedPod): Violation | undefined {
  const shared = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((field) => spec[field] === true);
  return shared.length === 0
    ? undefined
    : { reason: "host namespaces", detail: shared.map((field) => `${field}=true`).join(", ") };
}

export function hostPathVolumes({ spec }: CheckedPod): Violation | undefined {
  const names = (spec.volumes ?? []).flatMap(({ name, hostPath }) => (isSet(hostPath) ? name : []));
  return names.length === 0
    ? undefined
    : { reason: "hostPath volumes", detail: `${plural(names.length, "volume")} ${quoted(names)}` };
}

export function hostPorts({ spec }: CheckedPod): Violation | undefined {
  const portsOf = ({ ports }: CheckedContainer): readonly string[] =>
    (ports ?? []).flatMap(({ hostPort = 0 }) => (hostPort === 0 ? [] : String(hostPort)));
  const names = namesWhere(spec, (container) => portsOf(container).length > 0);
  const ports = sorted(containersOf(spec).flatMap(portsOf));
  return names.length === 0
    ? undefined
    : {
        reason: "hostPort",
        detail: `${containerText(names)} ${plural(names.length, "uses", "use")} ${plural(ports.length, "hostPort")} ${ports.join(", ")}`,
      };
}

/** Refuses probes and hooks with a host, because the kubelet would send them to that host instead of the pod. */
export function hostProbes({ spec }: CheckedPod): Violation | undefined {
  const hostsOf = (container: CheckedContainer): readonly string[] =>
    [
      container.livenessProbe,
      container.readinessProbe,
      container.startupProbe,
      container.lifecycle?.postStart,
      container.lifecycle?.preStop,
    ]
      .flatMap((handler) => [handler?.httpGet?.host ?? "", handler?.tcpSocket?.host ?? ""])
      .filter((host) => host !== "");
  const names = sorted(namesWhere(spec, (container) => hostsOf(container).length > 0));
  const hosts = sorted(containersOf(spec).flatMap(hostsOf));
  return names.length === 0
    ? undefined
    : {
        reason: "probe or lifecycle host",
        detail: `${containerText(names)} ${plural(names.length, "uses", "use")} ${plural(hosts.length, "probe or lifecycle host")} ${quoted(hosts)}`,
      };
}

export function privileged({ spec }: CheckedPod): Violation | undefined {
  const names = namesWhere(spec, ({ securityContext }) => securityContext?.privileged === true);
  return names.length === 0
    ? undefined
    : { reason: "privileged", detail: `${containerText(names)} must not set securityContext.privileged=true` };
}

export function procMount({ spec }: CheckedPod): Violation | undefined {
  const typeOf = ({ securityContext }: CheckedContainer): string => securityContext?.procMount ?? "Default";
  const names = namesWhere(spec, (container) => typeOf(container) !== "Default");
  const types = sorted(containersOf(spec).map(typeOf)).filter((type) => type !== "Default");
  return names.length === 0
    ? undefined
    : {
        reason: "procMount",
        detail: `${containerText(names)} must not set securityContext.procMount to ${quoted(types)}`,
      };
}

/** Skips a check for a pod with a user namespace of its own. */
export function unlessInUserNamespace(check: Check): Check {
  return (pod) => (pod.spec.hostUsers === false ? undefined : check(pod));
}

export function seLinuxOptions(allowedTypes: readonly string[]): Check {
  return ({ spec }) => {
    const optionsOf = ({ securityContext }: CheckedContainer | CheckedSpec) => securityContext?.seLinuxOptions;
    const types = sorted(
      [spec, ...containersOf(spec)].flatMap((part) => {
        const type = optionsOf(part)?.type ?? "";
        return allowedTypes.includes(type) ? [] : type;
      }),
    );
    const sets = (field: "user" | "role", part: CheckedContainer | CheckedSpec): boolean =>
      (optionsOf(part)?.[field] ?? "") !== "";
    const isBad = (part: CheckedContainer | CheckedSpec): boolean =>
      !allowedTypes.includes(optionsOf(part)?.type ?? "") || sets("user", part) || sets("role", part);
    const setters = setterText(isBad(spec), namesWhere(spec, isBad));
    if (setters === "") return undefined;
    const all = [spec, ...containersOf(spec)];
    const faults = [
      ...(types.length === 0 ? [] : [`${plural(types.length, "type")} ${quoted(types)}`]),
      ...(["user", "role"] as const).flatMap((field) =>
        all.some((part) => sets(field, part)) ? `${field} may not be set` : [],
      ),
    ];
    return {
      reason: "seLinuxOptions",
      detail: `${setters} set forbidden securityContext.seLinuxOptions: ${faults.join("; ")}`,
    };
  };
}

/** Checks the annotations that stated the profile until Kubernetes 1.18. */
export function seccompAnnotations({ annotations, spec }: CheckedPod): Violation | undefined {
  const keys = [
    "seccomp.security.alpha.kubernetes.io/pod",
    ...containersOf(spec).map(({ name }) => `container.seccomp.security.alpha.kubernetes.io/${name}`),
  ];
  const bad = sorted(
    keys.flatMap((key) => {
      const value = annotations[key];
      return value === undefined || /^(?:runtime\/default$|docker\/default$|localhost\/)/.test(value)
        ? []
        : `${key}=${JSON.stringify(value)}`;
    }),
  );
  return bad.length === 0
    ? undefined
    : { reason: "seccompProfile", detail: `forbidden ${plural(bad.length, "annotation")} ${bad.join(", ")}` };
}

export function seccompProfile({ spec }: CheckedPod): Violation | undefined {
  const profileOf = ({ securityContext }: CheckedContainer | CheckedSpec) => securityContext?.seccompProfile;
  const isBad = (part: CheckedContainer | CheckedSpec): boolean => isForbidden(profileOf(part));
  const setters = setterText(isBad(spec), namesWhere(spec, isBad));
  if (setters === "") return undefined;
  const types = sorted(
    [spec, ...containersOf(spec)].flatMap((part) => (isBad(part) ? (profileOf(part)?.type ?? "") : [])),
  );
  return {
    reason: "seccompProfile",
    detail: `${setters} must not set securityContext.seccompProfile.type to ${quoted(types)}`,
  };
}

export function sysctls(allowed: readonly string[]): Check {
  return ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).flatMap(({ name }) => (allowed.includes(name) ? [] : name));
    return bad.length === 0 ? undefined : { reason: "forbidden sysctls", detail: bad.join(", ") };
  };
}

export function windowsHostProcess({ spec }: CheckedPod): Violation | undefined {
  const isBad = ({ securityContext }: CheckedContainer | CheckedSpec): boolean =>
    securityContext?.windowsOptions?.hostProcess === true;
  const setters = setterText(isBad(spec), namesWhere(spec, isBad));
  return setters === ""
    ? undefined
    : {
        reason: "hostProcess",
        detail: `${setters} must not set securityContext.windowsOptions.hostProcess=true`,
      };
}
